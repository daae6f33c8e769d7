"""Relay connections over the upstream's lists: planned from arguments, walked page by page, turned into nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, cast

import strawberry

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.paging import UPSTREAM_PAGE_SIZE, CursorScope, Window
from schema.contract.wire import Page
from schema.engine.deferred import then
from schema.engine.loaders import PageLoader
from schema.graph.documented_field import documented_field, plain_field

NodeT = TypeVar("NodeT")

First: TypeAlias = Annotated[
    int | None,
    strawberry.argument(
        description="At most this many, from the oldest on; 1 to 1,000. Without `first` and `last`, 20 are given."
    ),
]
After: TypeAlias = Annotated[
    str | None, strawberry.argument(description="Only what comes after this cursor; goes with `first`.")
]
Last: TypeAlias = Annotated[
    int | None, strawberry.argument(description="At most this many of the newest, still oldest first; 1 to 1,000.")
]
Before: TypeAlias = Annotated[
    str | None, strawberry.argument(description="Only what comes before this cursor; goes with `last`.")
]


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    """Relay's page info."""

    has_next_page: bool = plain_field("Whether newer ones follow this page.")
    has_previous_page: bool = plain_field("Whether older ones precede this page.")
    object_ids: strawberry.Private[list[str]]
    scope: strawberry.Private[CursorScope]

    @documented_field
    def start_cursor(self) -> str | None:
        """The cursor of the first edge; null on an empty page."""
        return self.scope.cursor(self.object_ids[0]) if self.object_ids else None

    @documented_field
    def end_cursor(self) -> str | None:
        """The cursor of the last edge; null on an empty page."""
        return self.scope.cursor(self.object_ids[-1]) if self.object_ids else None


@strawberry.type(description="One object in a list, and its place there.")
class Edge(Generic[NodeT]):
    """Relay's edge."""

    node: NodeT = plain_field("The object.")
    object_id: strawberry.Private[str]
    scope: strawberry.Private[CursorScope]

    @documented_field
    def cursor(self) -> str:
        """The place, to page on from. Opaque."""
        return self.scope.cursor(self.object_id)


@strawberry.type(description="A page of a list, oldest first.")
class Connection(Generic[NodeT]):
    """Relay's connection, with its nodes also at hand without edges."""

    nodes: list[NodeT] = plain_field("The objects of this page.")
    page_info: PageInfo = plain_field("Where this page stands in its list.")

    @documented_field
    def edges(self) -> list[Edge[NodeT]]:
        """The objects of this page, each with its cursor."""
        scope, object_ids = self.page_info.scope, self.page_info.object_ids
        return [
            Edge(node=node, object_id=object_id, scope=scope)
            for object_id, node in zip(object_ids, self.nodes, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class ConnectionPlan(Generic[NodeT]):
    """Which stretch of which list a connection shows, and what its objects become."""

    loader: PageLoader[Any, Any]
    key: Any
    scope: CursorScope
    make_node: Callable[[Any], NodeT]
    proves_owner: bool = True
    """Whether the upstream refuses this list when its owner is not there; a filtered list may just be empty."""

    @property
    def first_page_key(self) -> Any:
        """The first upstream page of the walk."""
        window: Window = self.key.window
        return self.key._replace(window=window._replace(limit=min(window.limit, UPSTREAM_PAGE_SIZE)))


def load_connection(plan: ConnectionPlan[NodeT]) -> Connection[NodeT]:
    """Open a connection: at once where its page is at hand, else as an awaitable, which GraphQL execution awaits."""
    after = plan.key.window.after
    first_page = plan.loader.start(plan.first_page_key)
    if plan.key.window.limit > UPSTREAM_PAGE_SIZE:
        return cast("Connection[NodeT]", _walk_and_connect(plan))
    return then(first_page, lambda load: _connection_of(plan, _continued(load.result(), after, set())))


async def _walk_and_connect(plan: ConnectionPlan[NodeT]) -> Connection[NodeT]:
    return _connection_of(plan, await walk_pages(plan.loader.load, plan.key))


async def walk_pages(load: Callable[[Any], Awaitable[Page[Any]]], key: Any) -> Page[Any]:
    """Collect a window page by page. The upstream gives at most 100 objects a page and is asked no further than needed.

    Raises what `load` raises, and a `GatewayError` for an upstream that gives an object twice, as one that
    ignores `after` does: such a walk, be it ours or a frontend's, would never end.
    """
    window: Window = key.window
    collected: list[Any] = []
    seen: set[str] = set()
    after = window.after
    while True:
        limit = min(window.limit - len(collected), UPSTREAM_PAGE_SIZE)
        page = _continued(await load(key._replace(window=Window(limit, window.order, after))), after, seen)
        collected += page.data
        if len(collected) >= window.limit or not page.has_more:
            return Page(data=collected[: window.limit], has_more=page.has_more or len(collected) > window.limit)
        after = page.data[-1].id


def _continued(page: Page[Any], after: str | None, seen: set[str]) -> Page[Any]:
    """Check that a page goes on from where it was asked to, and note what it holds; an empty page is the last."""
    if after is not None:
        seen.add(after)
    for item in page.data:
        if item.id in seen:
            raise GatewayError(
                ErrorCode.UPSTREAM_INVALID_RESPONSE,
                f"The upstream listed {item.id!r} twice; it was asked for what comes after {after!r}.",
            )
        seen.add(item.id)
    return page if page.data else Page(data=[], has_more=False)


def _connection_of(plan: ConnectionPlan[NodeT], page: Page[Any]) -> Connection[NodeT]:
    window: Window = plan.key.window
    objects = page.data[::-1] if window.backwards else page.data
    object_ids = [item.id for item in objects]
    came_from_somewhere = window.after is not None
    return Connection(
        nodes=[plan.make_node(item) for item in objects],
        page_info=PageInfo(
            has_next_page=came_from_somewhere if window.backwards else page.has_more,
            has_previous_page=page.has_more if window.backwards else came_from_somewhere,
            object_ids=object_ids,
            scope=plan.scope,
        ),
    )
