"""A run's stream over HTTP: all that came before it broke is given first, and only then how it broke.

A stream is whole where an event ended it, whatever then becomes of its connection: servers leave out `[DONE]`, keep
the connection open, or drop it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import aiohttp
import msgspec
from aiohttp.http import HttpProcessingError

from gateway.upstream.error_replies import request_id
from gateway.upstream.event_decoder import StreamDecoder
from gateway.upstream.reply_readers import UnexpectedReplyError, check_thread
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import RunObject, ThreadObject

GRACE_SECONDS = 1.0
"""How long more is waited for behind an event that ended the stream, in all."""

_logger = logging.getLogger(__name__)


class UpstreamRunStream:
    """The `RunStream` of an answer whose body is a run's events; for one reader, whose reading may be cancelled.

    Every run that it gives is the same one and names its thread. Of a server that sends comments while nothing
    happens, the stream is not silent.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        thread_id: str | None,
        *,
        run_id: str | None = None,
        begun_with: bytes = b"",
        credential: str | None = None,
        idle_seconds: float = 60.0,
        grace_seconds: float = GRACE_SECONDS,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        """Read the events of `response`, of which `begun_with` was read already.

        `thread_id` and `run_id` are those that the request named. `on_close` is called once, when the connection is
        let go: at the end, where the stream breaks, or by `aclose`.
        """
        self._response = response
        self._asked_thread_id = self._thread_id = thread_id
        self._run_id = run_id
        self._unread = begun_with
        self._credential = credential
        self._decoder = StreamDecoder(credential)
        self._idle_seconds = idle_seconds
        self._grace_seconds = grace_seconds
        self._grace_ends: float | None = None
        self._is_open = True
        self._failure: GatewayError | None = None
        self._on_close = on_close
        connection = response.connection
        if connection is not None and connection.protocol is not None and connection.protocol.closed is not None:
            connection.protocol.closed.add_done_callback(self._note_closed)

    @property
    def thread_id(self) -> str | None:
        return self._asked_thread_id

    async def read_events(self) -> list[StreamEvent]:
        """Give the next events; none at the end; raises the `GatewayError` of a stream that broke, each time."""
        while self._is_open:
            try:
                events = self._decoder.feed(await self._receive())
                broken = self._decoder.fault
            except GatewayError as error:
                events, broken = self._decoder.end(), error
            good = self._take(events)
            if broken is not None:
                self._close(broken)
            if good:
                return good
        if self._failure is not None:
            raise self._failure
        return []

    async def aclose(self) -> None:
        self._close(self._cut_short())

    async def _receive(self) -> bytes:
        """The next bytes; raises the `GatewayError` that says why no more come."""
        if self._unread:
            data, self._unread = self._unread, b""
            return data
        content = self._response.content
        seconds = self._idle_seconds
        if self._grace_ends is not None:
            seconds = self._grace_ends - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(seconds, 0.0)) as waiting:
                data = await content.readany()
        except Exception as error:
            if waiting.expired():
                raise self._silent() from None
            # Once aiohttp knows of a break, it keeps to itself what came before. There is no public way to it; tests
            # watch that this one works.
            data = content._read_nowait(-1)
            if not data:
                raise self._broken(error) from None
        if not data:
            raise self._cut_short()
        return data

    def _note_closed(self, closed: asyncio.Future[None]) -> None:
        """Wake a reader whom aiohttp leaves waiting for ever, as it does where it closed because of a garbled body."""
        if not closed.cancelled():
            closed.exception()  # or asyncio complains that nobody asked for it
        content = self._response.content
        if content.exception() is None and not content.is_eof():
            content.set_exception(aiohttp.ClientPayloadError())

    def _take(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """The events that belong to the request's run, up to the end."""
        taken: list[StreamEvent] = []
        for event in events:
            try:
                taken.append(self._of_request(event))
            except UnexpectedReplyError as unexpected:
                self._close(self._error(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"A run's stream: {unexpected}."))
                break
            if event.ends_stream and self._grace_ends is None:
                self._grace_ends = asyncio.get_running_loop().time() + self._grace_seconds
            if event.is_done:
                self._close(None)
                break
        return taken

    def _of_request(self, event: StreamEvent) -> StreamEvent:
        """The same event, its run with its thread; raises `UnexpectedReplyError` for another run or thread."""
        found = event.wire
        if isinstance(found, ThreadObject):
            self._thread_id = self._thread_id or found.id
        if not isinstance(found, RunObject):
            return event
        if self._run_id is not None and found.id != self._run_id:
            raise UnexpectedReplyError(f"the run '{self._run_id}'", f"the run '{found.id}'")
        self._thread_id = self._thread_id or found.thread_id
        if not self._thread_id:
            raise UnexpectedReplyError("a run with a 'thread_id'", f"the run '{found.id}' without one")
        check_thread(found, self._thread_id)
        self._run_id = found.id
        if found.thread_id:
            return event
        return replace(event, wire=msgspec.structs.replace(found, thread_id=self._thread_id))

    def _close(self, broken: GatewayError | None) -> None:
        """Let go of the connection; `broken` is a failure only where no event has ended the stream."""
        if not self._is_open:
            return
        self._is_open = False
        self._failure = broken if self._grace_ends is None else None
        self._response.close()
        if self._on_close is not None:
            self._on_close()

    def _silent(self) -> GatewayError:
        expected = f"Expected an event of the run's stream within {self._idle_seconds:g} s, got none."
        return self._error(ErrorCode.UPSTREAM_TIMEOUT, expected)

    def _cut_short(self, code: ErrorCode = ErrorCode.UPSTREAM_INVALID_RESPONSE) -> GatewayError:
        return self._error(code, "Expected a whole stream, got one that was cut short.")

    def _broken(self, error: Exception) -> GatewayError:
        if not isinstance(error, aiohttp.ClientError | HttpProcessingError | OSError):
            _logger.error("a run's stream broke unexpectedly", exc_info=error)
        lost = isinstance(error, aiohttp.ClientConnectionError | OSError)
        return self._cut_short(ErrorCode.UPSTREAM_UNREACHABLE if lost else ErrorCode.UPSTREAM_INVALID_RESPONSE)

    def _error(self, code: ErrorCode, message: str) -> GatewayError:
        return GatewayError(
            code,
            safe_text(message, self._credential),
            retryable=True,
            upstream_request_id=request_id(self._response.headers, self._credential),
        )
