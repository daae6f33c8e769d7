"""Holds every operation to a number of upstream calls, before its first one, and reports what it has cost."""

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
    """Refuse an operation that is predicted to make more than `max_calls` upstream calls; raises a `GraphQLError`.

    Of a subscription it is the calls of one event. The prediction is noted in the context where the cost is reported.
    """
    reader = OperationReader.of(executor)
    # The prediction is never above the bound, which takes a tenth of its time.
    if not context.reports_cost and call_upper_bound(reader, context.limits.max_page_size) <= max_calls:
        return
    predicted = context.predicted_calls = predict_calls(reader, context.limits)
    if predicted > max_calls:
        raise too_expensive(predicted, max_calls)


def report_cost(context: Context) -> dict[str, Any]:
    """Say what an operation has cost, where that was asked for, and how many answers were stale, if any were."""
    cost = context.api.cost
    results: dict[str, Any] = {"cost": cost.to_extension(context.predicted_calls)} if context.reports_cost else {}
    return results | {"staleAnswers": cost.stale_answers} if cost.stale_answers else results


def too_expensive(predicted: int, limit: int) -> GraphQLError:
    """Say how many calls were predicted and how many are allowed."""
    refused = GatewayError(
        ErrorCode.TOO_EXPENSIVE,
        f"The operation may take {predicted} upstream calls; expected at most {limit}. "
        "Ask for shorter pages, or for less below each object.",
    )
    return GraphQLError(refused.message, extensions={**refused.extensions, "predictedCalls": predicted, "limit": limit})
