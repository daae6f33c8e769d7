"""The event loop that the gateway runs on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


def find_loop_factory(command: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the loop of a command: for `serve` uvloop's, if it is installed. None for asyncio's own."""
    if command != "serve":
        return None
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        return None
    return uvloop.new_event_loop
