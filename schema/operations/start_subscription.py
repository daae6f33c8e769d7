"""The start of a subscription, under the same limits as a query.

A subscription has two parts: its feed, which belongs to one subscriber, and the rendering of its events, which does
not depend on the subscriber. So a transport with many subscribers of one selection renders each event once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    OperationDefinitionNode,
    OperationType,
    VariableDefinitionNode,
    VariableNode,
    Visitor,
    visit,
)
from graphql.execution import ExecutionResult, Executor, create_source_event_stream
from strawberry.execution import optimized_is_awaitable

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import EventFeed
from schema.contract.run_events import RunEvent
from schema.engine.context import Context
from schema.engine.documents import ParsedDocument
from schema.engine.executor import build_executor
from schema.engine.public_errors import OperationRefusedError, to_graphql_errors, to_public_errors
from schema.graph.subscriptions import TypedFeed
from schema.operations.event_execution import EventSelection, EventSelectionKey
from schema.operations.gateway_schema import GatewaySchema
from schema.operations.operation_budget import find_bounds


class SubscriptionRefusedError(Exception):
    """The subscription did not begin. `errors` are formatted GraphQL errors, masked like all others."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        """Store the errors; there is at least one."""
        super().__init__(errors[0]["message"])
        self.errors = errors


class StartedSubscription:
    """A subscription that has begun: its own feed, and a selection that equal subscriptions share.

    The caller of `start_subscription` closes the feed.
    """

    __slots__ = ("_selection", "feed")

    def __init__(self, feed: EventFeed, selection: EventSelection) -> None:
        """Render the events of `feed` by `selection`."""
        self.feed = feed
        self._selection = selection

    @property
    def selection_key(self) -> EventSelectionKey:
        """The identity of the rendering: subscriptions of one principal with equal keys render alike.

        A variable that is only used for `after` is not part of it.
        """
        return self._selection.key

    def predict_calls(self, event: RunEvent, context: Context | None = None) -> int:
        """Predict the most upstream calls of rendering one event, with those of a context's viewer."""
        return self._selection.predict_calls(event, context)

    async def render(self, event: RunEvent, context: Context) -> dict[str, Any]:
        """Execute the selection on one event. Raises nothing.

        Two subscriptions of one selection, with contexts of one principal, render alike.

        Args:
            event: An event of the feed.
            context: A context for this event alone. The caller closes it.

        Returns:
            The `data`, the masked `errors` if there are any, and the `extensions` if a query would have them.
        """
        return await self._selection.execute_on(event, context)


async def start_subscription(
    schema: GatewaySchema,
    document: ParsedDocument,
    *,
    variables: Mapping[str, Any] | None,
    operation_name: str | None,
    context: Context,
) -> StartedSubscription:
    """Begin a subscription under every limit of a query.

    `context` is only used to begin and may be closed afterwards. Its `resume_after` overrides an `after` argument.

    Raises:
        SubscriptionRefusedError: The document or the request is refused, or the feed cannot be opened.
    """
    try:
        build = partial(
            build_executor,
            schema,
            document,
            operation_name=operation_name,
            variables=variables,
            context=context,
            hide_suggestions=schema.limits.hide_suggestions,
        )
        executor = await schema.prepare(document, variables, build, context.caller)
        _check_operation_type(executor.operation)
        key = _selection_key(document, executor.operation, variables, context)
        selection = schema.event_selections.get(key)
        if selection is None:
            find = partial(find_bounds, context.limits, executor)
            bounds = await schema.prepare(document, variables, find, context.caller)
            enforced = schema.enforce_budget(document, context, executor, bounds)
            if enforced is not None:
                await enforced
        typed_feed = await _open_typed_feed(executor)
    except (OperationRefusedError, GraphQLError) as refusal:
        errors = to_public_errors(to_graphql_errors(refusal))
        raise SubscriptionRefusedError([dict(error.formatted) for error in errors]) from None
    if selection is None:
        new = EventSelection(key, executor, bounds, typed_feed.event_from_log)
        selection = schema.event_selections.setdefault(key, new)  # another task may have stored one meanwhile
    return StartedSubscription(typed_feed.feed, selection)


def _check_operation_type(operation: OperationDefinitionNode) -> None:
    operation_type = operation.operation
    if operation_type is not OperationType.SUBSCRIPTION:
        error = GatewayError(ErrorCode.BAD_USER_INPUT, f"Expected a subscription, got a {operation_type.value}.")
        raise GraphQLError(error.message, original_error=error)


async def _open_typed_feed(executor: Executor[Any]) -> TypedFeed[Any]:
    stream: Any = create_source_event_stream(executor)
    if optimized_is_awaitable(stream):
        stream = await stream
    if isinstance(stream, ExecutionResult):
        raise OperationRefusedError(stream.errors or [])
    typed_feed: TypedFeed[Any] = stream
    return typed_feed


def _selection_key(
    document: ParsedDocument,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
    context: Context,
) -> EventSelectionKey:
    resume_names = _resume_variables(document.node, operation)
    names = {definition.variable.name.value for definition in operation.variable_definitions or ()} - resume_names
    values = {name: value for name, value in (variables or {}).items() if name in names}
    name = operation.name.value if operation.name else None
    # The text of the cached document, not of the request, so that equal keys share one string.
    return EventSelectionKey(document.text, name, json.dumps(values, sort_keys=True, default=repr), context.limits)


def _resume_variables(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """Return the names of the variables that are only used for the subscription's `after` argument.

    Each client that reconnects has another value for them, and no rendering depends on it.
    """
    after_uses = Counter(
        argument.value.name.value
        for field in operation.selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value == "after" and isinstance(argument.value, VariableNode)
    )
    if not after_uses:
        return set()
    all_uses = _VariableUses()
    visit(document, all_uses)
    return {name for name, count in after_uses.items() if all_uses.counts[name] == count}


class _VariableUses(Visitor):
    """Counts the uses of each variable in a document."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def enter_variable(self, node: VariableNode, _key: Any, parent: Any, *_rest: Any) -> None:
        if not isinstance(parent, VariableDefinitionNode):
            self.counts[node.name.value] += 1
