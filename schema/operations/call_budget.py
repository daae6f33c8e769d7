"""The call budget of an operation, enforced before its first upstream call, and the report of its cost."""

from __future__ import annotations

from typing import Any

from graphql import GraphQLError
from graphql.execution import Executor

from schema.contract.errors import ErrorCode, GatewayError
from schema.engine.context import Context
from schema.operations.call_prediction import predict_calls
from schema.operations.call_upper_bound import call_upper_bound
from schema.operations.operation_reader import OperationReader


def enforce_call_budget(context: Context, max_calls: int, executor: Executor[Any]) -> None:
    """Refuse an operation that is predicted to make more than `max_calls` upstream calls.

    For a subscription, the calls of one event count. If the cost is reported, the prediction is stored in the context.

    Raises:
        GraphQLError: The prediction is above `max_calls`.
    """
    reader = OperationReader.from_prepared(executor)
    # The prediction is never above the upper bound, which takes a tenth of the time.
    if not context.reports_cost and call_upper_bound(reader, context.limits.max_page_size) <= max_calls:
        return
    predicted = context.predicted_calls = predict_calls(reader, context.limits)
    if predicted > max_calls:
        raise too_expensive_error(predicted, max_calls)


def report_cost(context: Context) -> dict[str, Any]:
    """Return the `extensions` of a result: the cost if it was requested, and the number of stale answers if any."""
    cost = context.api.cost
    extensions: dict[str, Any] = {"cost": cost.to_extension(context.predicted_calls)} if context.reports_cost else {}
    return extensions | {"staleAnswers": cost.stale_answers} if cost.stale_answers else extensions


def too_expensive_error(predicted: int, limit: int) -> GraphQLError:
    """Build the error that names the predicted and the allowed number of calls."""
    error = GatewayError(
        ErrorCode.TOO_EXPENSIVE,
        f"The operation may take {predicted} upstream calls; expected at most {limit}. "
        "Ask for shorter pages, or for less below each object.",
    )
    return GraphQLError(error.message, extensions={**error.extensions, "predictedCalls": predicted, "limit": limit})
