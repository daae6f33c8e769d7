"""Begins operations: the way of queries, mutations and subscriptions from a read document to an executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import strawberry
from strawberry.execution import optimized_is_awaitable

from schema.engine.documents import ParsedDocument
from schema.engine.executor import CompiledExecutor
from schema.engine.public_errors import OperationRefusedError


def build_executor(
    schema: strawberry.Schema,
    document: ParsedDocument,
    *,
    operation_name: str | None,
    variables: Mapping[str, Any] | None,
    context: Any,
    root: Any = None,
    extensions: dict[str, Any] | None = None,
) -> CompiledExecutor:
    """Choose the operation of a valid document and coerce its variables; raises `OperationRefusedError`.

    `root` is the value that the operation begins with, `extensions` those of the request.
    """
    if document.errors:
        raise OperationRefusedError(document.errors)
    executor = schema.execution_context_class.build(
        schema._schema,
        document.node,
        root_value=root,
        context_value=context,
        raw_variable_values=dict(variables or {}),
        operation_name=operation_name,
        is_awaitable=cast("Any", optimized_is_awaitable),
        operation_extensions=extensions,
    )
    if isinstance(executor, list):
        raise OperationRefusedError(executor)
    built = cast("CompiledExecutor", executor)
    built.plans = document.plans
    return built
