"""Relay connections over the upstream's lists: planned from arguments, loaded page by page, converted to nodes.

Source: the Relay specification "GraphQL Cursor Connections".
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar, cast

import strawberry

from schema.contract.kinds import AnyKind
from schema.contract.paging import MAX_FURTHER_PAGES, UPSTREAM_PAGE_SIZE, CursorScope, Window
from schema.contract.wire import Page
from schema.engine.context import Info
from schema.engine.deferred import then
from schema.engine.direct_calls import own_key
from schema.engine.loaders import Loaders
from schema.graph.documented_field import documented_field, loading_field, plain_field

NodeT = TypeVar("NodeT")

First: TypeAlias = Annotated[
    int | None,
    strawberry.argument(
        description="At most this many objects, from the oldest on; 1 to 1,000. Without `first` and `last` it is 20."
    ),
]
After: TypeAlias = Annotated[
    str | None, strawberry.argument(description="Return only objects after this cursor. Use it with `first`.")
]
Last: TypeAlias = Annotated[
    int | None,
    strawberry.argument(description="At most this many of the newest objects, still oldest first; 1 to 1,000."),
]
Before: TypeAlias = Annotated[
    str | None, strawberry.argument(description="Return only objects before this cursor. Use it with `last`.")
]


class PositionScope(Protocol):
    """The list that positions belong to. It makes their cursors."""

    def to_cursor(self, position: Any, /) -> str:
        """Make the cursor of a position in this list."""


@strawberry.type(description="The position of a page in its list.")
class PageInfo:
    """Source: the section "PageInfo" of the Relay specification."""

    has_next_page: bool = plain_field("Whether the list goes on after this page: with newer objects, if oldest first.")
    has_previous_page: bool = plain_field("Whether the list has objects before this page: older ones, if oldest first.")
    positions: strawberry.Private[Sequence[Any]]
    """The position of each object of the page, as the scope reads it: the object's id, or more."""
    start: strawberry.Private[Any]
    end: strawberry.Private[Any]
    scope: strawberry.Private[PositionScope]

    @documented_field
    def start_cursor(self) -> str | None:
        """The cursor of the first edge, for `before`. Null on an empty page, unless objects precede it."""
        return None if self.start is None else self.scope.to_cursor(self.start)

    @documented_field
    def end_cursor(self) -> str | None:
        """The cursor of the last edge, for `after`. Null on an empty page, unless objects follow it."""
        return None if self.end is None else self.scope.to_cursor(self.end)


@strawberry.type(description="One object in a list, with its cursor.")
class Edge(Generic[NodeT]):
    """Source: the section "Edge Types" of the Relay specification."""

    node: NodeT = plain_field("The object.")
    position: strawberry.Private[Any]
    scope: strawberry.Private[PositionScope]

    @documented_field
    def cursor(self) -> str:
        """The position of the object in the list, for `after` and `before`. Opaque."""
        return self.scope.to_cursor(self.position)


@strawberry.type(description="A page of a list, oldest first. It has no totals, because the API has none.")
class Connection(Generic[NodeT]):
    """Source: the section "Connection Types" of the Relay specification. `nodes` is the short way without edges."""

    nodes: list[NodeT] = plain_field("The objects of this page.")
    page_info: PageInfo = plain_field("The position of this page in its list.")

    @documented_field
    def edges(self) -> list[Edge[NodeT]]:
        """The objects of this page, each with its cursor."""
        scope, positions = self.page_info.scope, self.page_info.positions
        return [
            Edge(node=node, position=position, scope=scope)
            for position, node in zip(positions, self.nodes, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class ConnectionPlan(Generic[NodeT]):
    """The part of a list that a field shows, and the conversion of its objects to nodes."""

    kind: AnyKind
    key: Any
    scope: CursorScope
    make_node: Callable[[Any], NodeT]
    proves_owner: bool = True
    """Whether the upstream refuses this list if its owner does not exist. A filtered list may be empty instead."""
    to_result: Callable[[ConnectionPlan[Any], Page[Any]], Any] | None = None
    """Makes the field's value of the page. Without it the value is a connection."""

    @property
    def first_page_key(self) -> Any:
        """The key of the first upstream page."""
        window: Window = self.key.window
        return self.key._replace(window=window._replace(limit=min(window.limit, UPSTREAM_PAGE_SIZE)))

    @property
    def is_proof(self) -> bool:
        """Whether the first upstream page proves that the owner exists."""
        return self.proves_owner and self.key.window.after is None

    def start_load(self, loaders: Loaders) -> asyncio.Future[Page[Any]]:
        """Start to load the first upstream page."""
        return loaders.pages(self.kind).start_load(self.first_page_key)


class ListLoad(NamedTuple):
    """The load of a list field. It follows from the key of the object that has the field."""

    plan: Callable[..., ConnectionPlan[Any]]
    """Plans the page from an object of which only the key is needed, the limits, and the field's arguments.

    It returns the field's value instead if that needs no page.
    """


def list_field(plan: Callable[..., Any]) -> Any:
    """Make a GraphQL field of a function that plans a page.

    Execution loads the plan, and so do the fields above it, ahead of time; the prediction of calls counts it.
    """
    return loading_field(
        ListLoad(plan),
        plan,
        lambda self, info, **arguments: _load(info, plan(self, info.context.limits, **arguments)),
        first_argument=2,
        find_key=own_key,
    )


def connect(plan: ConnectionPlan[NodeT]) -> Connection[NodeT]:
    """Return the plan of a connection in place of the connection, which `list_field` loads."""
    return cast("Connection[NodeT]", plan)


def _load(info: Info, plan: Any) -> Any:
    """Load the value of a list field.

    Returns the value if its page is already loaded or not needed, else an awaitable, which GraphQL execution awaits.
    """
    if not isinstance(plan, ConnectionPlan):
        return plan
    window: Window = plan.key.window
    loaders, to_result = info.context.loaders, plan.to_result or _to_connection
    first_page = plan.start_load(loaders)
    if window.limit > UPSTREAM_PAGE_SIZE:
        return _load_all_pages(loaders, plan)

    def finish(load: asyncio.Future[Page[Any]]) -> Any:
        page = load.result()
        if page.read_until is not None and page.has_more and len(page.data) < window.limit:
            return _load_all_pages(loaders, plan)
        return to_result(plan, _without_known(page, window.after, set()))

    return then(first_page, finish)


async def _load_all_pages(loaders: Loaders, plan: ConnectionPlan[NodeT]) -> Connection[NodeT]:
    return _to_connection(plan, await walk_pages(loaders.pages(plan.kind).load, plan.key))


async def walk_pages(load: Callable[[Any], Awaitable[Page[Any]]], key: Any) -> Page[Any]:
    """Load a window page by page: the upstream returns at most 100 objects a page. No page is loaded without need.

    A page that brings nothing new is the last one. An upstream that ignores `after` sends such pages, and paging
    through them would never end, here and in a frontend. Where objects were left out of pages, `MAX_FURTHER_PAGES` more
    are read to fill the window; then it ends short of its limit, with more to follow.
    """
    window: Window = key.window
    collected: list[Any] = []
    seen: set[str] = set()
    after, is_filtered, further_pages = window.after, False, MAX_FURTHER_PAGES
    while True:
        limit = UPSTREAM_PAGE_SIZE if is_filtered else min(window.limit - len(collected), UPSTREAM_PAGE_SIZE)
        page = _without_known(await load(key._replace(window=Window(limit, window.order, after))), after, seen)
        collected += page.data
        if len(collected) > window.limit:
            return Page(data=collected[: window.limit], has_more=True)
        if len(collected) == window.limit or not page.has_more:
            return Page(data=collected, has_more=page.has_more, read_until=page.read_until)
        if page.read_until is not None:
            if not further_pages:
                return Page(data=collected, has_more=True, read_until=page.read_until)
            is_filtered, further_pages = True, further_pages - 1
        after = page.read_until or page.data[-1].id


def _without_known(page: Page[Any], after: str | None, seen: set[str]) -> Page[Any]:
    """Return a page without `after` and the objects in `seen`, and add its ids to `seen`. An empty page is the last."""
    if after is not None:
        seen.add(after)
    new_objects: list[Any] = []
    brings_new = page.read_until is not None and page.read_until not in seen
    for item in page.data:
        if item.id not in seen:
            seen.add(item.id)
            new_objects.append(item)
    if new_objects and len(new_objects) == len(page.data):
        return page
    if page.read_until is not None:
        seen.add(page.read_until)
    has_more = page.has_more and (brings_new or bool(new_objects))
    return Page(data=new_objects, has_more=has_more, read_until=page.read_until)


def _to_connection(plan: ConnectionPlan[NodeT], page: Page[Any]) -> Connection[NodeT]:
    window: Window = plan.key.window
    objects = page.data[::-1] if window.backwards else page.data
    object_ids = [item.id for item in objects]
    has_cursor = window.after is not None
    start_id, end_id = (object_ids[0], object_ids[-1]) if object_ids else (None, None)
    if page.has_more and page.read_until is not None:
        start_id, end_id = (page.read_until, end_id) if window.backwards else (start_id, page.read_until)
    return Connection(
        nodes=[plan.make_node(item) for item in objects],
        page_info=PageInfo(
            has_next_page=has_cursor if window.backwards else page.has_more,
            has_previous_page=page.has_more if window.backwards else has_cursor,
            positions=object_ids,
            start=start_id,
            end=end_id,
            scope=plan.scope,
        ),
    )
