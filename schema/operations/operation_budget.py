"""The budget of an operation, enforced before its first upstream call, and the report of its cost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from graphql import FieldNode, GraphQLError
from graphql.execution import Executor

from schema.contract.cost import DEFAULT_MAX_CALLS, DEFAULT_MAX_OBJECTS
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.paging import PagingLimits
from schema.engine.context import Context
from schema.engine.plans import DocumentPlans
from schema.graph.field_loads import Lookup, LookupLoad
from schema.graph.file_node import File
from schema.operations.call_prediction import predict_calls
from schema.operations.operation_reader import OperationReader, PreparedOperation
from schema.operations.record_reads import RecordReads, find_record_reads
from schema.operations.upper_bounds import MUTATION, QUERY, UpperBounds, find_upper_bounds

RUN_STARTING_FIELDS = frozenset({"createRun", "createThreadAndRun"})
"""The mutations that start a run each. One that answers a waiting run starts none."""


FactT = TypeVar("FactT")


@dataclass(frozen=True, slots=True)
class OperationBudget:
    """The most upstream calls, and the most objects in the response, that an operation may be predicted to need."""

    max_calls: int = DEFAULT_MAX_CALLS
    max_objects: int = DEFAULT_MAX_OBJECTS


def find_bounds(limits: PagingLimits, prepared: PreparedOperation, event_type: str | None = None) -> UpperBounds:
    """Find the upper bounds of an operation; of a subscription, those of one event, of a type if it is given."""

    def find(reader: OperationReader) -> UpperBounds:
        return find_upper_bounds(reader, limits.max_page_size, event_type)

    return _find_fact(prepared, (UpperBounds, limits.max_page_size, event_type), find)


def _find_fact(prepared: PreparedOperation, key: tuple[Any, ...], find: Callable[[OperationReader], FactT]) -> FactT:
    """Find a fact of an operation: once for each document, if it depends on no variable."""
    plans: DocumentPlans | None = getattr(prepared, "plans", None)
    key = (*key, id(prepared.operation))
    if plans is not None and key in plans.facts:
        return cast("FactT", plans.facts[key])
    reader = OperationReader.from_prepared(prepared)
    fact = find(reader)
    if plans is not None and not reader.has_read_variables:
        plans.facts[key] = fact
    return fact


def needs_prediction(context: Context, budget: OperationBudget, bounds: UpperBounds) -> bool:
    """Whether the calls of an operation are predicted, which takes ten times as long as to find its upper bounds."""
    if context.reports_cost:
        return True
    has_limit = context.admission is not None and context.admission.max_calls is not None
    return bounds.calls > (0 if has_limit else budget.max_calls) and bounds.objects <= budget.max_objects


def enforce_budget(context: Context, budget: OperationBudget, executor: Executor[Any], bounds: UpperBounds) -> None:
    """Refuse an operation that is predicted to make too many upstream calls, or to show too many objects.

    For a subscription, the calls and the objects of one event count. What a caller may not cause in a whole window is
    too much too. The predictions are stored in the context; the calls only if they were predicted.

    Raises:
        GraphQLError: A prediction is above the budget.
    """
    context.predicted_objects, context.cited_files.most = bounds.objects, bounds.files
    calls = bounds.calls  # the prediction is never above it
    if needs_prediction(context, budget, bounds):
        limits = context.limits
        calls = _find_fact(executor, (predict_calls, limits), lambda reader: predict_calls(reader, limits, bounds))
        context.predicted_calls = calls
    viewer_calls = predict_viewer_calls(context, lambda: _find_fact(executor, (RecordReads,), find_record_reads))
    calls, context.predicted_calls = calls + viewer_calls, context.predicted_calls + viewer_calls
    context.admitted_calls = calls
    if bounds.objects > budget.max_objects:
        raise too_many_objects_error(bounds.objects, budget.max_objects)
    max_calls, max_runs = budget.max_calls, None
    if context.admission is not None:
        max_calls = min(max_calls, context.admission.max_calls or max_calls)
        max_runs = context.admission.max_runs
    if calls > max_calls:
        raise too_many_calls_error(calls, max_calls)
    if max_runs is not None:
        context.predicted_runs = _find_fact(executor, (count_started_runs,), count_started_runs)
        if context.predicted_runs > max_runs:
            raise too_many_runs_error(context.predicted_runs, max_runs)


def predict_viewer_calls(context: Context, find_reads: Callable[[], RecordReads]) -> int:
    """Predict the calls that reads of records take besides those of the document, unless the viewer needs none."""
    viewer = context.viewer_api
    if viewer is None or not viewer.predict_calls(lists_threads=True):
        return 0
    reads = find_reads()
    return viewer.predict_calls(lists_threads=reads.lists_threads) if reads.uses_records else 0


def count_started_runs(reader: OperationReader) -> int:
    """Count the runs that a mutation starts."""
    if reader.root_name != MUTATION:
        return 0
    fields = reader.collect_fields(MUTATION, [reader.operation])
    return sum(nodes[0].name.value in RUN_STARTING_FIELDS for nodes in fields.values())


def count_free_objects(executor: Executor[Any], data: dict[str, Any] | None) -> int:
    """Count the objects that a query shows because it looked them up by one id. They are not predicted either.

    A file is none: it is not among the shown objects.
    """
    reader = OperationReader.from_prepared(executor)
    if data is None or reader.root_name != QUERY:
        return 0
    fields = reader.collect_fields(QUERY, [executor.operation])
    return sum(_looks_up_object(reader, nodes[0]) for name, nodes in fields.items() if data.get(name) is not None)


def _looks_up_object(reader: OperationReader, field: FieldNode) -> bool:
    facts = reader.field_facts(QUERY, field)
    if facts is None or not isinstance(facts.load, LookupLoad):
        return False
    found = facts.load.find(None, **(reader.argument_values(QUERY, field) or {}))
    return isinstance(found, Lookup) and found.node_type is not File


def report_cost(context: Context) -> dict[str, Any]:
    """Return the `extensions` of a result: the cost if it was requested, and the number of stale answers if any."""
    cost = context.api.cost
    extensions: dict[str, Any] = {}
    if context.reports_cost:
        extensions["cost"] = cost.to_extension(
            predicted_calls=context.predicted_calls,
            predicted_objects=context.predicted_objects,
            shown_objects=context.answer_size.object_count,
            response_bytes=context.answer_size.byte_count,
        )
    return extensions | {"staleAnswers": cost.stale_answers} if cost.stale_answers else extensions


def too_many_calls_error(predicted: int, limit: int) -> GraphQLError:
    """Build the error that names the predicted and the allowed number of calls."""
    message = f"The operation may take {predicted} upstream calls; expected at most {limit}."
    return _too_expensive_error(message, predictedCalls=predicted, limit=limit)


def too_many_objects_error(predicted: int, limit: int) -> GraphQLError:
    """Build the error that names the predicted and the allowed number of objects."""
    message = f"The operation may show {predicted} objects; expected at most {limit}."
    return _too_expensive_error(message, predictedObjects=predicted, limit=limit)


def too_many_runs_error(predicted: int, limit: int) -> GraphQLError:
    """Build the error that names the number of runs that a mutation starts, and the allowed number."""
    message = f"The operation starts {predicted} runs; expected at most {limit}."
    return _too_expensive_error(message, "Start them one after the other.", predictedRuns=predicted, limit=limit)


def _too_expensive_error(
    message: str, advice: str = "Ask for shorter pages, or for less below each object.", **extensions: int
) -> GraphQLError:
    error = GatewayError(ErrorCode.TOO_EXPENSIVE, f"{message} {advice}")
    return GraphQLError(error.message, extensions={**error.extensions, **extensions})
