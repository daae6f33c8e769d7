"""Records a run's stream in the run's log, with or without readers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto

import msgspec

from gateway.run_log.follow_session import FollowSession
from gateway.run_log.log_writer import LogWriter, LogWriterFactory
from gateway.run_log.run_state import RunState
from gateway.run_log.store.event_log import LeaseLostError
from gateway.run_log.stream_diff import diff_stream_event, first_snapshot
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.run_events import Change, FaultChange, Provenance, SnapshotChange, StatusChange
from schema.contract.run_streams import RunStream, StreamEvent
from schema.contract.statuses import is_terminal
from schema.contract.wire import MessageObject, RunObject, RunStepObject, ThreadObject

_logger = logging.getLogger(__name__)

STREAM_INTERRUPTED = "STREAM_INTERRUPTED"
_MAX_EARLY_EVENTS = 1_000


class _Outcome(Enum):
    """The state of a recording after some events of the stream."""

    CONTINUES = auto()
    WAITS_FOR_CALLER = auto()
    ENDED = auto()
    INTERRUPTED = auto()
    UNSETTLED = auto()
    """The run is over, but the stream left events out: they are polled before the end is shown."""


class _StreamedRun:
    """The state of a run as its stream reports it, ahead of the log."""

    def __init__(self, state: RunState) -> None:
        self.has_gaps = False
        """Whether some steps or messages of the run are missing from the stream and the log."""
        self.state = state
        self.pending_changes: list[Change] = []
        self.pending_positions: list[str | None] = []
        """For each pending change, the place in the stream behind it: only the last change of an event has one."""
        self._held_end: StatusChange | None = None

    @property
    def held_end(self) -> StatusChange | None:
        """The terminal status that came before all that leads to it, and is held back until then."""
        return self._held_end

    def start_from(self, snapshot: SnapshotChange) -> None:
        """Start with the first snapshot of a run that was not known."""
        self._add_change(snapshot)

    def apply_event(self, event: StreamEvent) -> _Outcome:
        """Apply one event and add its changes to `pending_changes`."""
        self.has_gaps = self.has_gaps or event.decode_error is not None
        pending_before = len(self.pending_changes)
        outcome = self._apply_changes(event)
        if len(self.pending_changes) > pending_before:
            self.pending_positions[-1] = event.position
        return outcome

    def _apply_changes(self, event: StreamEvent) -> _Outcome:
        for change in diff_stream_event(self.state, event):
            if isinstance(change, StatusChange) and is_terminal(change.run.status):
                self._held_end = self._held_end or change
            else:
                self._add_change(change)
        if self._held_end is not None:
            if self.state.has_all_output(self._held_end.run) and not self.has_gaps:
                self._add_change(self._held_end)
            elif self.has_gaps or event.is_done or event.error is not None:
                return _Outcome.UNSETTLED
        if self.state.is_over:
            return _Outcome.ENDED
        if event.error is not None:
            return _Outcome.INTERRUPTED
        if event.is_done:
            self._add_change(FaultChange(STREAM_INTERRUPTED, "The run's stream ended before the run did."))
            return _Outcome.INTERRUPTED
        if isinstance(event.wire, RunObject) and self.state.run is not None and event.wire.id == self.state.run.id:
            return _Outcome.WAITS_FOR_CALLER if event.wire.status == "requires_action" else _Outcome.CONTINUES
        return _Outcome.CONTINUES

    def _add_change(self, change: Change) -> None:
        change = self.state.with_offset(change)
        self.state.apply(change, Provenance.STREAMED)
        self.pending_changes.append(change)
        self.pending_positions.append(None)

    def take_pending(self) -> tuple[list[Change], list[str | None]]:
        """Return the pending changes with their places. They are pending no more."""
        pending = self.pending_changes, self.pending_positions
        self.pending_changes, self.pending_positions = [], []
        return pending


class StreamRecorder:
    """Records one stream. `run` must be a task that outlives the caller that started the run.

    `open_session` returns the session of a run, with this stream counted in it already. `release_session` is called at
    the end.
    """

    def __init__(
        self,
        stream: RunStream,
        *,
        writer_factory: LogWriterFactory,
        open_session: Callable[[RunKey], FollowSession],
        release_session: Callable[[FollowSession], Awaitable[None]],
    ) -> None:
        self._stream = stream
        self._writer_factory = writer_factory
        self._open_session = open_session
        self._release_session = release_session
        self._first_run: asyncio.Future[RunObject] = asyncio.get_running_loop().create_future()

    async def wait_for_run(self) -> RunObject:
        """Return the run as soon as it is in its log. Raises the `GatewayError` of a stream that never named a run."""
        return await asyncio.shield(self._first_run)

    async def run(self) -> None:
        """Record until the stream ends, then close it."""
        failure = GatewayError(
            ErrorCode.GATEWAY_STOPPING,
            "The gateway stopped before it knew whether the run began.",
            retryable=False,
        )
        try:
            await self._record()
        except GatewayError as error:
            # It is unknown whether the run began, so a retry might start a second run.
            failure = error
            if error.retryable:
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
            if not self._first_run.done():
                self._first_run.set_exception(failure)
                self._first_run.exception()  # mark as retrieved: the caller may be gone
            with contextlib.suppress(Exception):
                await self._stream.aclose()

    async def _record(self) -> None:
        events, run_index, key = await self._read_until_run()
        session = self._open_session(key)
        try:
            await session.stop_polling()
            await self._write_log(session, events, run_index)
        finally:
            session.stream_count -= 1
            session.ensure_polling()
            await self._release_session(session)

    async def _read_until_run(self) -> tuple[list[StreamEvent], int, RunKey]:
        """Read until the first run object. Returns the events, its index among them, and the run's key."""
        events: list[StreamEvent] = []
        thread_id = self._stream.thread_id
        while len(events) < _MAX_EARLY_EVENTS and (batch := await self._stream.read_events()):
            events += batch
            for run_index in range(len(events) - len(batch), len(events)):
                event = events[run_index]
                if event.error is not None:
                    raise event.error
                if isinstance(event.wire, ThreadObject):
                    thread_id = event.wire.id
                if isinstance(event.wire, RunObject):
                    thread_id = event.wire.thread_id or thread_id
                    if thread_id is None:
                        raise _invalid_stream("a run that names its thread, got one that does not")
                    return events, run_index, RunKey(thread_id, event.wire.id)
        raise _invalid_stream("a stream that tells of its run, got one that ended before")

    async def _write_log(self, session: FollowSession, events: list[StreamEvent], run_index: int) -> None:
        mirror = session.mirror
        run = events[run_index].wire
        writer = await self._writer_factory.open_writer(mirror, preempt=True)
        try:
            if writer is not None and isinstance(run, RunObject):
                await mirror.refresh()
                streamed_run = _StreamedRun(mirror.state.copy() if isinstance(mirror.state, RunState) else RunState())
                outcome = await self._write_first_events(writer, streamed_run, run, events, run_index)
                self._resolve_run(run)
                while outcome is _Outcome.CONTINUES:
                    outcome = await self._write_next_events(writer, streamed_run)
        except LeaseLostError:
            pass  # another stream of the same run continues its log
        finally:
            if isinstance(run, RunObject):
                self._resolve_run(run)
            if writer is not None:
                await writer.aclose()

    def _resolve_run(self, run: RunObject) -> None:
        if not self._first_run.done():
            self._first_run.set_result(run)

    async def _write_first_events(
        self,
        writer: LogWriter,
        streamed_run: _StreamedRun,
        run: RunObject,
        events: Sequence[StreamEvent],
        run_index: int,
    ) -> _Outcome:
        """Write the events read so far. The log of an unknown run begins with its snapshot."""
        # A run that already has output has gaps, unless all of that output came from streams.
        has_output = any(isinstance(event.wire, (RunStepObject, MessageObject)) for event in events[:run_index])
        streamed_run.has_gaps = (has_output or run.started_at is not None) and not streamed_run.state.is_fully_streamed
        if streamed_run.state.has_begun:
            return await self._write_events(writer, streamed_run, events)
        if is_terminal(run.status):
            return await self._write_finished_run(writer, first_snapshot(run, events))
        streamed_run.start_from(first_snapshot(run, events[:run_index]))
        return await self._write_events(writer, streamed_run, events[run_index:])

    async def _write_finished_run(self, writer: LogWriter, snapshot: SnapshotChange) -> _Outcome:
        """Write a run that was over in its first object."""
        state = RunState()
        state.apply(msgspec.structs.replace(snapshot, run=msgspec.structs.replace(snapshot.run, status="in_progress")))
        if not state.has_all_output(snapshot.run):
            return _Outcome.UNSETTLED
        await writer.append(Provenance.STREAMED, [snapshot], ends=True)
        return _Outcome.ENDED

    async def _write_next_events(self, writer: LogWriter, streamed_run: _StreamedRun) -> _Outcome:
        """Read and write the next events."""
        try:
            events = await self._stream.read_events()
        except GatewayError as error:
            if streamed_run.held_end is None:
                await writer.append(Provenance.STREAMED, [FaultChange(STREAM_INTERRUPTED, error.message)])
                return _Outcome.INTERRUPTED
            events = []
        return await self._write_events(writer, streamed_run, events or [StreamEvent(is_done=True)])

    async def _write_events(
        self, writer: LogWriter, streamed_run: _StreamedRun, events: Sequence[StreamEvent]
    ) -> _Outcome:
        outcome = _Outcome.CONTINUES
        for event in events:
            outcome = streamed_run.apply_event(event)
            if outcome is not _Outcome.CONTINUES:
                break
        if outcome is _Outcome.UNSETTLED and streamed_run.held_end is not None:
            await writer.announce_changes([streamed_run.held_end])
        changes, positions = streamed_run.take_pending()
        await writer.append(
            Provenance.STREAMED,
            changes,
            ends=outcome is _Outcome.ENDED,
            positions=positions,
            baseline=streamed_run.state.baseline,
        )
        return outcome


def _invalid_stream(expected: str) -> GatewayError:
    return GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"Expected {expected}.")
