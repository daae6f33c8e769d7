"""Paging: converts Relay's arguments to the upstream's, and cursors to object ids. Pure.

The natural order is oldest first. `first`/`after` walks it forwards (`order=asc&after=`). `last`/`before` walks it
backwards (`order=desc&after=`), and the page is reversed afterwards. The upstream's own `before` is never used, because
servers disagree about its meaning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from schema.contract.errors import bad_argument
from schema.contract.keys import InvalidOpaqueTextError, from_opaque, is_upstream_id, to_opaque

Order: TypeAlias = Literal["asc", "desc"]

DEFAULT_PAGE_SIZE = 20
UPSTREAM_PAGE_SIZE = 100
"""Limit of objects per upstream page. Source: the parameter `limit` of every list operation in the specification."""


MAX_FURTHER_PAGES = 4
"""Limit of the pages read in addition, to fill a page of one run's messages where the upstream ignores `run_id`."""


@dataclass(frozen=True, slots=True)
class PagingLimits:
    """Limits of one connection."""

    max_page_size: int = 1000


class Window(NamedTuple):
    """A part of one upstream list: at most `limit` objects in `order`, after the object with the id `after`."""

    limit: int
    order: Order
    after: str | None = None

    @property
    def backwards(self) -> bool:
        """Whether the list is walked from its newest object."""
        return self.order == "desc"


@dataclass(frozen=True, slots=True)
class CursorScope:
    """The list that a cursor belongs to: the name of its connection and the key of the list's parent object."""

    connection: str
    parent_key: tuple[str, ...] = ()

    def to_cursor(self, object_id: str, /) -> str:
        """Make the cursor of an object in this list."""
        return to_opaque("cursor", self.connection, *self.parent_key, object_id)

    def object_id_from_cursor(self, cursor: str, argument: str) -> str:
        """Return the object id in a cursor of this list. Raises a `GatewayError` for any other text."""
        try:
            parts = from_opaque(cursor)
        except InvalidOpaqueTextError:
            raise bad_argument(argument, "a cursor made by this gateway", cursor) from None
        stem = ["cursor", self.connection, *self.parent_key]
        if parts[:-1] != stem or not is_upstream_id(parts[-1]):
            raise bad_argument(argument, f"a cursor of this {self.connection} connection", cursor)
        return parts[-1]


class PageArguments(NamedTuple):
    """Relay's arguments for one page, checked: its size, its direction and its cursor."""

    size: int
    backwards: bool
    cursor: str | None

    @property
    def cursor_argument(self) -> str:
        """The name of the argument that has the cursor."""
        return "before" if self.backwards else "after"


def read_page_arguments(
    limits: PagingLimits,
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> PageArguments:
    """Check Relay's arguments. The cursor is not read yet.

    At most one of `first` and `last`, from 1 to the limit. `after` goes with `first`, and `before` with `last`.
    Without a size the page holds 20 objects: the last 20 before `before`, else the first 20 after `after`.

    Raises:
        GatewayError: An argument is refused; the error names it.
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
        return PageArguments(last or DEFAULT_PAGE_SIZE, True, before)
    return PageArguments(first or DEFAULT_PAGE_SIZE, False, after)


def window_from_arguments(
    scope: CursorScope,
    limits: PagingLimits,
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> Window:
    """Convert Relay's arguments, as `read_page_arguments` checks them, to a window of the upstream's list.

    Raises:
        GatewayError: An argument is refused; the error names it.
    """
    page = read_page_arguments(limits, first=first, after=after, last=last, before=before)
    cursor_id = None if page.cursor is None else scope.object_id_from_cursor(page.cursor, page.cursor_argument)
    return Window(page.size, "desc" if page.backwards else "asc", cursor_id)
