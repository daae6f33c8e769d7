"""Records a run's stream that another process started, or nobody here, if the upstream can open it again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from gateway.run_log.log_mirror import LogMirror
from gateway.run_log.log_writer import LogWriter
from gateway.run_log.poller import FATAL_CODES
from gateway.run_log.run_state import RunState
from gateway.run_log.streamed_run import StreamedRunWriter, StreamOutcome
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.ports import RunReplay, ThreadsApi
from schema.contract.run_streams import RunStream
from schema.contract.wire import RunObject

MAX_FAILED_OPENS = 5
"""How often a stream may fail to open before the run is polled. Until then, what was streamed of it is not lost."""


class ReplayRecorder:
    """Records one log by opening its run's stream behind what the log holds, while this process holds the lease.

    It is to be tried where a run may have a stream: when the lease is acquired, and when a run goes on that waited.
    """

    def __init__(self, mirror: LogMirror, open_api: Callable[[], ThreadsApi]) -> None:
        self._mirror = mirror
        self._open_api = open_api
        self._failed_opens = 0
        self._tried_at: RunObject | None = None
        """The run as it waited when its stream was tried last."""
        self.is_due = False
        """Whether the run may have a stream that was not tried."""
        self.is_streaming = False
        """Whether the stream is recorded now."""

    def expect_stream(self) -> None:
        """Let a stream be opened before the next poll. A run that waits has none: it is polled until it goes on."""
        self.is_due, self._failed_opens = not self.is_waiting and self._can_open, 0

    def goes_on(self) -> bool:
        """Learn that a run goes on which waited. Returns whether its stream is to be opened, once."""
        run = self._mirror.state.run if isinstance(self._mirror.state, RunState) else None
        if run is self._tried_at or not self._can_open:
            return False
        self._tried_at, self.is_due, self._failed_opens = run, True, 0
        return True

    @property
    def _can_open(self) -> bool:
        return isinstance(self._mirror.name.key, RunKey) and isinstance(self._open_api(), RunReplay)

    @property
    def is_waiting(self) -> bool:
        """Whether the run waits for its caller, as far as the log tells."""
        run = self._mirror.state.run if isinstance(self._mirror.state, RunState) else None
        return run is not None and run.status == "requires_action"

    async def record(self, writer: LogWriter, is_open: asyncio.Event) -> None:
        """Open the stream and record it to its end. What it does not tell is to be polled. Sets `is_open` if it opens.

        Raises:
            GatewayError: The upstream failed to open it; it is due again.
            LeaseLostError: Another process records the run now.
        """
        self.is_due = False
        stream = await self._open_stream()
        if stream is None:
            return
        is_open.set()
        self.is_streaming = True
        try:
            await self._record_stream(writer, stream)
        finally:
            self.is_streaming = False
            await stream.aclose()

    async def _open_stream(self) -> RunStream | None:
        mirror, api = self._mirror, self._open_api()
        key, state, position = mirror.name.key, mirror.state, mirror.stream_position
        if not (isinstance(api, RunReplay) and isinstance(key, RunKey) and isinstance(state, RunState)):
            return None
        if position is None and state.has_output:
            return None  # the stream would tell again what was polled
        try:
            return await api.open_stream(key, position)
        except GatewayError as error:
            self._failed_opens += error.code is not ErrorCode.RATE_LIMITED
            if error.code in FATAL_CODES or self._failed_opens >= MAX_FAILED_OPENS:
                return None  # a poll meets the same error, and decides what it means
            self.is_due = True
            raise

    async def _record_stream(self, writer: LogWriter, stream: RunStream) -> None:
        state = self._mirror.state
        run_writer = StreamedRunWriter(writer, state.copy() if isinstance(state, RunState) else RunState())
        has_begun = state.has_begun
        outcome = StreamOutcome.CONTINUES
        # What waited may have gone on since: all responses of the run are read.
        while outcome in {StreamOutcome.CONTINUES, StreamOutcome.WAITS_FOR_CALLER} and writer.holds_lease:
            events = []
            with contextlib.suppress(GatewayError):  # then the polls go on
                events = await stream.read_events()
            if not events:
                return
            runs = [index for index, event in enumerate(events) if isinstance(event.wire, RunObject)]
            first = events[runs[0]].wire if runs and not has_begun else None
            if isinstance(first, RunObject):
                outcome = await run_writer.write_first_events(first, events, runs[0])
                has_begun = True
            else:
                outcome = await run_writer.write_events(events)
