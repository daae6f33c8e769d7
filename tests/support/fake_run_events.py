"""A fake `RunEvents` for tests: it pushes events to all readers, ends their feeds, or fails them."""

import asyncio
from collections import deque
from collections.abc import Callable

from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.run_events import Change, Provenance, RunEvent

FIRST_MOMENT = 1_700_000_000.0
"""The time of the first event. Each further event comes one second later."""


def run_event(change: Change, provenance: Provenance = Provenance.STREAMED, number: int = 1) -> RunEvent:
    """Return the event number `number` of a log, with the matching cursor."""
    return RunEvent(f"cursor-{number}", FIRST_MOMENT + number - 1, provenance, change)


class FakeFeed:
    """The feed of one reader. `is_closed` is set once the reader has closed it."""

    def __init__(self) -> None:
        self.is_closed = False
        self._events: deque[RunEvent] = deque()
        self._end: GatewayError | StopAsyncIteration | None = None
        self._available = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []

    def push_event(self, event: RunEvent) -> None:
        """Send an event to the reader."""
        self._events.append(event)
        self._notify()

    def finish(self, end: GatewayError | StopAsyncIteration) -> None:
        """End the feed after the events so far."""
        self._end = end
        self._notify()

    def poll_event(self) -> RunEvent | None:
        if self._events:
            return self._events.popleft()
        if self._end is not None:
            raise self._end
        return None

    def on_available(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def __aiter__(self) -> "FakeFeed":
        return self

    async def __anext__(self) -> RunEvent:
        while (event := self.poll_event()) is None:
            self._available.clear()
            await self._available.wait()
        return event

    async def aclose(self) -> None:
        self.is_closed = True
        self.finish(StopAsyncIteration())

    def _notify(self) -> None:
        self._available.set()
        for callback in self._callbacks:
            asyncio.get_running_loop().call_soon(callback)


class FakeRunEvents:
    """Follows no real run: every open feed gets the events that the test pushes.

    `followed` holds each request, in order: the name of the method, the key, and the cursor. `refuse` is raised instead
    of following, as long as it is set. `first_follow` is set at the first request.
    """

    def __init__(self) -> None:
        self.followed: list[tuple[str, RunKey | ThreadKey, str | None]] = []
        self.feeds: list[FakeFeed] = []
        self.refuse: Exception | None = None
        self.first_follow = asyncio.Event()
        self._number = 0

    @property
    def open_feeds(self) -> list[FakeFeed]:
        return [feed for feed in self.feeds if not feed.is_closed]

    def push(self, change: Change, provenance: Provenance = Provenance.STREAMED) -> RunEvent:
        """Send the next event to all readers, and return it."""
        self._number += 1
        event = run_event(change, provenance, self._number)
        for feed in self.open_feeds:
            feed.push_event(event)
        return event

    def end(self) -> None:
        """End all feeds after the events so far."""
        for feed in self.open_feeds:
            feed.finish(StopAsyncIteration())

    def fail(self, error: GatewayError) -> None:
        """Fail all feeds after the events so far."""
        for feed in self.open_feeds:
            feed.finish(error)

    async def follow_status(self, key: RunKey, *, after: str | None = None) -> FakeFeed:
        return self._follow("status", key, after)

    async def follow_run(self, key: RunKey, *, after: str | None = None) -> FakeFeed:
        return self._follow("run", key, after)

    async def follow_thread(self, key: ThreadKey, *, after: str | None = None) -> FakeFeed:
        return self._follow("thread", key, after)

    def _follow(self, what: str, key: RunKey | ThreadKey, after: str | None) -> FakeFeed:
        self.followed.append((what, key, after))
        if self.refuse is not None:
            raise self.refuse
        self.feeds.append(FakeFeed())
        self.first_follow.set()
        return self.feeds[-1]
