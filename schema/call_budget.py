"""Holds every operation to a number of upstream calls, before its first one, and reports what it has cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from graphql import ExecutionResult, GraphQLError
from strawberry.extensions import SchemaExtension

from schema.context import Context
from schema.errors import ErrorCode, GatewayError
from schema.prediction import predict_calls


class CallBudget(SchemaExtension):
    """Refuses an operation that is predicted to make more than `max_calls` upstream calls.

    Where the context asks for it, the answer says in `extensions.cost` what the operation cost.
    """

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls

    def on_execute(self) -> Iterator[None]:
        """Predict the calls; what is too expensive gets its error in place of an execution."""
        running = self.execution_context
        context, document = running.context, running.graphql_document
        if isinstance(context, Context) and document is not None:
            context.predicted_calls = predict_calls(
                running.schema._schema, document, running.operation_name, running.variables, context.limits
            )
            if context.predicted_calls > self._max_calls:
                running.result = ExecutionResult(
                    data=None, errors=[too_expensive(context.predicted_calls, self._max_calls)]
                )
        yield

    def get_results(self) -> dict[str, Any]:
        """Report the cost where it was asked for, and stale answers always."""
        context = self.execution_context.context
        if not isinstance(context, Context):
            return {}
        cost = context.api.cost
        results: dict[str, Any] = {"cost": cost.report(context.predicted_calls)} if context.reports_cost else {}
        return results | {"staleAnswers": cost.stale_answers} if cost.stale_answers else results


def too_expensive(predicted: int, limit: int) -> GraphQLError:
    """Say how many calls were predicted and how many are allowed."""
    refused = GatewayError(
        ErrorCode.TOO_EXPENSIVE,
        f"The operation may take {predicted} upstream calls; expected at most {limit}. "
        "Ask for shorter pages, or for less below each object.",
    )
    return GraphQLError(refused.message, extensions={**refused.extensions, "predictedCalls": predicted, "limit": limit})
