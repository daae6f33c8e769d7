"""Assembles the schema."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import strawberry
from graphql import ValidationRule
from strawberry.execution import optimized_is_awaitable
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from schema.engine.context import Context
from schema.engine.direct_calls import enable_direct_calls
from schema.engine.documents import DocumentCache, DocumentReader, ParsedDocument
from schema.engine.executor import CompiledExecutor, build_executor
from schema.engine.public_errors import to_graphql_errors, to_public_errors
from schema.graph.mutations import Mutation
from schema.graph.nodes import Assistant, Message, MessageFile, Run, RunStep, Thread
from schema.graph.queries import Query
from schema.graph.scalars import SCALARS
from schema.graph.subscriptions import Subscription
from schema.operations.call_budget import enforce_call_budget, report_cost
from schema.operations.document_limits import depth_limit, repetition_limit
from schema.operations.event_execution import EventSelections

KEPT_CHARACTERS = 300_000
"""How long all documents together are that stay read and planned: about 200 usual ones, at most some 100 MB."""

MAX_REPETITIONS = 100
"""How often one name may be selected in one place; a large frontend's merged fragments repeat `id` some dozen times."""

_SINGLE = frozenset({OperationType.QUERY, OperationType.MUTATION})


@dataclass(frozen=True, slots=True)
class OperationLimits:
    """What every operation is held to, however it comes: its document, and the upstream calls predicted of it."""

    max_tokens: int
    max_upstream_calls: int
    rules: tuple[type[ValidationRule], ...] = ()
    """Held before GraphQL's own."""


class GatewaySchema(strawberry.Schema):
    """A schema whose operations take one lean way, each held to the same limits.

    Strawberry makes the types; of its ways to execute there is only `execute`. Subscriptions begin in `subscribing`.
    """

    def __init__(
        self,
        query: type,
        mutation: type | None = None,
        subscription: type | None = None,
        *,
        types: Iterable[type] = (),
        limits: OperationLimits,
    ) -> None:
        """Assemble it; each schema keeps its own documents, since it is by its limits that they were found valid."""
        super().__init__(
            query=query,
            mutation=mutation,
            subscription=subscription,
            types=types,
            config=StrawberryConfig(scalar_map=SCALARS),
            execution_context_class=CompiledExecutor,
        )
        enable_direct_calls(self._schema)
        self.limits = limits
        kept = DocumentCache(KEPT_CHARACTERS)
        self.documents = DocumentReader(self._schema, kept, max_tokens=limits.max_tokens, rules=limits.rules)
        self.selections: EventSelections = WeakValueDictionary()

    async def execute(
        self,
        query: str | None,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Read a document and execute its query or mutation, as `execute_document` does."""
        return await self.execute_document(
            self.documents.parse(query or ""),
            variable_values,
            context_value,
            root_value,
            operation_name,
            allowed_operation_types,
            operation_extensions,
        )

    async def execute_document(
        self,
        document: ParsedDocument,
        variable_values: dict[str, Any] | None = None,
        context_value: Any | None = None,
        root_value: Any | None = None,
        operation_name: str | None = None,
        allowed_operation_types: Iterable[OperationType] | None = None,
        operation_extensions: dict[str, Any] | None = None,
    ) -> ExecutionResult:
        """Execute a query or a mutation; whatever goes wrong in it is among the `errors`, as a caller may see it.

        Raises strawberry's `CannotGetOperationTypeError` where the document lacks the operation, and its
        `InvalidOperationTypeError` for one of another type than allowed, valid or not.
        """
        _check_type(document, operation_name, allowed_operation_types)
        context = context_value if isinstance(context_value, Context) else None
        try:
            executor = build_executor(
                self,
                document,
                operation_name=operation_name,
                variables=variable_values,
                context=context_value,
                root=root_value,
                extensions=operation_extensions,
            )
            if context is not None:
                enforce_call_budget(context, self.limits.max_upstream_calls, executor)
            result: Any = executor.execute_operation()
            if optimized_is_awaitable(result):
                result = await result
            data, errors = result.data, result.errors
        except Exception as error:
            data, errors = None, to_graphql_errors(error)
        finally:
            self.documents.on_executed(document)
        extensions = {} if context is None else report_cost(context)
        return ExecutionResult(data, to_public_errors(errors) if errors else None, extensions)


def _check_type(document: ParsedDocument, name: str | None, allowed: Iterable[OperationType] | None) -> None:
    operation = document.find_operation(name)
    if operation is not None:
        # Both packages name the same three kinds; only the values are sure to be equal.
        kind = OperationType(operation.operation.value)
        if kind not in (_SINGLE if allowed is None else allowed):
            raise InvalidOperationTypeError(kind)
    elif document.is_parsed and (name is not None or not document.operations):
        raise CannotGetOperationTypeError(name)


def build_schema(*, max_depth: int = 30, max_tokens: int = 4_000, max_upstream_calls: int = 1_000) -> GatewaySchema:
    """Build the schema.

    An operation may nest `max_depth` fields, its document hold `max_tokens` tokens, and it may be predicted to make
    `max_upstream_calls` upstream calls, a subscription for each of its events.
    """
    rules = (depth_limit(max_depth), repetition_limit(MAX_REPETITIONS))
    return GatewaySchema(
        Query,
        Mutation,
        Subscription,
        types=[Thread, Message, MessageFile, Run, RunStep, Assistant],
        limits=OperationLimits(max_tokens, max_upstream_calls, rules),
    )
