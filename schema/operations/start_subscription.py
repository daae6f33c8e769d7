"""Begins subscriptions: what a transport does with one, under every limit that a query is held to.

A subscription is split in two: its feed, which is one reader's own, and the rendering of an event, which does not
depend on who asks. Whoever has many subscribers of one selection renders each event once.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
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
from schema.engine.build_executor import build_executor
from schema.engine.context import Context
from schema.engine.documents import ParsedDocument
from schema.engine.public_errors import OperationRefusedError, to_graphql_errors, to_public_errors
from schema.graph.subscriptions import TypedFeed
from schema.operations.call_budget import enforce_call_budget
from schema.operations.event_execution import EventSelection, EventSelectionKey
from schema.operations.gateway_schema import GatewaySchema


class SubscriptionRefusedError(Exception):
    """The subscription did not begin; `errors` are GraphQL errors as an answer shows them, masked as any other."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        """Hold at least one error."""
        super().__init__(errors[0]["message"])
        self.errors = errors


class StartedSubscription:
    """One subscription that has begun: its own feed, and how its events are rendered, which is shared with its like.

    Whoever holds it closes the feed.
    """

    __slots__ = ("_selection", "feed")

    def __init__(self, feed: EventFeed, selection: EventSelection) -> None:
        """Show what `selection` selects of the events of `feed`."""
        self.feed = feed
        self._selection = selection

    @property
    def selection(self) -> EventSelectionKey:
        """What is rendered: equal for subscriptions whose renderings are equal, if they are one principal's.

        A variable that only says `after` which event to begin is no part of it.
        """
        return self._selection.key

    async def render(self, event: RunEvent, context: Context) -> dict[str, Any]:
        """Execute the selection on one event; gives `data` and, where there are any, `errors`, masked as any other.

        There are `extensions` too where a query would have them. `context` is made for this event and closed by
        whoever made it. No subscriber is asked for anything: two of one selection, with contexts of one principal,
        render alike. Raises nothing.
        """
        return await self._selection.render(event, context)


async def start_subscription(
    schema: GatewaySchema,
    document: ParsedDocument,
    *,
    variables: Mapping[str, Any] | None,
    operation_name: str | None,
    context: Context,
) -> StartedSubscription:
    """Begin a subscription, held to every limit that a query is held to; raises `SubscriptionRefusedError`.

    `context` serves only to begin it and may be closed afterwards; its `resume_after` wins over an `after` argument.
    """
    try:
        executor = build_executor(schema, document, operation_name=operation_name, variables=variables, context=context)
        _check_type(executor.operation)
        key = _key(document, executor.operation, variables, context)
        selection = schema.event_selections.get(key)
        if selection is None:
            enforce_call_budget(context, schema.limits.max_upstream_calls, executor)
        followed = await _follow(executor)
    except (OperationRefusedError, GraphQLError) as refusal:
        errors = to_public_errors(to_graphql_errors(refusal))
        raise SubscriptionRefusedError([dict(error.formatted) for error in errors]) from None
    if selection is None:
        made = EventSelection(key, executor, followed.log.thread_id, followed.shown)
        selection = schema.event_selections.setdefault(key, made)  # another may have been first meanwhile
    return StartedSubscription(followed.feed, selection)


def _check_type(operation: OperationDefinitionNode) -> None:
    kind = operation.operation
    if kind is not OperationType.SUBSCRIPTION:
        wrong = GatewayError(ErrorCode.BAD_USER_INPUT, f"Expected a subscription, got a {kind.value}.")
        raise GraphQLError(wrong.message, original_error=wrong)


async def _follow(executor: Executor[Any]) -> TypedFeed[Any]:
    stream: Any = create_source_event_stream(executor)
    if optimized_is_awaitable(stream):
        stream = await stream
    if isinstance(stream, ExecutionResult):
        raise OperationRefusedError(stream.errors or [])
    followed: TypedFeed[Any] = stream
    return followed


def _key(
    document: ParsedDocument,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any] | None,
    context: Context,
) -> EventSelectionKey:
    places = _variables_of_place(document.node, operation)
    names = {definition.variable.name.value for definition in operation.variable_definitions or ()} - places
    given = {name: value for name, value in (variables or {}).items() if name in names}
    name = operation.name.value if operation.name else None
    # The text of a kept document is equal to that of each request, but one for all of them.
    return EventSelectionKey(document.text, name, json.dumps(given, sort_keys=True, default=repr), context.limits)


def _variables_of_place(document: DocumentNode, operation: OperationDefinitionNode) -> set[str]:
    """Name the variables that are used for the `after` of the subscription and nowhere else.

    Each reader that comes back has another value of them, and what is rendered shows none of it.
    """
    places = Counter(
        argument.value.name.value
        for field in operation.selection_set.selections
        if isinstance(field, FieldNode)
        for argument in field.arguments or ()
        if argument.name.value == "after" and isinstance(argument.value, VariableNode)
    )
    if not places:
        return set()
    uses = _Uses()
    visit(document, uses)
    return {name for name, times in places.items() if uses.times[name] == times}


class _Uses(Visitor):
    """Counts how often a document uses each variable."""

    def __init__(self) -> None:
        super().__init__()
        self.times: Counter[str] = Counter()

    def enter_variable(self, node: VariableNode, _key: Any, parent: Any, *_rest: Any) -> None:
        if not isinstance(parent, VariableDefinitionNode):
            self.times[node.name.value] += 1
