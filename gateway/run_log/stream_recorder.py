"""Takes a run's stream over and writes all that it tells into the run's log, whoever listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto

from gateway.run_log.follow_session import FollowSession
from gateway.run_log.log_writer import LogWriter, LogWriterFactory
from gateway.run_log.run_state import FINAL_STEP_STATUSES, RunState
from gateway.run_log.store.event_log import LeaseLostError
from gateway.run_log.stream_diff import diff_stream_event, first_snapshot
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.run_events import Change, FaultChange, Provenance, SnapshotChange, StatusChange, is_terminal
from schema.contract.run_streams import RunStream, StreamEvent
from schema.contract.wire import MessageObject, RunObject, RunStepObject, ThreadObject

_logger = logging.getLogger(__name__)

STREAM_INTERRUPTED = "STREAM_INTERRUPTED"
_MAX_EARLY_EVENTS = 1_000


class _Outcome(Enum):
    """What becomes of a stream after some of its events."""

    GOES_ON = auto()
    WAITS = auto()
    ENDED = auto()
    BROKE = auto()
    UNSETTLED = auto()
    """The run is over, but not all that it did was told: whoever watches looks before the end is shown."""


class _Telling:
    """The state of a run as its stream tells it, ahead of the log."""

    def __init__(self, state: RunState) -> None:
        self.is_partial = False
        """Whether some of what the run did was told to nobody here."""
        self.state = state
        self.changes: list[Change] = []
        self._end: StatusChange | None = None

    @property
    def end(self) -> StatusChange | None:
        """The end that was told before all that leads to it."""
        return self._end

    def begin(self, snapshot: SnapshotChange) -> None:
        """Begin with a run of which nothing was known."""
        self._tell(snapshot)

    def hear(self, event: StreamEvent) -> _Outcome:
        """Take in one event; what it tells is added to `changes`."""
        self.is_partial = self.is_partial or event.decode_error is not None
        for change in diff_stream_event(self.state, event):
            if isinstance(change, StatusChange) and is_terminal(change.run.status):
                self._end = self._end or change
            else:
                self._tell(change)
        if self._end is not None:
            did_something = self.state.has_worked or self._end.run.status != "completed"
            if self.state.is_settled and did_something and not self.is_partial:
                self._tell(self._end)
            elif self.is_partial or event.is_done or event.error is not None:
                return _Outcome.UNSETTLED
        if self.state.is_over:
            return _Outcome.ENDED
        if event.error is not None:
            return _Outcome.BROKE
        if event.is_done:
            self._tell(FaultChange(STREAM_INTERRUPTED, "The run's stream ended before the run did."))
            return _Outcome.BROKE
        if isinstance(event.wire, RunObject) and self.state.run is not None and event.wire.id == self.state.run.id:
            return _Outcome.WAITS if event.wire.status == "requires_action" else _Outcome.GOES_ON
        return _Outcome.GOES_ON

    def _tell(self, change: Change) -> None:
        self.state.apply(change, Provenance.STREAMED)
        self.changes.append(change)


class StreamRecorder:
    """One stream and its run; `run` is to be a task that outlives whoever asked for the run.

    `enter` gives what is followed under a run's key, where a producer is counted already; `leave` gives it back.
    """

    def __init__(
        self,
        stream: RunStream,
        *,
        pens: LogWriterFactory,
        enter: Callable[[RunKey], FollowSession],
        leave: Callable[[FollowSession], Awaitable[None]],
    ) -> None:
        self._stream = stream
        self._pens = pens
        self._enter = enter
        self._leave = leave
        self._run: asyncio.Future[RunObject] = asyncio.get_running_loop().create_future()

    async def first_run(self) -> RunObject:
        """Give the run as soon as it is in its log; raises the `GatewayError` of a stream that never told of one."""
        return await asyncio.shield(self._run)

    async def run(self) -> None:
        """Write until the stream ends, and let go of it."""
        failure = GatewayError(
            ErrorCode.GATEWAY_STOPPING,
            "The gateway stopped before it knew whether the run began.",
            retryable=False,
        )
        try:
            await self._produce()
        except GatewayError as error:
            # Nobody knows whether the run began, so trying again might begin another.
            failure = GatewayError(
                error.code,
                error.message,
                retryable=False,
                upstream_request_id=error.upstream_request_id,
                argument=error.argument,
            )
        except Exception:
            _logger.exception("Writing down a stream failed.")
            failure = GatewayError(ErrorCode.INTERNAL, "The run's stream could not be followed.")
        finally:
            if not self._run.done():
                self._run.set_exception(failure)
                self._run.exception()  # the caller may have left
            with contextlib.suppress(Exception):
                await self._stream.aclose()

    async def _produce(self) -> None:
        events, place, key = await self._read_until_run()
        followed = self._enter(key)
        try:
            await followed.unwatch()
            await self._write(followed, events, place)
        finally:
            followed.producers -= 1
            followed.watch()
            await self._leave(followed)

    async def _read_until_run(self) -> tuple[list[StreamEvent], int, RunKey]:
        """Read until a run is told of; gives the events, the run's place among them, and its key."""
        events: list[StreamEvent] = []
        thread_id = self._stream.thread_id
        while len(events) < _MAX_EARLY_EVENTS and (batch := await self._stream.read_events()):
            events += batch
            for place in range(len(events) - len(batch), len(events)):
                event = events[place]
                if event.error is not None:
                    raise event.error
                if isinstance(event.wire, ThreadObject):
                    thread_id = event.wire.id
                if isinstance(event.wire, RunObject):
                    thread_id = event.wire.thread_id or thread_id
                    if thread_id is None:
                        raise _unreadable("a run that names its thread, got one that does not")
                    return events, place, RunKey(thread_id, event.wire.id)
        raise _unreadable("a stream that tells of its run, got one that ended before")

    async def _write(self, followed: FollowSession, events: list[StreamEvent], place: int) -> None:
        feed = followed.feed
        run = events[place].wire
        writer = await self._pens.begin(feed, preempt=True)
        try:
            if writer is not None and isinstance(run, RunObject):
                await feed.refresh()
                telling = _Telling(feed.state.copy() if isinstance(feed.state, RunState) else RunState())
                outcome = await self._open(writer, telling, run, events, place)
                self._answer(run)
                while outcome is _Outcome.GOES_ON:
                    outcome = await self._go_on(writer, telling)
        except LeaseLostError:
            pass  # another stream of the same run goes on with its log
        finally:
            if isinstance(run, RunObject):
                self._answer(run)
            if writer is not None:
                await writer.end()

    def _answer(self, run: RunObject) -> None:
        if not self._run.done():
            self._run.set_result(run)

    async def _open(
        self, writer: LogWriter, telling: _Telling, run: RunObject, events: Sequence[StreamEvent], place: int
    ) -> _Outcome:
        """Write what was read so far; a log that holds nothing begins with the run."""
        # Of a run that had worked before, only streams that told all of it until now leave nothing out.
        has_worked = any(isinstance(event.wire, (RunStepObject, MessageObject)) for event in events[:place])
        telling.is_partial = (has_worked or run.started_at is not None) and not telling.state.is_told_whole
        if telling.state.has_begun:
            return await self._take(writer, telling, events)
        if is_terminal(run.status):
            return await self._write_whole(writer, first_snapshot(run, events))
        telling.begin(first_snapshot(run, events[:place]))
        return await self._take(writer, telling, events[place:])

    async def _write_whole(self, writer: LogWriter, snapshot: SnapshotChange) -> _Outcome:
        """Write a run that was over when it was first told of."""
        did_something = snapshot.steps or snapshot.messages or snapshot.run.status != "completed"
        if not did_something or any(step.status not in FINAL_STEP_STATUSES for step in snapshot.steps):
            return _Outcome.UNSETTLED
        await writer.append(Provenance.STREAMED, [snapshot], ends=True)
        return _Outcome.ENDED

    async def _go_on(self, writer: LogWriter, telling: _Telling) -> _Outcome:
        """Read and write the next events."""
        try:
            events = await self._stream.read_events()
        except GatewayError as error:
            if telling.end is not None:
                return _Outcome.UNSETTLED
            await writer.append(Provenance.STREAMED, [FaultChange(STREAM_INTERRUPTED, error.message)])
            return _Outcome.BROKE
        return await self._take(writer, telling, events or [StreamEvent(is_done=True)])

    async def _take(self, writer: LogWriter, telling: _Telling, events: Sequence[StreamEvent]) -> _Outcome:
        outcome = _Outcome.GOES_ON
        for event in events:
            outcome = telling.hear(event)
            if outcome is not _Outcome.GOES_ON:
                break
        if outcome is _Outcome.UNSETTLED and telling.end is not None:
            await writer.announce([telling.end])
        changes, telling.changes = telling.changes, []
        await writer.append(Provenance.STREAMED, changes, ends=outcome is _Outcome.ENDED)
        return outcome


def _unreadable(expected: str) -> GatewayError:
    return GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"Expected {expected}.")
