"""The stream of a run over the responses of its chain, read on after a break where the upstream can show it again.

What ends without a last event, as a cancelled response always does, or with an error, is decided by reading the
response. A response in the foreground cannot be read on: its break is the break of the run's stream.

Source: `GET /responses/{response_id}` with `stream` and `starting_after`, in the specification of 2026-08-21.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NoReturn, Protocol

import msgspec

from gateway.upstream.event_decoder import EventParser
from gateway.upstream.responses.followed_chain import FollowedChain, ResponseEventParser
from gateway.upstream.responses.response_calls import ReadResponse
from gateway.upstream.responses.response_wire import ResponseObject
from gateway.upstream.responses.run_chains import items_of, run_from_chain
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.run_streams import RunStream, StreamEvent
from schema.contract.statuses import is_terminal
from schema.contract.wire import ErrorObject, RunObject

MAX_FAILURES = 6
"""Most calls in a row that may fail before a broken stream is given up."""

PAUSES_SECONDS = (0.0, 0.2, 1.0, 2.0, 5.0)
"""Pauses before a stream that brings nothing new is opened again. The last one goes on."""

MAX_PAUSE_SECONDS = 30.0
_FINAL_CODES = frozenset(
    {
        ErrorCode.NOT_FOUND,
        ErrorCode.UNAUTHENTICATED,
        ErrorCode.FORBIDDEN,
        ErrorCode.BAD_USER_INPUT,
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
    }
)
_LEFT_QUEUED = "The upstream left the response queued after the connection that created it was lost."


class StreamCalls(Protocol):
    """The calls that a stream makes to read on. Each raises the `GatewayError` of its failure."""

    async def read(self, response_id: str) -> ReadResponse:
        """Read a response."""

    async def open_events(self, response_id: str, after: int | None, parse: EventParser, run: RunKey) -> RunStream:
        """Open the stream of a response behind a sequence number, or from its beginning."""

    async def cancel(self, response_id: str) -> None:
        """Cancel a response in the background."""


class ResponseRunStream:
    """The `RunStream` of a chain's responses. It has one reader.

    Args:
        calls: The calls to read on.
        chain: The run.
        parser: The parser of the response that is read first.
        connection: Its open stream. None if it is to be opened.
        response_id: The id of that response, where it is known before its first event.
        new_parser: Makes the parser of a further response of the chain.
        patience_seconds: How long a response may be under way without an event, over all connections.
        sleep: The pause between attempts to read on.
    """

    def __init__(
        self,
        calls: StreamCalls,
        chain: FollowedChain,
        parser: ResponseEventParser,
        connection: RunStream | None,
        *,
        response_id: str | None = None,
        new_parser: Callable[[FollowedChain], ResponseEventParser],
        patience_seconds: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._calls = calls
        self._chain = chain
        self._parser = parser
        self._connection = connection
        self._known_id = response_id
        self._new_parser = new_parser
        self._patience_seconds = patience_seconds
        self._sleep = sleep
        self._status: str | None = None
        self._has_last_event = False
        self._is_over = False
        self._is_closed = False
        self._is_cancelled = False
        self._reported: GatewayError | None = None
        self._lost_start = connection is None
        """Whether the connection that started the response may have been lost before it left the queue."""
        self._quiet_since: float | None = None
        self._quiet_rounds = 0
        self._steps_to_show = chain.answered_steps()

    @property
    def thread_id(self) -> str | None:
        return self._chain.thread_id

    @property
    def is_background(self) -> bool:
        """Whether the run goes on without this stream."""
        return self._chain.background

    @property
    def is_last_response(self) -> bool:
        """Whether no further response of the run is known."""
        return not self._chain.later

    @property
    def response_id(self) -> str | None:
        """The id of the response that is read now, once it is known."""
        response = self._parser.translator.response
        return self._known_id if response is None else response.id

    async def open(self) -> None:
        """Open the stream where it is to be read on.

        Raises:
            GatewayError: It cannot be opened.
        """
        self._connection = await self._open_behind()

    async def read_events(self) -> list[StreamEvent]:
        """Return the next events, or an empty list at the end.

        Raises:
            GatewayError: The stream broke, and the response is still under way or cannot be read.
        """
        while not self._is_over:
            if self._has_last_event:
                await self._go_on_to_next_response()
                continue
            events, broken = await self._read_connection()
            shown = self._accept(events) if events else await self._read_on(broken)
            if shown:
                return shown
        return []

    async def cancel(self) -> None:
        """Stop a response in the foreground: its connection is closed, and the next events are its end."""
        self._is_cancelled = True
        if self._connection is not None:
            await self._connection.aclose()

    async def aclose(self) -> None:
        self._is_closed = True
        if self._connection is not None:
            await self._connection.aclose()

    async def _read_connection(self) -> tuple[list[StreamEvent], GatewayError | None]:
        if self._connection is None:
            return [], None
        try:
            return await self._connection.read_events(), None
        except GatewayError as broken:
            if self._is_closed:
                raise
            return [], broken

    def _accept(self, events: Sequence[StreamEvent]) -> list[StreamEvent]:
        """Return the events that a reader gets, up to the last one of this response."""
        shown: list[StreamEvent] = []
        for event in events:
            if event.is_done or self._has_last_event:
                continue
            if event.error is not None and self.response_id is not None:
                # The response decides what became of the run.
                self._reported = event.error
                shown.append(replace(event, error=None, decode_error=event.error))
                continue
            if not isinstance(event.wire, RunObject):
                shown.append(event)
            else:
                shown.append(replace(event, wire=self._chain.complete_run(event.wire)))
                self._status = event.wire.status
                self._has_last_event = _is_settled(event.wire.status)
                shown += self._steps_to_show
                self._steps_to_show = []
        if shown:
            self._quiet_since, self._quiet_rounds = None, 0
        return shown

    async def _go_on_to_next_response(self) -> None:
        if self._connection is not None:
            await self._connection.aclose()
        response, later = self._parser.translator.response, self._chain.later
        if not later or response is None:
            self._is_over = True
            return
        self._chain = self._chain.after(response)
        self._parser = self._new_parser(self._chain)
        self._known_id, self._connection = later[0], None
        self._has_last_event, self._status = False, None
        self._steps_to_show = self._chain.answered_steps()

    async def _read_on(self, broken: GatewayError | None) -> list[StreamEvent]:
        """Open the stream again, or return its end as the response shows it.

        Returns:
            The last events, or none if the stream is open again.

        Raises:
            GatewayError: Neither is possible.
        """
        if broken is not None and broken.code is not ErrorCode.UPSTREAM_TIMEOUT and self._status == "queued":
            self._lost_start = True
        if self.response_id is None:
            self._give_up(broken)
        failures = 0
        while True:
            try:
                if self._must_read_response(broken) and (last := await self._decide(broken)):
                    return last
                await self._pause(self._quiet_rounds)
                self._connection = await self._open_behind()
            except GatewayError as error:
                failures += 1
                if self._is_over or error.code in _FINAL_CODES or failures >= MAX_FAILURES:
                    self._is_over = True
                    raise
                await self._pause(failures, (error.retry_after_ms or 0) / 1000)
            else:
                self._quiet_rounds += 1
                return []

    def _must_read_response(self, broken: GatewayError | None) -> bool:
        """Return whether the response decides how to go on. It need not after a first break that says nothing of it."""
        if not self._chain.background or self._is_cancelled or self._reported is not None or self._quiet_rounds:
            return True
        if broken is None:
            return self._connection is not None
        return broken.code is ErrorCode.UPSTREAM_TIMEOUT or not self._can_open_behind

    @property
    def _can_open_behind(self) -> bool:
        """Whether the place to open the stream is known: behind the last event, or the beginning before the first."""
        return self._status is None or self._parser.translator.last_sequence_number is not None

    async def _open_behind(self) -> RunStream:
        response_id = self.response_id
        if response_id is None or not self._can_open_behind:
            self._give_up(None)
        first = self._chain.earlier[0] if self._chain.earlier else self._parser.translator.response
        run = RunKey(self._chain.thread_id, response_id if first is None else first.id)
        after = self._parser.translator.last_sequence_number
        return await self._calls.open_events(response_id, after, self._parser, run)

    async def _decide(self, broken: GatewayError | None) -> list[StreamEvent]:
        """Return the last events if the response has ended, and none if it is under way and can be read on."""
        now = asyncio.get_running_loop().time()
        if self._quiet_since is None:
            self._quiet_since = now
        if self.response_id is None:
            self._give_up(broken)
        found = await self._calls.read(self.response_id)
        run = run_from_chain([*self._chain.earlier, found.response], self._chain.earlier_answers())
        if _is_settled(run.status):
            return self._accept(self._last_events(found))
        if self._is_cancelled:
            return self._end_run(found.response, "cancelled")
        if not self._chain.background:
            self._give_up(broken)
        if now - self._quiet_since < self._patience_seconds:
            return []
        if found.response.status != "queued" or not self._lost_start:
            self._give_up(broken)
        with contextlib.suppress(GatewayError):
            await self._calls.cancel(found.response.id)
        return self._end_run(found.response, "failed", ErrorObject("server_error", _LEFT_QUEUED))

    def _last_events(self, found: ReadResponse) -> list[StreamEvent]:
        """Return the events that a stream would have ended with.

        A message whose pieces are not complete is left out: it is read again as a whole, and its loss is told.
        """
        translator = self._parser.translator
        events: list[StreamEvent] = []
        for item, raw in items_of(found.response):
            if item.type != "message" or translator.has_whole_text(item):
                events += translator.translate(_to_event("response.output_item.done", item=raw))
        events += translator.translate(_to_event(f"response.{found.response.status}", response=found.raw))
        return events

    def _end_run(self, response: ResponseObject, status: str, error: ErrorObject | None = None) -> list[StreamEvent]:
        """Return the end of a run that its upstream does not show."""
        ended = msgspec.structs.replace(response, status=status, error=error or response.error)
        run = run_from_chain([*self._chain.earlier, ended], self._chain.earlier_answers())
        return self._accept([StreamEvent(f"response.{status}", wire=run)])

    def _give_up(self, broken: GatewayError | None) -> NoReturn:
        self._is_over = True
        raise self._reported or broken or _cut_short()

    async def _pause(self, rounds: int, least_seconds: float = 0.0) -> None:
        seconds = max(PAUSES_SECONDS[min(rounds, len(PAUSES_SECONDS) - 1)], least_seconds)
        if seconds:
            await self._sleep(min(seconds, MAX_PAUSE_SECONDS))
        if self._is_closed:
            self._give_up(None)


def _is_settled(status: str) -> bool:
    return is_terminal(status) or status == "requires_action"


def _to_event(kind: str, **fields: msgspec.Raw) -> bytes:
    return msgspec.json.encode({"type": kind, **fields})


def _cut_short() -> GatewayError:
    return GatewayError(
        ErrorCode.UPSTREAM_INVALID_RESPONSE, "Expected a whole stream, got one that was cut short.", retryable=True
    )
