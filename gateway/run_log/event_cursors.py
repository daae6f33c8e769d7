"""Cursors: a position in the log of one run or thread, as an opaque text. Pure."""

from __future__ import annotations

import re

from gateway.run_log.store.event_log import LogPosition
from schema.contract.errors import bad_argument
from schema.contract.keys import TYPE_NAMES, InvalidOpaqueTextError, RunKey, ThreadKey, from_opaque, to_opaque

_KIND = "event"
_EPOCH = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,14}\Z")


def to_cursor(key: RunKey | ThreadKey, position: LogPosition) -> str:
    """Return the cursor of an event, from its position in the log of `key`."""
    return to_opaque(_KIND, TYPE_NAMES[type(key)], *key, position.epoch, str(position.number))


def position_from_cursor(text: str, key: RunKey | ThreadKey) -> LogPosition:
    """Decode a cursor that was made for `key`. Raises `BAD_USER_INPUT` for any other text."""
    try:
        *owner, epoch, number = from_opaque(text)
    except (InvalidOpaqueTextError, ValueError):
        raise _refused(text, key) from None
    if owner != [_KIND, TYPE_NAMES[type(key)], *key] or not _EPOCH.match(epoch) or not _NUMBER.match(number):
        raise _refused(text, key)
    return LogPosition(epoch, int(number))


def _refused(text: str, key: RunKey | ThreadKey) -> Exception:
    type_name = TYPE_NAMES[type(key)].lower()
    return bad_argument("after", f"a cursor made by this gateway for this {type_name}", text)
