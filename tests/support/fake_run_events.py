"""A `RunEvents` that a test drives: it pushes events to whoever follows, ends the feeds, or fails them."""

import asyncio
from collections import deque
from collections.abc import Callable

from schema.contract.errors import GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.run_events import Change, Provenance, RunEvent

FIRST_MOMENT = 1_700_000_000.0
"""When the first event is written down; each further one comes a second later."""


def run_event(change: Change, provenance: Provenance = Provenance.STREAMED, number: int = 1) -> RunEvent:
    """Event number `number` of a log, whose cursor says so."""
    return RunEvent(f"cursor-{number}", FIRST_MOMENT + number - 1, provenance, change)


class FakeFeed:
    """What one reader sees; `is_closed` once it has left."""

    def __init__(self) -> None:
        self.is_closed = False
        self._here: deque[RunEvent] = deque()
        self._end: GatewayError | StopAsyncIteration | None = None
        self._news = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []

    def give(self, event: RunEvent) -> None:
        """Let the reader have an event."""
        self._here.append(event)
        self._tell()

    def finish(self, end: GatewayError | StopAsyncIteration) -> None:
        """Let nothing follow what was given."""
        self._end = end
        self._tell()

    def poll_event(self) -> RunEvent | None:
        if self._here:
            return self._here.popleft()
        if self._end is not None:
            raise self._end
        return None

    def on_available(self, callback: Callable[[], None]) -> None:
        self._callbacks.append(callback)

    def __aiter__(self) -> "FakeFeed":
        return self

    async def __anext__(self) -> RunEvent:
        while (event := self.poll_event()) is None:
            self._news.clear()
            await self._news.wait()
        return event

    async def aclose(self) -> None:
        self.is_closed = True
        self.finish(StopAsyncIteration())

    def _tell(self) -> None:
        self._news.set()
        for callback in self._callbacks:
            asyncio.get_running_loop().call_soon(callback)


class FakeRunEvents:
    """Follows nothing by itself: every open feed gets what the test pushes, whatever it follows.

    `followed` holds each request, in order: the method's word for it, the key, and the cursor. `refuse` is raised
    instead of following, for as long as it is set. `first_follow` is set once somebody follows.
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
        """Let all readers have the next event, and give it."""
        self._number += 1
        event = run_event(change, provenance, self._number)
        for feed in self.open_feeds:
            feed.give(event)
        return event

    def end(self) -> None:
        """End all feeds behind what was pushed."""
        for feed in self.open_feeds:
            feed.finish(StopAsyncIteration())

    def fail(self, error: GatewayError) -> None:
        """Fail all feeds behind what was pushed."""
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
