"""The open event streams of runs. A stream sends each event when it is due, and sees changes by other requests.

A stream only observes: its run goes on by the clock with or without a reader, so closing a stream stops nothing by
itself.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from gateway.emulator.clock import Clock
from gateway.emulator.objects import Message
from gateway.emulator.runs.lifecycle import due_events, next_event_at
from gateway.emulator.runs.progress import Progress, apply_event
from gateway.emulator.state.store import Store
from gateway.emulator.streams.stream_events import StreamReply, ends_stream


@dataclass(frozen=True, slots=True)
class PartitionedThreadKey:
    """The key of a thread: its partition and its id."""

    partition: str
    thread_id: str


class OpenStreams:
    """All streams that are being read. A request can wake those of a thread, and the server can stop all."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._wakeups: defaultdict[PartitionedThreadKey, set[asyncio.Event]] = defaultdict(set)
        self._stopped = asyncio.Event()

    def __len__(self) -> int:
        return sum(len(wakeups) for wakeups in self._wakeups.values())

    def wake_streams(self, thread: PartitionedThreadKey) -> None:
        """Let the streams of a thread read their timelines again, since a request may have changed them."""
        for wakeup in self._wakeups.get(thread, ()):
            wakeup.set()

    def stop_all(self) -> None:
        """End every stream at once, without its `done` event: the server stops, the runs do not."""
        self._stopped.set()
        for wakeups in self._wakeups.values():
            for wakeup in wakeups:
                wakeup.set()

    async def wait_stopped(self) -> None:
        """Return once `stop_all` has been called."""
        await self._stopped.wait()

    async def wait_for_end(self, partition: str, streamed: StreamReply) -> None:
        """Return at the end of a run's stream, or once the server stops, without showing the stream."""
        async with aclosing(self.frames(partition, streamed)) as frames:
            async for _ in frames:
                pass

    async def frames(self, partition: str, streamed: StreamReply) -> AsyncGenerator[bytes, None]:
        """Yield the frames of a run's stream, each when it is due, until the run ends or waits for its client.

        Raises:
            ValueError: The run's timeline has no end.
        """
        progress, applied, form = streamed.progress, streamed.applied, streamed.form
        run_id = progress.run.id
        thread = PartitionedThreadKey(partition, progress.run.thread_id)
        for event in streamed.opening_events:
            yield event.to_frame()
        with self._registered_wakeup(thread) as wakeup:
            # Set, so that the first round reads the timeline.
            wakeup.set()
            while not self._stopped.is_set():
                if wakeup.is_set():
                    wakeup.clear()
                    # Applied events are a prefix of the timeline that never changes, so the count stays right.
                    timeline, _ = self._store.load_timeline(partition, run_id)
                    progress = self._with_metadata(partition, progress)
                if not timeline:
                    # The thread was deleted while its stream was open. That a stream ends like this is assumed.
                    yield form.render_missing(run_id).to_frame()
                    yield form.done_frame
                    return
                for timed in due_events(timeline, applied, self._clock.now()):
                    before, progress, applied = progress, apply_event(progress, timed), applied + 1
                    for event in form.render_event(before, timed.event, progress):
                        yield event.to_frame()
                    if ends_stream(timed.event):
                        yield form.done_frame
                        return
                next_at = next_event_at(timeline, applied)
                if next_at is None:
                    message = f"expected the timeline of {run_id} to have an end, got {applied} events without one"
                    raise ValueError(message)
                if not wakeup.is_set():
                    await _wait_for_first(self._clock.sleep_until(next_at), wakeup.wait())

    @contextmanager
    def _registered_wakeup(self, thread: PartitionedThreadKey) -> Iterator[asyncio.Event]:
        wakeup = asyncio.Event()
        self._wakeups[thread].add(wakeup)
        try:
            yield wakeup
        finally:
            self._wakeups[thread].discard(wakeup)
            if not self._wakeups[thread]:
                del self._wakeups[thread]

    def _with_metadata(self, partition: str, progress: Progress) -> Progress:
        """Return the progress with the current metadata of the run and its messages, which clients may change."""
        run = self._store.runs.get(partition, progress.run.id) or progress.run

        def with_current_metadata(message: Message) -> Message:
            stored = self._store.messages.get(partition, message.id) or message
            return replace(message, metadata=stored.metadata)

        return replace(
            progress,
            run=replace(progress.run, metadata=run.metadata),
            messages={message.id: with_current_metadata(message) for message in progress.messages.values()},
        )


async def _wait_for_first(*waits: Coroutine[Any, Any, object]) -> None:
    """Return as soon as one of the waits is over, and cancel the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
