"""Records a run's stream in the run's log, with or without readers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from gateway.run_log.follow_session import FollowSession
from gateway.run_log.log_writer import LogWriterFactory
from gateway.run_log.run_state import RunState
from gateway.run_log.store.event_log import LeaseLostError
from gateway.run_log.streamed_run import StreamedRunWriter, StreamOutcome
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.run_streams import RunStream, StreamEvent
from schema.contract.wire import RunObject, ThreadObject

_logger = logging.getLogger(__name__)

_MAX_EARLY_EVENTS = 1_000


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
                state = mirror.state.copy() if isinstance(mirror.state, RunState) else RunState()
                run_writer = StreamedRunWriter(writer, state)
                outcome = await run_writer.write_first_events(run, events, run_index)
                self._resolve_run(run)
                while outcome is StreamOutcome.CONTINUES:
                    outcome = await self._write_next_events(run_writer)
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

    async def _write_next_events(self, run_writer: StreamedRunWriter) -> StreamOutcome:
        """Read and write the next events."""
        try:
            events = await self._stream.read_events()
        except GatewayError as error:
            if not run_writer.holds_back_end:
                await run_writer.write_interruption(error.message)
                return StreamOutcome.INTERRUPTED
            events = []
        return await run_writer.write_events(events or [StreamEvent(is_done=True)])


def _invalid_stream(expected: str) -> GatewayError:
    return GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"Expected {expected}.")
