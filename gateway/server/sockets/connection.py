"""One connection of a client: its deadlines, and the watch over what waits to be read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from gateway.server.http.graphql_response import error_response
from gateway.server.http.held_bytes import HeldBytes, UnreadBytes
from gateway.server.http.request_reader import request_id_from
from gateway.server.sockets.client_transport import ClientTransport
from gateway.server.sockets.connection_limits import ConnectionLimits
from gateway.server.sockets.fair_reads import FairReads
from gateway.server.sockets.lingering_close import LINGER_SECONDS, LingeringCloses
from gateway.server.sockets.sliced_writes import SLICE_BYTES
from gateway.server.sockets.websocket_frames import FrameReader
from gateway.telemetry.rare_warning import RareWarning
from gateway.telemetry.request_ids import REQUEST_ID_HEADER, new_request_id
from schema.contract.errors import ErrorCode, GatewayError, format_value

MAX_LINE_BYTES = 32 * 1024
"""Longest request line, which holds the document of a GET."""

MAX_HEADER_BYTES = 16 * 1024
"""Longest header. It is above the limit of `Authorization`, so that one too long gets a clear error."""

READ_BUFFER_BYTES = 64 * 1024
"""Bytes of a body that are read ahead. About twice as many may wait for a handler that does not read them."""

SERVER_NAME = "threads-gateway"
"""Value of the `Server` header. It names no version, because that would only help an attacker."""

_EXPECTED_HTTP = (
    f"Expected a request of HTTP/1.1, with a first line of at most {MAX_LINE_BYTES} bytes and headers of at most "
    f"{MAX_HEADER_BYTES}, got something else."
)
_END_OF_HEADERS = b"\r\n\r\n"
_CHECKS_UNTIL_STALLED = 8
_TRY_AGAIN_LATER = b"\x88\x02" + (1013).to_bytes(2, "big")  # a close frame


class StalledClientWatch:
    """Aborts a connection whose client reads nothing of what waits for it for `stalled_seconds`.

    It runs only while bytes wait. A client that reads slowly is not stalled.
    """

    __slots__ = ("_stalled_at", "_stalled_seconds", "_timer", "_transport", "_unread", "_waiting_bytes")

    def __init__(self, transport: asyncio.Transport, stalled_seconds: float, unread: UnreadBytes) -> None:
        """Watch a transport. Nothing waits yet."""
        self._transport = transport
        self._unread = unread
        self._stalled_seconds = stalled_seconds
        self._stalled_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting_bytes = 0

    def start(self) -> None:
        """Begin to watch, because bytes wait."""
        self._record_progress()
        self._start_timer()
        # More may be written at once.
        asyncio.get_running_loop().call_soon(self.record_more)

    def stop(self) -> None:
        """Stop watching, because nothing waits any longer or the connection is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unread.remove(self)

    def let_go(self) -> None:
        """Abort the connection."""
        self._transport.abort()

    def _record_progress(self) -> None:
        self._stalled_at = asyncio.get_running_loop().time() + self._stalled_seconds
        self._waiting_bytes = self._transport.get_write_buffer_size()
        self._unread.record(self, self._waiting_bytes, is_reading=True)

    def record_more(self) -> None:
        """Count what waits now. The connection is aborted if that is too much."""
        if self._timer is not None:
            self._unread.record(self, self._transport.get_write_buffer_size(), is_reading=False)

    def _start_timer(self) -> None:
        seconds = self._stalled_seconds / _CHECKS_UNTIL_STALLED
        self._timer = asyncio.get_running_loop().call_later(seconds, self._check)

    def _check(self) -> None:
        self._timer = None
        waiting_bytes = self._transport.get_write_buffer_size()
        if waiting_bytes < self._waiting_bytes:
            self._record_progress()
        elif asyncio.get_running_loop().time() >= self._stalled_at:
            self.let_go()
            return
        # More bytes than before are no progress: the gateway has written them.
        self._waiting_bytes = waiting_bytes
        self._unread.record(self, waiting_bytes, is_reading=False)
        self._start_timer()


class Connection(web.RequestHandler):
    """One connection, with what aiohttp has no limit for: first headers, unfinished messages, unread bytes.

    It holds for all that a connection carries: responses, event streams and WebSockets. It is read in small pieces and
    in turns, and closed so that its client gets what was sent last.
    """

    __slots__ = (
        "_client_transport",
        "_fair_reads",
        "_frames",
        "_header_timer",
        "_held",
        "_last_bytes",
        "_limits",
        "_lingering",
        "_malformed",
        "_on_lost",
        "_unfinished_bytes",
        "_watch",
        "first_headers",
    )

    def __init__(
        self,
        server: web.Server,
        limits: ConnectionLimits,
        held: HeldBytes,
        malformed: RareWarning,
        fair_reads: FairReads,
        lingering: LingeringCloses,
        on_lost: Callable[[Connection], None],
    ) -> None:
        """Make the protocol of one connection. `on_lost` is called once it is closed."""
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # aiohttp's own way to have none
            # Compressed bodies are refused, so none is unpacked.
            auto_decompress=False,
            keepalive_timeout=limits.idle_seconds,
            # How long the rest of a body is read that a response did not wait for, before the connection is closed.
            lingering_time=LINGER_SECONDS,
            max_field_size=MAX_HEADER_BYTES,
            max_line_size=MAX_LINE_BYTES,
            read_bufsize=READ_BUFFER_BYTES,
        )
        self._limits = limits
        self._held = held
        self._malformed = malformed
        self._fair_reads = fair_reads
        self._lingering = lingering
        self._client_transport: ClientTransport | None = None
        self._frames: FrameReader | None = None
        self._unfinished_bytes = 0
        self._on_lost = on_lost
        # Done once the headers of the first request are here, or will not come.
        self.first_headers: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._header_timer: asyncio.TimerHandle | None = None
        self._last_bytes = b""
        self._watch: StalledClientWatch | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        inner = cast("asyncio.Transport", transport)
        connected = ClientTransport(inner, self._fair_reads, self._close_transport, self._on_wait, self._on_more)
        self._client_transport = connected
        super().connection_made(connected)
        _set_tcp_user_timeout(connected, self._limits.stalled_client_seconds)
        self._watch = StalledClientWatch(connected, self._limits.stalled_client_seconds, self._held.unread)
        loop = asyncio.get_running_loop()
        self._header_timer = loop.call_later(self._limits.header_seconds, connected.abort)

    def on_read(self, data: bytes) -> None:
        """Take a piece that was read."""
        if self._client_transport is not None:
            self._client_transport.count_read(len(data))
        self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if not self.first_headers.done():
            received = self._last_bytes + data
            if _END_OF_HEADERS in received:
                self._end_first_headers()
            self._last_bytes = received[1 - len(_END_OF_HEADERS) :]
        super().data_received(data)
        for message, _ in self._messages:
            if (error := getattr(message, "exc", None)) is not None:
                # Its frames hold what was received, and the error itself: only the garbage collector could free them.
                error.__traceback__ = None
        if self._frames is not None:
            self._read_frames(self._frames, data)

    def set_parser(self, *args: Any, **kwargs: Any) -> None:
        """Hand the bytes to a WebSocket from now on."""
        received, self._frames = self._message_tail, FrameReader()
        super().set_parser(*args, **kwargs)
        self._read_frames(self._frames, received)

    def pause_writing(self) -> None:
        if self._client_transport is not None:
            self._client_transport.writes.on_full()

    def resume_writing(self) -> None:
        if self._client_transport is not None:
            self._client_transport.writes.on_empty()

    def _on_wait(self, is_waiting: bool) -> None:
        """Tell aiohttp, which then waits too, and watch the client."""
        if is_waiting:
            super().pause_writing()
            if self._watch is not None:
                self._watch.start()
        else:
            super().resume_writing()
            if self._watch is not None:
                self._watch.stop()

    def _on_more(self) -> None:
        if self._watch is not None:
            self._watch.record_more()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end(exc)
        self._on_lost(self)

    def _close_transport(self) -> None:
        """Close the transport for aiohttp. A connection that waits for a request has nothing on its way to its client.

        Any other connection ends here, so that nothing of it is held, but its client may read on for a while.
        """
        connected = self._client_transport
        if connected is None:
            return
        if self._waiter is not None and not connected.get_write_buffer_size():
            connected.inner.close()
            return
        connected.writes.flush()
        watch, self._watch = self._watch, None
        self._lingering.start(connected.inner, watch, partial(self._on_lost, self))
        asyncio.get_running_loop().call_soon(self._end)

    def _end(self, exc: BaseException | None = None) -> None:
        super().connection_lost(exc)
        self._end_first_headers()
        self._held.unfinished.release(self._unfinished_bytes)
        self._unfinished_bytes = 0
        self._frames = None
        self._messages.clear()  # requests that were sent ahead: the body of each has the connection
        if self._watch is not None:
            self._watch.stop()
            self._watch = None
        # A WebSocket's callback, through which aiohttp would hold the connection for the garbage collector.
        self._data_received_cb = None
        if self._client_transport is not None:
            self._client_transport.writes.clear()
            self._client_transport = None

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if isinstance(resp, web.HTTPExpectationFailed):
            # aiohttp refuses it before the application has the request, and in a text of its own.
            resp = _refused_expectation(cast("web.Request", request))
        if isinstance(resp, web.Response) and isinstance(resp.body, bytes) and len(resp.body) > SLICE_BYTES:
            # aiohttp would copy the body behind the headers.
            await resp.prepare(request)
            request.writer.send_headers()
        finished = await super().finish_response(request, resp, start_time)
        if isinstance(finished[0], web.Response):
            # aiohttp keeps the last response of a connection, however long it is idle.
            finished[0].body = None
        return finished

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Respond in JSON. aiohttp would show what came, as text, and log it with a traceback for every request."""
        request_id = new_request_id()
        if isinstance(exc, HttpProcessingError):
            self._malformed.give(type(exc).__name__)
            error = GatewayError(ErrorCode.BAD_USER_INPUT, _EXPECTED_HTTP)
            response = error_response(400, error, request_id=request_id)
        else:
            # Its own check and log, which has no bytes of a request.
            super().handle_error(request, status, exc, message)
            error = GatewayError(ErrorCode.INTERNAL, "An unexpected error occurred.")
            response = error_response(status, error, request_id=request_id)
        response.force_close()
        response.headers["Server"] = SERVER_NAME
        response.headers[REQUEST_ID_HEADER] = request_id
        return response

    def _read_frames(self, frames: FrameReader, data: bytes) -> None:
        """Count the bytes of an unfinished message. Closes the WebSocket if too many of all clients are held."""
        frames.feed(data)
        more = frames.unfinished_bytes - self._unfinished_bytes
        if more > 0 and not self._held.unfinished.hold(more):
            if self.transport is not None:
                self.transport.write(_TRY_AGAIN_LATER)
                self.transport.close()
            return
        if more < 0:
            self._held.unfinished.release(-more)
        self._unfinished_bytes = frames.unfinished_bytes

    def _end_first_headers(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None
        if not self.first_headers.done():
            self.first_headers.set_result(None)


def _refused_expectation(request: web.Request) -> web.Response:
    got = format_value(request.headers.get("Expect", ""))
    error = GatewayError(ErrorCode.BAD_USER_INPUT, f"Expected no Expect header but 100-continue, got {got}.")
    return error_response(417, error, request_id=request_id_from(request))


def _set_tcp_user_timeout(transport: asyncio.Transport, seconds: float) -> None:
    """Let the operating system, where it can, close a connection whose peer acknowledges no data for this long."""
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    sock = transport.get_extra_info("socket")
    if option is not None and sock is not None and sock.family in {socket.AF_INET, socket.AF_INET6}:
        sock.setsockopt(socket.IPPROTO_TCP, option, max(1, int(1000 * seconds)))
