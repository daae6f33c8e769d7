"""Answers as server-sent events: one stream for one operation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web
from aiohttp.http import StreamWriter

from gateway.identity.principal import Principal
from gateway.server.http.graphql_request import ParsedRequest
from gateway.server.http.graphql_response import HEADERS, encode_json, error_body
from gateway.server.http.media_types import EVENT_STREAM
from gateway.server.http.refusals import Refusal
from gateway.server.live.back_pressure import BackPressure
from gateway.server.live.expiry_timer import ExpiryTimer, expired_error
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.live_connections import LiveConnections, at_once
from gateway.server.live.sse_frames import COME_BACK, COMPLETE, HEARTBEAT, next_frame
from schema.contract.errors import ErrorCode, GatewayError
from schema.operations.start_subscription import SubscriptionRefusedError

STREAM_HEADERS: Mapping[str, str] = {
    **HEADERS,
    "Content-Type": f"{EVENT_STREAM}; charset=utf-8",
    # nginx would collect events otherwise.
    "X-Accel-Buffering": "no",
}


def single_response(body: Mapping[str, Any]) -> web.Response:
    """Answer with one `next` and the end: a query, a mutation, or the errors that kept an operation from running."""
    return web.Response(body=next_frame(encode_json(body)) + COMPLETE, headers=STREAM_HEADERS)


class EventStreams:
    """Answers subscriptions with streams of events."""

    def __init__(self, connections: LiveConnections, *, now: Callable[[], float] = time.time) -> None:
        """Count the streams among `connections`; `now` is the time by which credentials end."""
        self._connections = connections
        self._now = now

    async def answer(self, request: web.Request, read: ParsedRequest, principal: Principal) -> web.StreamResponse:
        """Follow a subscription until it ends or its client leaves; raises a `Refusal`.

        The client's `Last-Event-ID` is the cursor of the last event that it has got.
        """
        with self._connections.take_place():
            try:
                delivery = await self._connections.deliveries.begin(
                    read, principal, resume_after=request.headers.get("Last-Event-ID") or None
                )
            except SubscriptionRefusedError as refused:
                return single_response({"errors": refused.errors})
            except GatewayError as error:
                if error.code is ErrorCode.TOO_MANY_OPERATIONS:
                    raise Refusal(429, error, (("Retry-After", "1"),)) from None
                return single_response({"errors": [error_body(error)]})
            response = web.StreamResponse(headers=STREAM_HEADERS)
            stream = None
            try:
                stream = await EventStream.open(request, response, self._connections)
                timer = ExpiryTimer(principal, stream.expire, self._now)
                try:
                    delivery.start(stream)
                    await stream.over()
                finally:
                    timer.cancel()
            except ConnectionError:
                pass  # the client has left
            finally:
                delivery.leave()
                if stream is not None:
                    stream.close()
        return response


class EventStream:
    """One stream that is open."""

    __slots__ = ("_beat", "_connections", "_end", "_flow", "_transport", "_writer")

    def __init__(self, transport: asyncio.Transport, writer: StreamWriter, connections: LiveConnections) -> None:
        """Send over a response whose headers are on their way, and a first comment with them."""
        self._writer = writer
        self._connections = connections
        self._transport = transport
        seconds = connections.limits.stalled_client_seconds
        self._flow = BackPressure(transport, connections.deliveries.turns, seconds, transport.abort)
        self._beat: asyncio.TimerHandle | None = None
        self._end = asyncio.get_running_loop().create_future()
        connections.add(self)
        self._keep_alive()

    @classmethod
    async def open(
        cls, request: web.Request, response: web.StreamResponse, connections: LiveConnections
    ) -> EventStream:
        """Send the headers; raises ConnectionError where the client has left."""
        writer = await response.prepare(request)
        if request.transport is None or not isinstance(writer, StreamWriter):
            raise ConnectionResetError("the client has left")
        return cls(request.transport, writer, connections)

    async def over(self) -> None:
        """Wait for the last word, and until the client has taken most of what was sent."""
        await self._end
        await self._flow.room()

    def is_full(self) -> bool:
        return self._flow.is_full()

    def wait_for_room(self, player: QueueMember) -> None:
        self._flow.wait_for_room(player)

    def send_next(self, operation: str, payload: bytes, cursor: str) -> None:  # noqa: ARG002 - a stream has only one
        self._send(next_frame(payload, cursor))

    def send_errors(self, operation: str, errors: list[dict[str, Any]]) -> None:
        self._send(next_frame(encode_json({"errors": errors})))
        self.send_complete(operation)

    def send_complete(self, operation: str) -> None:  # noqa: ARG002 - as above
        self._finish(COMPLETE)

    def send_away(self) -> None:
        self._finish(COME_BACK)

    def expire(self) -> None:
        """End, because the credential has."""
        self.send_errors("", [error_body(expired_error())])

    def abort(self) -> None:
        self._transport.abort()

    def close(self) -> None:
        """Let go of everything but the connection."""
        self._connections.remove(self)
        self._flow.close()
        if self._beat is not None:
            self._beat.cancel()

    def _finish(self, last_words: bytes) -> None:
        self._send(last_words)
        if not self._end.done():
            self._end.set_result(None)

    def _send(self, frames: bytes) -> None:
        if not self._end.done():
            at_once(self._writer.write(frames, drain=False))

    def _keep_alive(self) -> None:
        if not self._flow.is_full():
            self._send(HEARTBEAT)
        seconds = self._connections.limits.heartbeat_seconds
        self._beat = asyncio.get_running_loop().call_later(seconds, self._keep_alive)
