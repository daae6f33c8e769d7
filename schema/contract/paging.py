"""Relay's paging arguments turned into the upstream's, and cursors into object ids. Pure.

The natural order is oldest first. `first`/`after` walks it forwards (`order=asc&after=`), `last`/`before` walks it
backwards (`order=desc&after=`) and the page is turned round afterwards. The upstream's own `before` is never used,
because servers disagree about what it means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from schema.contract.errors import bad_argument
from schema.contract.keys import NotOpaqueError, from_opaque, is_upstream_id, to_opaque

Order: TypeAlias = Literal["asc", "desc"]

DEFAULT_PAGE_SIZE = 20
UPSTREAM_PAGE_SIZE = 100
"""Most objects in one upstream page. Source: `limit` of every list operation in the API's specification."""


@dataclass(frozen=True, slots=True)
class PagingLimits:
    """How much one connection may return."""

    max_page_size: int = 1000


class Window(NamedTuple):
    """A stretch of one upstream list: at most `limit` objects in `order`, after the object `after`."""

    limit: int
    order: Order
    after: str | None = None

    @property
    def backwards(self) -> bool:
        """Tell whether the list is walked from its newest object."""
        return self.order == "desc"


@dataclass(frozen=True, slots=True)
class CursorScope:
    """The list that a cursor belongs to: the name of its connection and the ids of the list's owner."""

    connection: str
    owner: tuple[str, ...] = ()

    def cursor(self, object_id: str) -> str:
        """Make the cursor of one object of this list."""
        return to_opaque("cursor", self.connection, *self.owner, object_id)

    def object_id(self, cursor: str, argument: str) -> str:
        """Read a cursor of this list; raises a `GatewayError` naming the argument for any other text."""
        try:
            parts = from_opaque(cursor)
        except NotOpaqueError:
            raise bad_argument(argument, "a cursor made by this gateway", cursor) from None
        stem = ["cursor", self.connection, *self.owner]
        if parts[:-1] != stem or not is_upstream_id(parts[-1]):
            raise bad_argument(argument, f"a cursor of this {self.connection} connection", cursor)
        return parts[-1]


def plan_window(
    scope: CursorScope,
    limits: PagingLimits,
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> Window:
    """Turn Relay arguments into a window of the upstream's list.

    At most one of `first` and `last`, from 1 to the limit; `after` goes with `first` and `before` with `last`.
    With neither size the page holds 20: the last 20 before `before`, else the first 20 after `after`.
    Raises a `GatewayError` that names the argument at fault.
    """
    if first is not None and last is not None:
        raise bad_argument("last", "either 'first' or 'last', not both", last)
    if after is not None and before is not None:
        raise bad_argument("before", "either 'after' or 'before', not both", before)
    if last is not None and after is not None:
        raise bad_argument("after", "'before' as the companion of 'last'", after)
    if first is not None and before is not None:
        raise bad_argument("before", "'after' as the companion of 'first'", before)
    for argument, size in (("first", first), ("last", last)):
        if size is not None and not 1 <= size <= limits.max_page_size:
            raise bad_argument(argument, f"an integer from 1 to {limits.max_page_size}", size)
    if last is not None or before is not None:
        cursor_id = None if before is None else scope.object_id(before, "before")
        return Window(last or DEFAULT_PAGE_SIZE, "desc", cursor_id)
    cursor_id = None if after is None else scope.object_id(after, "after")
    return Window(first or DEFAULT_PAGE_SIZE, "asc", cursor_id)
