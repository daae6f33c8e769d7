"""Renders events: one selection executed on one event after another, for however many subscribers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias
from weakref import WeakValueDictionary

from graphql import (
    ExecutionResult,
    FragmentDefinitionNode,
    GraphQLFieldResolver,
    GraphQLSchema,
    GraphQLTypeResolver,
    OperationDefinitionNode,
)
from graphql.execution import Executor
from graphql.execution.values import VariableValues

from schema.contract.paging import PagingLimits
from schema.contract.run_events import RunEvent
from schema.engine.context import Context
from schema.engine.executor import CompiledExecutor
from schema.engine.plans import DocumentPlans
from schema.engine.public_errors import to_graphql_errors, to_public_errors
from schema.graph.event_types import prime_loaders
from schema.operations.call_budget import report_cost
from schema.operations.call_prediction import predict_calls
from schema.operations.operation_reader import OperationReader


class EventSelectionKey(NamedTuple):
    """What is rendered of an event: equal for all whose rendering is equal.

    It names neither the principal nor the log that the events come from, though variables and text imply the latter.
    """

    text: str
    operation_name: str | None
    variables: str
    """As JSON; without those that only say from which place on events are wanted."""
    limits: PagingLimits


class EventSelection:
    """One valid operation with its variables, ready to be executed on events.

    It belongs to nobody: whatever is a subscriber's own is in the context that an event is rendered with.
    """

    __slots__ = ("__weakref__", "_compiled", "_predicted_calls", "_shown", "_thread_id", "key")

    def __init__(
        self,
        key: EventSelectionKey,
        executor: CompiledExecutor,
        thread_id: str,
        shown: Callable[[RunEvent], Any],
    ) -> None:
        """Take over what an executor has made of document and variables; `shown` types events of that thread."""
        self.key = key
        self._predicted_calls: int | None = None
        self._compiled = _Compiled.by(executor)
        self._thread_id = thread_id
        self._shown = shown

    async def render(self, event: RunEvent, context: Context) -> dict[str, Any]:
        """Execute the operation on an event; raises nothing, since whatever goes wrong is among the `errors`."""
        try:
            result = await self._execute(event, context)
        except Exception as error:
            result = ExecutionResult(None, to_graphql_errors(error))
        rendered: dict[str, Any] = {"data": result.data}
        if result.errors:
            rendered["errors"] = [error.formatted for error in to_public_errors(result.errors)]
        if context.reports_cost:
            context.predicted_calls = self._predicted()
        if extensions := report_cost(context):
            rendered["extensions"] = extensions
        return rendered

    async def _execute(self, event: RunEvent, context: Context) -> ExecutionResult:
        prime_loaders(event.change, self._thread_id, context.loaders)
        # A new one each time: an executor remembers what it has collected, so that one for all events would grow.
        executor = self._compiled.executor(self._shown(event), context)
        result: Any = executor.execute_operation(serially=False)
        done: ExecutionResult = await result if executor.is_awaitable(result) else result
        return done

    def _predicted(self) -> int:
        if self._predicted_calls is None:
            self._predicted_calls = predict_calls(OperationReader.of(self._compiled), self.key.limits)
        return self._predicted_calls


class _Compiled(NamedTuple):
    """What an executor has made of document and variables, without the root and the context of whoever came first.

    An executor itself takes ten times the memory of this, and there is one for each run that somebody follows.
    """

    kind: type[CompiledExecutor]
    schema: GraphQLSchema
    fragment_definitions: dict[str, FragmentDefinitionNode]
    fragments: dict[str, Any]
    operation: OperationDefinitionNode
    variable_values: VariableValues
    field_resolver: GraphQLFieldResolver
    type_resolver: GraphQLTypeResolver
    subscribe_field_resolver: GraphQLFieldResolver
    is_awaitable: Any
    plans: DocumentPlans | None

    @classmethod
    def by(cls, executor: CompiledExecutor) -> _Compiled:
        """Take over the parts of an executor that need no building again."""
        return cls(
            type(executor),
            executor.schema,
            executor.fragment_definitions,
            executor.fragments,
            executor.operation,
            executor.variable_values,
            executor.field_resolver,
            executor.type_resolver,
            executor.subscribe_field_resolver,
            executor.is_awaitable,
            executor.plans,
        )

    def executor(self, root: Any, context: Context) -> Executor[Any]:
        """Make an executor of the same operation with the same variables."""
        executor = self.kind(
            self.schema,
            self.fragment_definitions,
            self.fragments,
            root,
            context,
            self.operation,
            self.variable_values,
            self.field_resolver,
            self.type_resolver,
            self.subscribe_field_resolver,
            is_awaitable=self.is_awaitable,
        )
        executor.plans = self.plans
        return executor


EventSelections: TypeAlias = WeakValueDictionary[EventSelectionKey, EventSelection]
"""The selections that somebody is subscribed to: as many as there are different ones, and none once nobody is."""
