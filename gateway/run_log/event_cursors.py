"""Cursors: a position in the log of one run, thread or viewer, as an opaque text. Pure."""

from __future__ import annotations

import re

from gateway.run_log.store.event_log import LogKey, LogPosition, log_kind
from schema.contract.errors import bad_argument
from schema.contract.keys import InvalidOpaqueTextError, from_opaque, to_opaque

_KIND = "event"
_EPOCH = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,14}\Z")


def to_cursor(key: LogKey, position: LogPosition) -> str:
    """Return the cursor of an event, from its position in the log of `key`."""
    return to_opaque(_KIND, log_kind(key), *key, position.epoch, str(position.number))


def position_from_cursor(text: str, key: LogKey) -> LogPosition:
    """Decode a cursor that was made for `key`. Raises `BAD_USER_INPUT` for any other text."""
    try:
        *owner, epoch, number = from_opaque(text)
    except (InvalidOpaqueTextError, ValueError):
        raise _refused(text, key) from None
    if owner != [_KIND, log_kind(key), *key] or not _EPOCH.match(epoch) or not _NUMBER.match(number):
        raise _refused(text, key)
    return LogPosition(epoch, int(number))


def _refused(text: str, key: LogKey) -> Exception:
    type_name = log_kind(key).lower()
    return bad_argument("after", f"a cursor made by this gateway for this {type_name}", text)
