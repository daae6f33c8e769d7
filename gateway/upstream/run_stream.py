"""The event stream of a run over HTTP. If it breaks, the events before the break are returned first, then the error.

A stream is complete when an event has ended it, even if its connection then fails: servers leave out `[DONE]`, keep the
connection open, or drop it.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import aiohttp
import msgspec
from aiohttp.http import HttpProcessingError

from gateway.upstream.error_replies import request_id_from_headers
from gateway.upstream.event_decoder import EventParser, StreamDecoder
from gateway.upstream.reply_readers import UnexpectedReplyError, check_thread
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import RunObject, ThreadObject

GRACE_SECONDS = 1.0
"""How long to wait, in total, for more data after an event that ended the stream."""

_logger = logging.getLogger(__name__)


class UpstreamRunStream:
    """The `RunStream` of a response whose body holds the events of a run. It has one reader, which may be cancelled.

    All runs in its events are the same run, with a thread id. Comments from the server count as activity, so they reset
    the idle timeout.
    """

    def __init__(
        self,
        response: aiohttp.ClientResponse,
        thread_id: str | None,
        *,
        run_id: str | None = None,
        credential: str | None = None,
        on_own_key_refused: Callable[[str | None], None] | None = None,
        idle_seconds: float = 60.0,
        on_close: Callable[[], None] | None = None,
        parse: EventParser | None = None,
    ) -> None:
        """Prepare to read the events of `response`.

        `thread_id` and `run_id` are those of the request. `on_close` is called once, when the connection is released:
        at the end, at a break, or by `aclose`. Where the credential is the gateway's own, `on_own_key_refused` is
        called with the upstream's id of the request if an event refuses it. `parse` reads each event; without it, as
        one of the Threads API.
        """
        self._response = response
        self._requested_thread_id = self._thread_id = thread_id
        self._run_id = run_id
        self._unread_bytes = b""
        self._credential = credential
        self._on_own_key_refused = on_own_key_refused
        self._decoder = StreamDecoder(credential, is_own_key=on_own_key_refused is not None, parse=parse)
        self._idle_seconds = idle_seconds
        self._grace_ends: float | None = None
        self._is_open = True
        self._failure: GatewayError | None = None
        self._on_close = on_close
        connection = response.connection
        if connection is not None and connection.protocol is not None and connection.protocol.closed is not None:
            connection.protocol.closed.add_done_callback(self._on_connection_closed)

    @property
    def thread_id(self) -> str | None:
        return self._requested_thread_id

    def push_back(self, data: bytes) -> None:
        """Put back the beginning of the body, which was read already. Call it before the first read."""
        self._unread_bytes = data

    async def read_events(self) -> list[StreamEvent]:
        """Return the next events, or an empty list at the end.

        Raises:
            GatewayError: the stream broke. Raised again by every later call.
        """
        while self._is_open:
            try:
                events = self._decoder.feed(await self._receive_bytes())
                failure = self._decoder.error
            except GatewayError as error:
                events, failure = self._decoder.finish(), error
            accepted = self._accept_events(events)
            if failure is not None:
                self._close_connection(failure)
            if accepted:
                return accepted
        if self._failure is not None:
            raise self._failure
        return []

    async def aclose(self) -> None:
        self._close_connection(self._cut_short_error())

    async def _receive_bytes(self) -> bytes:
        """Return the next bytes.

        Raises:
            GatewayError: there are no more bytes; the error says why.
        """
        if self._unread_bytes:
            data, self._unread_bytes = self._unread_bytes, b""
            return data
        content = self._response.content
        seconds = self._idle_seconds
        if self._grace_ends is not None:
            seconds = self._grace_ends - asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(max(seconds, 0.0)) as timeout:
                data = await content.readany()
        except Exception as error:
            if timeout.expired():
                raise self._idle_error() from None
            # After a break, aiohttp withholds the bytes that came before it. There is no public way to get them; tests
            # check that this one works.
            data = content._read_nowait(-1)
            if not data:
                raise self._error_from_exception(error) from None
        if not data:
            raise self._cut_short_error()
        return data

    def _on_connection_closed(self, closed: asyncio.Future[None]) -> None:
        """Wake a reader that aiohttp would leave waiting forever, as it does after it closed on a broken body."""
        if not closed.cancelled():
            closed.exception()  # or asyncio warns that the exception was never retrieved
        content = self._response.content
        if content.exception() is None and not content.is_eof():
            content.set_exception(aiohttp.ClientPayloadError())

    def _accept_events(self, events: list[StreamEvent]) -> list[StreamEvent]:
        """Return the events that belong to the request's run, up to the end."""
        accepted: list[StreamEvent] = []
        for event in events:
            try:
                accepted.append(self._check_event(event))
            except UnexpectedReplyError as unexpected:
                self._close_connection(
                    self._make_error(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"A run's stream: {unexpected}.")
                )
                break
            if isinstance(event.error, OwnKeyRefusedError) and self._on_own_key_refused is not None:
                self._on_own_key_refused(request_id_from_headers(self._response.headers, self._credential))
            if event.ends_stream and self._grace_ends is None:
                self._grace_ends = asyncio.get_running_loop().time() + GRACE_SECONDS
            if event.is_done:
                self._close_connection(None)
                break
        return accepted

    def _check_event(self, event: StreamEvent) -> StreamEvent:
        """Return the event, with the thread id added to its run.

        Raises:
            UnexpectedReplyError: the event is of another run or thread.
        """
        wire = event.wire
        if isinstance(wire, ThreadObject):
            self._thread_id = self._thread_id or wire.id
        if not isinstance(wire, RunObject):
            return event
        if self._run_id is not None and wire.id != self._run_id:
            raise UnexpectedReplyError(f"the run '{self._run_id}'", f"the run '{wire.id}'")
        self._thread_id = self._thread_id or wire.thread_id
        if not self._thread_id:
            raise UnexpectedReplyError("a run with a 'thread_id'", f"the run '{wire.id}' without one")
        check_thread(wire, self._thread_id)
        self._run_id = wire.id
        if wire.thread_id:
            return event
        return replace(event, wire=msgspec.structs.replace(wire, thread_id=self._thread_id))

    def _close_connection(self, failure: GatewayError | None) -> None:
        """Close the connection. `failure` counts only if no event has ended the stream."""
        if not self._is_open:
            return
        self._is_open = False
        self._failure = failure if self._grace_ends is None else None
        self._response.close()
        if self._on_close is not None:
            self._on_close()

    def _idle_error(self) -> GatewayError:
        expected = f"Expected an event of the run's stream within {self._idle_seconds:g} s, got none."
        return self._make_error(ErrorCode.UPSTREAM_TIMEOUT, expected)

    def _cut_short_error(self, code: ErrorCode = ErrorCode.UPSTREAM_INVALID_RESPONSE) -> GatewayError:
        return self._make_error(code, "Expected a whole stream, got one that was cut short.")

    def _error_from_exception(self, error: Exception) -> GatewayError:
        if not isinstance(error, aiohttp.ClientError | HttpProcessingError | OSError):
            _logger.error("a run's stream broke unexpectedly", exc_info=error)
        connection_lost = isinstance(error, aiohttp.ClientConnectionError | OSError)
        return self._cut_short_error(
            ErrorCode.UPSTREAM_UNREACHABLE if connection_lost else ErrorCode.UPSTREAM_INVALID_RESPONSE
        )

    def _make_error(self, code: ErrorCode, message: str) -> GatewayError:
        return GatewayError(
            code,
            safe_text(message, self._credential),
            retryable=True,
            upstream_request_id=request_id_from_headers(self._response.headers, self._credential),
        )
