"""The log of a run while its stream is read, by whoever reads it: the process that started the run, or another one."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from gateway.run_log.log_writer import LogWriter
from gateway.run_log.run_state import RunState
from gateway.run_log.stream_diff import diff_stream_event, first_snapshot
from schema.contract.run_events import Change, FaultChange, Provenance, SnapshotChange, StatusChange
from schema.contract.run_streams import StreamEvent
from schema.contract.statuses import is_terminal
from schema.contract.wire import MessageObject, RunObject, RunStepObject

STREAM_INTERRUPTED = "STREAM_INTERRUPTED"


class StreamOutcome(Enum):
    """The state of a recording after some events of the stream."""

    CONTINUES = auto()
    WAITS_FOR_CALLER = auto()
    ENDED = auto()
    INTERRUPTED = auto()
    UNSETTLED = auto()
    """The run is over, but the stream left events out: they are polled before the end is shown."""


class StreamedRun:
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

    def start_from(self, snapshot: SnapshotChange, position: str | None) -> None:
        """Start with the first snapshot of a run that was not known, and its place in the stream."""
        self._add_change(snapshot)
        self.pending_positions[-1] = position

    def apply_event(self, event: StreamEvent) -> StreamOutcome:
        """Apply one event and add its changes to `pending_changes`."""
        self.has_gaps = self.has_gaps or event.decode_error is not None
        pending_before = len(self.pending_changes)
        outcome = self._apply_changes(event)
        if len(self.pending_changes) > pending_before:
            self.pending_positions[-1] = event.position
        return outcome

    def _apply_changes(self, event: StreamEvent) -> StreamOutcome:
        for change in diff_stream_event(self.state, event):
            if isinstance(change, StatusChange) and is_terminal(change.run.status):
                self._held_end = self._held_end or change
            else:
                self._add_change(change)
        if self._held_end is not None:
            if self.state.has_all_output(self._held_end.run) and not self.has_gaps:
                self._add_change(self._held_end)
            elif self.has_gaps or event.is_done or event.error is not None:
                return StreamOutcome.UNSETTLED
        if self.state.is_over:
            return StreamOutcome.ENDED
        if event.error is not None:
            return StreamOutcome.INTERRUPTED
        if event.is_done:
            self._add_change(FaultChange(STREAM_INTERRUPTED, "The run's stream ended before the run did."))
            return StreamOutcome.INTERRUPTED
        if isinstance(event.wire, RunObject) and self.state.run is not None and event.wire.id == self.state.run.id:
            return StreamOutcome.WAITS_FOR_CALLER if event.wire.status == "requires_action" else StreamOutcome.CONTINUES
        return StreamOutcome.CONTINUES

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


class StreamedRunWriter:
    """Writes the changes that a run's stream tells of. `state` is that of the log, and becomes the run's own."""

    def __init__(self, writer: LogWriter, state: RunState) -> None:
        self._writer = writer
        self._run = StreamedRun(state)

    @property
    def holds_back_end(self) -> bool:
        """Whether the run is over, but what leads to its end has not come yet."""
        return self._run.held_end is not None

    async def write_first_events(self, run: RunObject, events: Sequence[StreamEvent], run_index: int) -> StreamOutcome:
        """Write the events read so far. The log of an unknown run begins with its snapshot."""
        # A run that already has output has gaps, unless all of that output came from streams.
        has_output = any(isinstance(event.wire, (RunStepObject, MessageObject)) for event in events[:run_index])
        self._run.has_gaps = (has_output or run.started_at is not None) and not self._run.state.is_fully_streamed
        if self._run.state.has_begun:
            return await self.write_events(events)
        if is_terminal(run.status):
            return await self._write_finished_run(first_snapshot(run, events))
        self._run.start_from(first_snapshot(run, events[:run_index]), events[run_index].position)
        return await self.write_events(events[run_index:])

    async def _write_finished_run(self, snapshot: SnapshotChange) -> StreamOutcome:
        """Write a run that was over in its first object."""
        state = RunState()
        state.apply(msgspec.structs.replace(snapshot, run=msgspec.structs.replace(snapshot.run, status="in_progress")))
        if not state.has_all_output(snapshot.run):
            return StreamOutcome.UNSETTLED
        await self._writer.append(Provenance.STREAMED, [snapshot], ends=True)
        return StreamOutcome.ENDED

    async def write_events(self, events: Sequence[StreamEvent]) -> StreamOutcome:
        """Write the changes of events, up to one after which the recording does not simply go on."""
        outcome = StreamOutcome.CONTINUES
        for event in events:
            outcome = self._run.apply_event(event)
            if outcome is not StreamOutcome.CONTINUES:
                break
        if outcome is StreamOutcome.UNSETTLED and self._run.held_end is not None:
            await self._writer.announce_changes([self._run.held_end])
        changes, positions = self._run.take_pending()
        await self._writer.append(
            Provenance.STREAMED,
            changes,
            ends=outcome is StreamOutcome.ENDED,
            positions=positions,
            baseline=self._run.state.baseline,
        )
        return outcome

    async def write_interruption(self, message: str) -> None:
        """Write that the stream broke."""
        await self._writer.append(Provenance.STREAMED, [FaultChange(STREAM_INTERRUPTED, message)])
