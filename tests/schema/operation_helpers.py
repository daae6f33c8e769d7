"""Helpers that prepare operations for prediction: selected, with coerced variables, but not executed."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, parse
from graphql.execution import Executor

from schema.contract.paging import PagingLimits
from schema.operations.call_prediction import predict_calls
from schema.operations.operation_reader import MAX_SELECTIONS, OperationReader
from schema.operations.upper_bounds import find_upper_bounds
from tests.schema.builders import SCHEMA

CORE: Any = SCHEMA._schema


def build_core_executor(
    document: str, variables: Mapping[str, Any] | None = None, *, name: str | None = None
) -> Executor[Any]:
    """Make graphql-core's executor of the named operation, or of the first one."""
    parsed: Any = parse(document)
    if name is None:
        operation = next(part for part in parsed.definitions if part.kind == "operation_definition")
        name = operation.name.value if operation.name else None
    built = Executor.build(CORE, parsed, raw_variable_values=dict(variables or {}), operation_name=name)
    if isinstance(built, list):
        raise GraphQLError(str(built))
    return built


def make_operation_reader(
    document: str, variables: Mapping[str, Any] | None = None, *, name: str | None = None, most: int = MAX_SELECTIONS
) -> OperationReader:
    """Make the reader of one operation of a valid document."""
    executor = build_core_executor(document, variables, name=name)
    return OperationReader(
        executor.schema,
        executor.operation,
        executor.fragment_definitions,
        executor.variable_values,
        max_selections=most,
    )


def predict(
    document: str,
    variables: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    limits: PagingLimits | None = None,
) -> int:
    """Predict the calls of one operation of a valid document."""
    limits = limits or PagingLimits()
    reader = make_operation_reader(document, variables, name=name)
    return predict_calls(reader, limits, find_upper_bounds(reader, limits.max_page_size))
