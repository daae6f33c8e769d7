"""Execution of a subscription's selection on its events, shared by all subscribers of the same selection."""

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
from schema.operations.call_prediction import predict_calls
from schema.operations.operation_budget import find_bounds, predict_viewer_calls, report_cost
from schema.operations.operation_reader import OperationReader
from schema.operations.record_reads import RecordReads, find_record_reads
from schema.operations.upper_bounds import UpperBounds


class EventSelectionKey(NamedTuple):
    """The identity of a selection: subscriptions with equal keys get equal results for an event.

    It contains neither the principal nor the log of the events. The text and the variables imply the log, but for that
    of a viewer, which the principal implies.
    """

    text: str
    operation_name: str | None
    variables: str
    """As JSON, without variables that only say after which event the subscription begins."""
    limits: PagingLimits


class EventSelection:
    """A valid operation with its variables, ready to be executed on events.

    It holds nothing of one subscriber: all of that is in the context of each execution.
    """

    __slots__ = (
        "__weakref__",
        "_bounds",
        "_bounds_by_type",
        "_event_from_log",
        "_executor_parts",
        "_predicted",
        "_predicted_by_type",
        "_record_reads",
        "key",
    )

    def __init__(
        self,
        key: EventSelectionKey,
        executor: CompiledExecutor,
        bounds: UpperBounds,
        event_from_log: Callable[[RunEvent], Any],
    ) -> None:
        """Copy the parts of an executor.

        Args:
            key: The identity of the selection.
            executor: An executor of the operation with its variables.
            bounds: The upper bounds of one event of any type.
            event_from_log: Converts an event of the log to its GraphQL type.
        """
        self.key = key
        self._predicted: tuple[int, int] | None = None
        self._record_reads: RecordReads | None = None
        self._bounds = bounds
        self._bounds_by_type: dict[str, UpperBounds] = {}
        self._predicted_by_type: dict[str, int] = {}
        self._executor_parts = _ExecutorParts.from_executor(executor)
        self._event_from_log = event_from_log

    async def execute_on(self, event: RunEvent, context: Context) -> dict[str, Any]:
        """Execute the operation on an event. Raises nothing: every failure is among the `errors`."""
        viewer_calls = self._predict_viewer_calls(context) if context.reports_cost else 0
        try:
            result = await self._execute(event, context)
        except Exception as error:
            result = ExecutionResult(None, to_graphql_errors(error))
        response: dict[str, Any] = {"data": result.data}
        if result.errors:
            response["errors"] = [error.formatted for error in to_public_errors(result.errors)]
        if context.reports_cost:
            calls, context.predicted_objects = self._predict()
            context.predicted_calls = calls + viewer_calls
        if extensions := report_cost(context):
            response["extensions"] = extensions
        return response

    def predict_calls(self, event: RunEvent, context: Context | None = None) -> int:
        """Predict the most upstream calls that the execution on an event makes, with those of a context's viewer."""
        return self._predict_document(event) + (0 if context is None else self._predict_viewer_calls(context))

    def _predict_viewer_calls(self, context: Context) -> int:
        return predict_viewer_calls(context, self._find_record_reads)

    def _find_record_reads(self) -> RecordReads:
        if self._record_reads is None:
            self._record_reads = find_record_reads(OperationReader.from_prepared(self._executor_parts))
        return self._record_reads

    def _predict_document(self, event: RunEvent) -> int:
        """Predict the calls of the selection: once for each type of event."""
        event_type = _type_name(self._event_from_log(event))
        if event_type not in self._predicted_by_type:
            reader, bounds = OperationReader.from_prepared(self._executor_parts), self._find_bounds(event_type)
            calls = bounds.calls and predict_calls(reader, self.key.limits, bounds, event_type)
            self._predicted_by_type[event_type] = calls
        return self._predicted_by_type[event_type]

    def _find_bounds(self, event_type: str) -> UpperBounds:
        """Find the upper bounds of an event of a type: once for each type."""
        bounds = self._bounds_by_type.get(event_type)
        if bounds is None:
            bounds = self._bounds_by_type[event_type] = find_bounds(self.key.limits, self._executor_parts, event_type)
        return bounds

    async def _execute(self, event: RunEvent, context: Context) -> ExecutionResult:
        typed = self._event_from_log(event)
        prime_loaders(typed, context)
        context.cited_files.most = self._bounds.files and self._find_bounds(_type_name(typed)).files
        # An executor remembers the fields that it has collected. One executor for all events would grow without end.
        executor = self._executor_parts.new_executor(typed, context)
        result: Any = executor.execute_operation(serially=False)
        done: ExecutionResult = await result if executor.is_awaitable(result) else result
        return done

    def _predict(self) -> tuple[int, int]:
        """Predict the calls and the objects of one event."""
        if self._predicted is None:
            reader = OperationReader.from_prepared(self._executor_parts)
            self._predicted = (predict_calls(reader, self.key.limits, self._bounds), self._bounds.objects)
        return self._predicted


def _type_name(event: Any) -> str:
    name: str = type(event).__strawberry_definition__.name
    return name


class _ExecutorParts(NamedTuple):
    """The parts of an executor that follow from the document and its variables, without root value and context.

    An executor takes ten times the memory of these parts, and there is one selection for each run with subscribers.
    """

    executor_type: type[CompiledExecutor]
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
    def from_executor(cls, executor: CompiledExecutor) -> _ExecutorParts:
        """Copy the parts of an executor."""
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

    def new_executor(self, root: Any, context: Context) -> Executor[Any]:
        """Make an executor of the same operation with the same variables."""
        executor = self.executor_type(
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
"""The selections that have subscribers. A selection is dropped with its last subscriber."""
