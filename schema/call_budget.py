"""Holds every operation to a number of upstream calls, before its first one, and reports what it has cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema
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
        """Predict the calls; what is too expensive is not executed."""
        running = self.execution_context
        context, document = running.context, running.graphql_document
        if isinstance(context, Context) and document is not None:
            hold_to_budget(
                context, self._max_calls, running.schema._schema, document, running.operation_name, running.variables
            )
        yield

    def get_results(self) -> dict[str, Any]:
        """Report the cost where it was asked for, and stale answers always."""
        context = self.execution_context.context
        return report(context) if isinstance(context, Context) else {}


def hold_to_budget(
    context: Context,
    max_calls: int,
    schema: GraphQLSchema,
    document: DocumentNode,
    operation_name: str | None,
    variables: Mapping[str, Any] | None,
) -> None:
    """Predict the calls of an operation, of a subscription those of one event, and note them in the context.

    Raises a `GraphQLError` where they are more than `max_calls`.
    """
    predicted = predict_calls(schema, document, operation_name, variables, context.limits)
    context.predicted_calls = predicted
    if predicted > max_calls:
        raise too_expensive(predicted, max_calls)


def report(context: Context) -> dict[str, Any]:
    """Say what an operation has cost, where that was asked for, and how many answers were stale, if any were."""
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
