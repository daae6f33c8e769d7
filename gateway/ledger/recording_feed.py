"""The feed of one subscriber, whose process knows whose the files of an event are before the event is shown."""

from __future__ import annotations

from collections.abc import Callable

from schema.contract.ports import EventFeed
from schema.contract.run_events import RunEvent


class RecordingFeed:
    """Passes on events, and calls `record` with each before.

    What wrote the log has recorded the files that runs made. If the ledger was away, it knows them, and this process
    would not.
    """

    def __init__(self, feed: EventFeed, record: Callable[[RunEvent], None]) -> None:
        self._feed = feed
        self._record = record

    def poll_event(self) -> RunEvent | None:
        event = self._feed.poll_event()
        if event is not None:
            self._record(event)
        return event

    def on_available(self, callback: Callable[[], None]) -> None:
        self._feed.on_available(callback)

    def __aiter__(self) -> RecordingFeed:
        return self

    async def __anext__(self) -> RunEvent:
        event = await anext(self._feed)
        self._record(event)
        return event

    async def aclose(self) -> None:
        await self._feed.aclose()
