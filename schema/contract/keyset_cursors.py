"""Cursors of the lists that the gateway keeps: each holds the position of one item in one list. Pure.

A list is one order of the items that meet one set of conditions. A cursor of another order or other conditions is
refused, because its position would mean nothing there.
"""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from hashlib import blake2b
from typing import Generic

from schema.contract.errors import bad_argument
from schema.contract.keys import InvalidOpaqueTextError, from_opaque, is_upstream_id, to_opaque
from schema.contract.paging import PagingLimits, read_page_arguments
from schema.contract.thread_records import (
    KeysetWindow,
    PositionT,
    RecordFilter,
    RecordOrder,
    RecordPosition,
    WaitingRunPosition,
)


@dataclass(frozen=True, slots=True)
class KeysetScope(Generic[PositionT]):
    """The list that a cursor belongs to: its name, the type of its positions, and its order and conditions as texts."""

    connection: str
    position_type: type[PositionT]
    variant: tuple[str, ...] = ()

    def to_cursor(self, position: PositionT, /) -> str:
        """Make the cursor of a position in this list."""
        return to_opaque("cursor", self.connection, *self.variant, *map(str, position))

    def position_from_cursor(self, cursor: str, argument: str) -> PositionT:
        """Return the position in a cursor of this list. Raises a `GatewayError` for any other text."""
        try:
            kind, connection, *parts = from_opaque(cursor)
        except (InvalidOpaqueTextError, ValueError):
            raise bad_argument(argument, "a cursor made by this gateway", cursor) from None
        variant, position = tuple(parts[: len(self.variant)]), parts[len(self.variant) :]
        if (kind, connection) != ("cursor", self.connection) or len(position) != len(self.position_type._fields):
            raise bad_argument(argument, f"a cursor of the list {self.connection}", cursor)
        if variant != self.variant:
            raise bad_argument(argument, "a cursor of the same list: with this filter, and in this order", cursor)
        time, *ids = position
        if not time.removeprefix("-").isdecimal() or not time.isascii() or not all(map(is_upstream_id, ids)):
            raise bad_argument(argument, "a cursor made by this gateway", cursor)
        return self.position_type(int(time), *ids)


WAITING_RUNS = KeysetScope("viewer.waitingRuns", WaitingRunPosition)
"""The scope of the cursors of waiting runs."""


def record_scope(conditions: RecordFilter, order: RecordOrder) -> KeysetScope[RecordPosition]:
    """Make the scope of the cursors of a list of records. The conditions stand in it as a digest."""
    digest = blake2b(json.dumps(astuple(conditions)).encode(), digest_size=8).hexdigest()
    return KeysetScope("viewer.threads", RecordPosition, (order.value, digest))


def keyset_window_from_arguments(
    scope: KeysetScope[PositionT],
    limits: PagingLimits,
    *,
    first: int | None = None,
    after: str | None = None,
    last: int | None = None,
    before: str | None = None,
) -> KeysetWindow[PositionT]:
    """Convert Relay's arguments to a window of a list that the gateway keeps.

    Raises:
        GatewayError: An argument is refused; the error names it.
    """
    page = read_page_arguments(limits, first=first, after=after, last=last, before=before)
    position = None if page.cursor is None else scope.position_from_cursor(page.cursor, page.cursor_argument)
    return KeysetWindow(page.size, position, page.backwards)
