"""The budget of an operation, enforced before its first upstream call, and the report of its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError
from graphql.execution import Executor

from schema.contract.errors import ErrorCode, GatewayError
from schema.engine.context import Context
from schema.operations.call_prediction import predict_calls
from schema.operations.operation_reader import OperationReader
from schema.operations.upper_bounds import find_upper_bounds


@dataclass(frozen=True, slots=True)
class OperationBudget:
    """The most upstream calls, and the most objects in the response, that an operation may be predicted to need."""

    max_calls: int = 1_000
    max_objects: int = 20_000


def enforce_budget(context: Context, budget: OperationBudget, executor: Executor[Any]) -> None:
    """Refuse an operation that is predicted to make too many upstream calls, or to show too many objects.

    For a subscription, the calls and the objects of one event count. The predicted objects are stored in the context,
    and so are the predicted calls if the cost is reported.

    Raises:
        GraphQLError: A prediction is above the budget.
    """
    reader = OperationReader.from_prepared(executor)
    bounds = find_upper_bounds(reader, context.limits.max_page_size)
    context.predicted_objects = bounds.objects
    if context.reports_cost:
        context.predicted_calls = predict_calls(reader, context.limits)
    if bounds.objects > budget.max_objects:
        raise too_many_objects_error(bounds.objects, budget.max_objects)
    # The prediction is never above the upper bound, which takes a tenth of the time.
    if bounds.calls <= budget.max_calls:
        return
    calls = context.predicted_calls = context.predicted_calls or predict_calls(reader, context.limits)
    if calls > budget.max_calls:
        raise too_many_calls_error(calls, budget.max_calls)


def report_cost(context: Context) -> dict[str, Any]:
    """Return the `extensions` of a result: the cost if it was requested, and the number of stale answers if any."""
    cost = context.api.cost
    extensions: dict[str, Any] = {}
    if context.reports_cost:
        extensions["cost"] = cost.to_extension(context.predicted_calls, context.predicted_objects)
    return extensions | {"staleAnswers": cost.stale_answers} if cost.stale_answers else extensions


def too_many_calls_error(predicted: int, limit: int) -> GraphQLError:
    """Build the error that names the predicted and the allowed number of calls."""
    message = f"The operation may take {predicted} upstream calls; expected at most {limit}."
    return _too_expensive_error(message, predictedCalls=predicted, limit=limit)


def too_many_objects_error(predicted: int, limit: int) -> GraphQLError:
    """Build the error that names the predicted and the allowed number of objects."""
    message = f"The operation may show {predicted} objects; expected at most {limit}."
    return _too_expensive_error(message, predictedObjects=predicted, limit=limit)


def _too_expensive_error(message: str, **extensions: int) -> GraphQLError:
    advice = "Ask for shorter pages, or for less below each object."
    error = GatewayError(ErrorCode.TOO_EXPENSIVE, f"{message} {advice}")
    return GraphQLError(error.message, extensions={**error.extensions, **extensions})
