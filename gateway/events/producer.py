"""Takes a run's stream over and writes all that it tells into the run's log, whoever listens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum, auto

from gateway.events.changes import changes_of_stream_event, first_snapshot
from gateway.events.followed import Followed
from gateway.events.log.port import NotLeadingError
from gateway.events.run_state import RunState
from gateway.events.writer import Pens, Writer
from schema.errors import ErrorCode, GatewayError
from schema.keys import RunKey
from schema.run_events import Change, FaultChange, Provenance, StatusChange
from schema.run_status import is_terminal
from schema.run_streams import RunStream, StreamEvent
from schema.wire import RunObject, ThreadObject

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


class Producer:
    """One stream and its run; `run` is to be a task that outlives whoever asked for the run.

    `enter` gives what is followed under a run's key, where a producer is counted already; `leave` gives it back.
    """

    def __init__(
        self,
        stream: RunStream,
        *,
        pens: Pens,
        enter: Callable[[RunKey], Followed],
        leave: Callable[[Followed], Awaitable[None]],
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
        while len(events) < _MAX_EARLY_EVENTS and (batch := await self._stream.read()):
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

    async def _write(self, followed: Followed, events: list[StreamEvent], place: int) -> None:
        feed = followed.feed
        run = events[place].wire
        writer = await self._pens.begin(feed, preempt=True)
        try:
            if writer is not None and isinstance(run, RunObject):
                await feed.refresh()
                state = RunState() if not isinstance(feed.state, RunState) else feed.state.copy()
                outcome = await self._open(writer, state, run, events, place)
                self._answer(run)
                while outcome is _Outcome.GOES_ON:
                    outcome = await self._go_on(writer, state)
        except NotLeadingError:
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
        self, writer: Writer, state: RunState, run: RunObject, events: Sequence[StreamEvent], place: int
    ) -> _Outcome:
        """Write what was read so far; a log that holds nothing begins with the run."""
        if state.has_begun:
            return await self._take(writer, state, [], events)
        snapshot = first_snapshot(run, events[:place])
        trial = RunState()
        trial.apply(snapshot, Provenance.STREAMED)
        if is_terminal(run.status) and not trial.is_settled:
            return _Outcome.UNSETTLED
        state.apply(snapshot, Provenance.STREAMED)
        return await self._take(writer, state, [snapshot], events[place:])

    async def _go_on(self, writer: Writer, state: RunState) -> _Outcome:
        """Read and write the next events."""
        try:
            events = await self._stream.read()
        except GatewayError as error:
            await writer.append(Provenance.STREAMED, [FaultChange(STREAM_INTERRUPTED, error.message)])
            return _Outcome.BROKE
        if not events:
            events = [StreamEvent(is_done=True)]
        return await self._take(writer, state, [], events)

    async def _take(
        self, writer: Writer, state: RunState, changes: list[Change], events: Sequence[StreamEvent]
    ) -> _Outcome:
        outcome = _Outcome.ENDED if state.is_over else _Outcome.GOES_ON
        for event in events:
            if outcome is not _Outcome.GOES_ON:
                break
            outcome = _gather(state, event, changes)
        if outcome is _Outcome.UNSETTLED and state.run is not None:
            await writer.announce([StatusChange(state.run)])
        await writer.append(Provenance.STREAMED, changes, ends=outcome is _Outcome.ENDED)
        return outcome


def _gather(state: RunState, event: StreamEvent, changes: list[Change]) -> _Outcome:
    """Add what one event tells to `changes` and to the state."""
    for change in changes_of_stream_event(state, event):
        if isinstance(change, StatusChange) and is_terminal(change.run.status) and not state.is_settled:
            return _Outcome.UNSETTLED
        state.apply(change, Provenance.STREAMED)
        changes.append(change)
    if state.is_over:
        return _Outcome.ENDED
    if event.error is not None:
        return _Outcome.BROKE
    if isinstance(event.wire, RunObject) and state.run is not None and event.wire.id == state.run.id:
        return _Outcome.WAITS if event.wire.status == "requires_action" else _Outcome.GOES_ON
    if event.is_done:
        changes.append(FaultChange(STREAM_INTERRUPTED, "The run's stream ended before the run did."))
        return _Outcome.BROKE
    return _Outcome.GOES_ON


def _unreadable(expected: str) -> GatewayError:
    return GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"Expected {expected}.")
