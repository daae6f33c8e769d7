"""Shows runs as streams while their time goes by: waits for the clock, and for whoever changes a run meanwhile.

A stream only looks on. The run goes on by the clock whether anybody reads or not, so closing a stream stops nothing.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from gateway.emulator.bodies.api_errors import not_found
from gateway.emulator.clock import Clock
from gateway.emulator.objects import ApiVersion, Message
from gateway.emulator.runs.lifecycle import due_events, next_event_at
from gateway.emulator.runs.progress import Progress, apply_event
from gateway.emulator.state.store import Store
from gateway.emulator.streams.stream_events import (
    DONE_FRAME,
    ServerSentEvent,
    StreamedRun,
    ends_stream,
    events_to_stream,
)


@dataclass(frozen=True, slots=True)
class ThreadKey:
    """A thread of a partition."""

    partition: str
    thread_id: str


class OpenStreams:
    """All streams that are being read, and the two things that can happen to them from outside."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wakeups: defaultdict[ThreadKey, set[asyncio.Event]] = defaultdict(set)
        self._stopped = asyncio.Event()

    def __len__(self) -> int:
        return sum(len(wakeups) for wakeups in self._wakeups.values())

    def wake_streams(self, thread: ThreadKey) -> None:
        """Let the streams of a thread look anew, since a request may have changed what is to come."""
        for wakeup in self._wakeups.get(thread, ()):
            wakeup.set()

    def stop(self) -> None:
        """End every stream where it is, without ``done``: the server stops, the run does not."""
        self._stopped.set()
        for wakeups in self._wakeups.values():
            for wakeup in wakeups:
                wakeup.set()

    async def wait_stopped(self) -> None:
        """Return once the server stops."""
        await self._stopped.wait()

    async def frames(self, partition: str, streamed: StreamedRun, version: ApiVersion) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a run's stream, each when it is due, until the run ends or waits for its client."""
        progress, applied = streamed.progress, streamed.applied
        run_id = progress.run.id
        thread = ThreadKey(partition, progress.run.thread_id)
        for event in streamed.opening_events:
            yield event.to_frame()
        with self._wakeup(thread) as wakeup:
            # Rung, so that the first round reads the timeline.
            wakeup.set()
            while not self._stopped.is_set():
                if wakeup.is_set():
                    wakeup.clear()
                    # What has happened is a prefix that no intervention changes, so the count stays right.
                    timeline, _ = self._store.load_timeline(partition, run_id)
                    progress = self._with_metadata(partition, progress)
                if not timeline:
                    # The thread was deleted under the stream. That a stream ends so is assumed.
                    yield ServerSentEvent("error", not_found("run", run_id).body()).to_frame()
                    yield DONE_FRAME
                    return
                for timed in due_events(timeline, applied, self._clock.now()):
                    before, progress, applied = progress, apply_event(progress, timed), applied + 1
                    for event in events_to_stream(
                        before, timed.event, progress, version, with_search_content=streamed.with_search_content
                    ):
                        yield event.to_frame()
                    if ends_stream(timed.event):
                        yield DONE_FRAME
                        return
                upcoming = next_event_at(timeline, applied)
                if upcoming is None:
                    message = f"expected the timeline of {run_id} to have an end, got {applied} events without one"
                    raise ValueError(message)
                if not wakeup.is_set():
                    await _wait_for_first(self._clock.sleep_until(upcoming), wakeup.wait())

    @contextmanager
    def _wakeup(self, thread: ThreadKey) -> Iterator[asyncio.Event]:
        wakeup = asyncio.Event()
        self._wakeups[thread].add(wakeup)
        try:
            yield wakeup
        finally:
            self._wakeups[thread].discard(wakeup)
            if not self._wakeups[thread]:
                del self._wakeups[thread]

    def _with_metadata(self, partition: str, progress: Progress) -> Progress:
        """Return the progress with the metadata that clients have put on the run and its messages meanwhile."""
        run = self._store.runs.get(partition, progress.run.id) or progress.run

        def current(message: Message) -> Message:
            stored = self._store.messages.get(partition, message.id) or message
            return replace(message, metadata=stored.metadata)

        return replace(
            progress,
            run=replace(progress.run, metadata=run.metadata),
            messages={message.id: current(message) for message in progress.messages.values()},
        )


async def _wait_for_first(*waits: Coroutine[Any, Any, object]) -> None:
    """Return as soon as one of the waits is over; the others end with it."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
