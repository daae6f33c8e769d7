"""The events of runs and threads as users see them who may not see instructions.

Subscribers of the same selection share the rendering of an event, and tell events apart by identity. So each event has
one redacted event, for all feeds and for as long as the event lives.
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

from gateway.identity.permissions import Permissions
from schema.contract.ports import EventFeed
from schema.contract.run_events import RunEvent


class RedactedEvents:
    """The redacted events of this process, one for each event that is still held elsewhere."""

    def __init__(self) -> None:
        self._by_id: dict[int, tuple[ref[RunEvent], RunEvent]] = {}

    def __len__(self) -> int:
        """Count the redacted events."""
        return len(self._by_id)

    def find_event(self, event: RunEvent, permissions: Permissions) -> RunEvent:
        """Return an event as the user with these rights sees it, always the same object for the same event."""
        if (found := self._by_id.get(id(event))) is not None and not permissions.sees_all:
            return found[1]
        redacted = permissions.redact_event(event)
        if redacted is not event:
            key = id(event)
            self._by_id[key] = (ref(event, lambda _: self._by_id.pop(key, None)), redacted)
        return redacted


class RedactedFeed:
    """The feed of one subscriber, whose events are those that its user may see."""

    def __init__(self, feed: EventFeed, events: RedactedEvents, permissions: Permissions) -> None:
        self._feed = feed
        self._events = events
        self._permissions = permissions

    def poll_event(self) -> RunEvent | None:
        event = self._feed.poll_event()
        return None if event is None else self._events.find_event(event, self._permissions)

    def on_available(self, callback: Callable[[], None]) -> None:
        self._feed.on_available(callback)

    def __aiter__(self) -> RedactedFeed:
        return self

    async def __anext__(self) -> RunEvent:
        return self._events.find_event(await anext(self._feed), self._permissions)

    async def aclose(self) -> None:
        await self._feed.aclose()
