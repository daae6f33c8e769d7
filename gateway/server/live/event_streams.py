"""GraphQL over server-sent events, in "distinct connections mode": one event stream for each operation.

Source: PROTOCOL.md of graphql-sse, https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, and the HTML
standard, section "Server-sent events".
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.http import StreamWriter

from gateway.identity.principal import Principal
from gateway.media_types import EVENT_STREAM
from gateway.server.http.graphql_request import ParsedRequest
from gateway.server.http.graphql_response import (
    RESPONSE_HEADERS,
    encode_body,
    encode_json,
    error_body,
    identify_errors,
    with_request_id,
)
from gateway.server.http.pieces_payload import to_body
from gateway.server.http.refusals import Refusal, rate_limit_refusal
from gateway.server.http.request_reader import request_id_from
from gateway.server.live.back_pressure import BackPressure
from gateway.server.live.expiry_timer import ExpiryTimer, expired_error
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.fan_out import Subscriber
from gateway.server.live.live_connections import LiveConnections, send_without_waiting
from schema.contract.encoded_json import EncodedJson, to_pieces, wrap_json
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.rate_limits import RateLimitedError
from schema.operations.start_subscription import SubscriptionRefusedError

STREAM_HEADERS: Mapping[str, str] = {
    **RESPONSE_HEADERS,
    "Content-Type": f"{EVENT_STREAM}; charset=utf-8",
    # Without it, nginx buffers the events.
    "X-Accel-Buffering": "no",
}


RETRY_MS = 1000

HEARTBEAT_FRAME = b":\n\n"
"""A comment, which clients ignore. The first one shows a browser that the stream is open."""

COMPLETE_FRAME = b"event: complete\ndata: \n\n"
"""The end of an operation. It has a `data` line, because `EventSource` fires no event for a frame without one."""

RETRY_FRAME = b"retry: %d\n\n" % RETRY_MS
"""The last frame of a gateway that stops. A client reopens a stream that ends without `complete`."""


def next_frame(payload: EncodedJson, cursor: str | None = None) -> EncodedJson:
    """Encode one result as a `next` frame.

    `payload` is JSON on one line. `cursor` becomes the frame's id, which a client that reconnects sends back in
    `Last-Event-ID`.
    """
    before = b"event: next\ndata: " if cursor is None else b"event: next\nid: %b\ndata: " % cursor.encode()
    return wrap_json(before, payload, b"\n\n")


def single_event_response(body: Mapping[str, Any]) -> web.Response:
    """Make a response of one `next` and `complete`: for a query, a mutation, or the errors of a request."""
    return web.Response(
        body=to_body(wrap_json(b"", next_frame(encode_body(body)), COMPLETE_FRAME)), headers=STREAM_HEADERS
    )


class EventStreams:
    """Responds to subscriptions with event streams."""

    def __init__(self, connections: LiveConnections, *, now: Callable[[], float] = time.time) -> None:
        """Count the streams among `connections`. `now` is the Unix time, by which credentials expire."""
        self._connections = connections
        self._now = now

    async def respond(self, request: web.Request, parsed: ParsedRequest, principal: Principal) -> web.StreamResponse:
        """Stream a subscription until it ends or its client disconnects.

        The client's `Last-Event-ID` is the cursor of the last event that it has received.

        Raises:
            Refusal: There are too many connections, or too many subscriptions of the principal, or it has used up a
                limit.
        """
        request_id = request_id_from(request)
        with self._connections.acquire_slot():
            try:
                subscriber = await self._connections.fan_out.subscribe(
                    parsed, principal, resume_after=request.headers.get("Last-Event-ID") or None
                )
            except SubscriptionRefusedError as refused:
                return single_event_response(with_request_id({"errors": refused.errors}, request_id))
            except RateLimitedError as limited:
                raise rate_limit_refusal(limited) from None
            except GatewayError as error:
                if error.code is ErrorCode.TOO_MANY_OPERATIONS:
                    raise Refusal(429, error, (("Retry-After", "1"),)) from None
                return single_event_response(with_request_id({"errors": [error_body(error)]}, request_id))
            response = web.StreamResponse(headers=STREAM_HEADERS)
            stream = None
            try:
                stream = await EventStream.open(request, response, self._connections)
                timer = ExpiryTimer(principal, partial(_end_expired, stream, subscriber, request_id), self._now)
                try:
                    subscriber.start(stream)
                    await stream.wait_finished()
                finally:
                    timer.cancel()
            except ConnectionError:
                pass  # the client has disconnected
            finally:
                subscriber.unsubscribe()
                if stream is not None:
                    stream.close()
        return response


def _end_expired(stream: EventStream, subscriber: Subscriber, request_id: str) -> None:
    """End a stream with an error, because the credential has expired."""
    error = expired_error()
    subscriber.unsubscribe(error)
    stream.send_errors("", identify_errors([error_body(error)], request_id))


class EventStream:
    """One open event stream."""

    __slots__ = ("_back_pressure", "_connections", "_finished", "_heartbeat_timer", "_transport", "_writer")

    def __init__(self, transport: asyncio.Transport, writer: StreamWriter, connections: LiveConnections) -> None:
        """Send over a prepared response. A first comment goes out with the headers."""
        self._writer = writer
        self._connections = connections
        self._transport = transport
        self._back_pressure = BackPressure(transport, connections.fan_out.queue)
        self._heartbeat_timer: asyncio.TimerHandle | None = None
        self._finished = asyncio.get_running_loop().create_future()
        connections.register(self)
        self._send_heartbeat()

    @classmethod
    async def open(
        cls, request: web.Request, response: web.StreamResponse, connections: LiveConnections
    ) -> EventStream:
        """Send the headers and open the stream.

        Raises:
            ConnectionError: The client has disconnected.
        """
        writer = await response.prepare(request)
        if request.transport is None or not isinstance(writer, StreamWriter):
            raise ConnectionResetError("the client has left")
        return cls(request.transport, writer, connections)

    async def wait_finished(self) -> None:
        """Wait for the last frame, and until the client has read most of what was sent."""
        await self._finished
        await self._back_pressure.drain()

    def is_full(self) -> bool:
        return self._back_pressure.is_full()

    def enqueue_after_drain(self, member: QueueMember) -> None:
        self._back_pressure.enqueue_after_drain(member)

    def send_next(self, operation_id: str, payload: EncodedJson, cursor: str) -> None:  # noqa: ARG002 - a stream has only one
        self._send(next_frame(payload, cursor))

    def send_errors(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        self._send(next_frame(encode_json({"errors": errors})))
        self.send_complete(operation_id)

    def send_complete(self, operation_id: str) -> None:  # noqa: ARG002 - as above
        self._finish(COMPLETE_FRAME)

    def request_reconnect(self) -> None:
        self._finish(RETRY_FRAME)

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        """Release everything except the connection, which aiohttp closes."""
        self._connections.unregister(self)
        self._back_pressure.close()
        if self._heartbeat_timer is not None:
            self._heartbeat_timer.cancel()

    def _finish(self, last_frame: bytes) -> None:
        self._send(last_frame)
        if not self._finished.done():
            self._finished.set_result(None)

    def _send(self, frames: EncodedJson) -> None:
        if not self._finished.done():
            for piece in to_pieces(frames):
                send_without_waiting(self._writer.write(piece, drain=False))

    def _send_heartbeat(self) -> None:
        if not self._back_pressure.is_full():
            self._send(HEARTBEAT_FRAME)
        seconds = self._connections.limits.heartbeat_seconds
        self._heartbeat_timer = asyncio.get_running_loop().call_later(seconds, self._send_heartbeat)
