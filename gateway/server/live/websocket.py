"""GraphQL over WebSocket: the thin part with the socket; `ws_protocol` decides what a message means."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import WSMsgType, web

from gateway.identity.credentials import CredentialRefusedError, decide_socket_credential
from gateway.identity.principal import Principal
from gateway.server.http.request_reader import describe_caller
from gateway.server.live.back_pressure import BackPressure
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.graphql_transport_ws import (
    ACKNOWLEDGED,
    SUBPROTOCOL,
    Begin,
    Close,
    CloseCode,
    Decision,
    End,
    Initialise,
    Refuse,
    Reply,
    credentials_in,
    decide,
    short_reason,
)
from gateway.server.live.live_connections import LEAVE_SECONDS, LiveConnections, at_once
from gateway.server.live.socket_operations import SocketOperations, SocketServices

_OVER = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


def asks_for_websocket(request: web.Request) -> bool:
    """Whether a request wants to become a WebSocket."""
    return request.method == "GET" and request.headers.get("Upgrade", "").strip().lower() == "websocket"


async def serve_socket(request: web.Request, services: SocketServices) -> web.StreamResponse:
    """Open a WebSocket and serve it until it is closed; raises a `Refusal` where there is no place for one more."""
    connections = services.connections
    limits = connections.limits
    with connections.take_place(initialised=False) as place:
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,
            heartbeat=limits.heartbeat_seconds,
            # A client that sends pings and reads nothing must not fill the memory with answers.
            autoping=False,
            max_msg_size=services.executor.limits.max_body_bytes,
            timeout=LEAVE_SECONDS,
            # Room is waited for here, not in the middle of sending.
            writer_limit=sys.maxsize,
        )
        await socket.prepare(request)
        if request.transport is None:
            return socket
        if socket.ws_protocol != SUBPROTOCOL:
            await _close(socket, CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
            return socket
        line = WebSocketOutput(socket, request.transport, connections)
        operations = SocketOperations(services, line)
        connections.add(operations)
        init_timer = asyncio.get_running_loop().call_later(
            limits.socket_init_seconds, line.close_soon, CloseCode.INIT_TIMEOUT, "Connection initialisation timeout"
        )
        try:
            while (message := await socket.receive()).type not in _OVER:
                if message.type is WSMsgType.PING:
                    await socket.pong(message.data)
                elif message.type is WSMsgType.BINARY:
                    await _close(socket, CloseCode.BAD_MESSAGE, "Expected a message of text")
                elif message.type is WSMsgType.TEXT:
                    decision = decide(message.data, is_initialised=operations.is_initialised, active=operations.active)
                    if isinstance(decision, Initialise):
                        init_timer.cancel()
                        place.initialise()
                        decision = _initialise(decision, request, services, operations)
                    if isinstance(decision, Close):
                        await _close(socket, decision.code, decision.reason)
                    else:
                        _act(decision, operations, line)
                    if isinstance(decision, Begin):
                        # Reading a document takes the loop's time: others get theirs before the next one is read.
                        await asyncio.sleep(0)
                    del decision
                # What was said is not kept until the client says something else: a document may be long.
                del message
                await line.room()
        except ConnectionError:
            pass  # lost while there was something to send
        finally:
            init_timer.cancel()
            connections.remove(operations)
            operations.leave()
            line.end()
    return socket


class WebSocketOutput:
    """The way out of one socket."""

    __slots__ = ("_connections", "_flow", "_socket", "_transport")

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport, connections: LiveConnections
    ) -> None:
        """Send over an open socket."""
        self._socket = socket
        self._transport = transport
        self._connections = connections
        turns, stalled_seconds = connections.deliveries.turns, connections.limits.stalled_client_seconds
        self._flow = BackPressure(transport, turns, stalled_seconds, transport.abort)

    def send(self, message: bytes) -> None:
        """Send a message at once, or drop it where the socket is closed."""
        if not self._socket.closed:
            at_once(self._socket.send_frame(message, WSMsgType.TEXT))

    def is_full(self) -> bool:
        """Whether the client has to take something first."""
        return self._flow.is_full()

    def wait_for_room(self, player: QueueMember) -> None:
        """Give a player a turn once there is room."""
        self._flow.wait_for_room(player)

    async def room(self) -> None:
        """Wait until there is room; raises ConnectionError where the connection is lost meanwhile."""
        await self._flow.room()

    def close_soon(self, code: CloseCode, reason: str) -> None:
        """Close the socket."""
        if not self._socket.closed:
            self._connections.tasks.start(_close(self._socket, code, reason))

    def abort(self) -> None:
        """End the connection without a word."""
        self._transport.abort()

    def end(self) -> None:
        """Let go of the connection, which is closed or about to be."""
        self._flow.close()
        self._connections.abort_later(self._transport)


async def _close(socket: web.WebSocketResponse, code: CloseCode, reason: str) -> None:
    await socket.close(code=code, message=short_reason(reason), drain=False)


def _initialise(
    asked: Initialise, request: web.Request, services: SocketServices, operations: SocketOperations
) -> Decision:
    try:
        credential = decide_socket_credential(describe_caller(request), credentials_in(asked.payload), services.keys)
    except CredentialRefusedError as refused:
        return Close(CloseCode.FORBIDDEN, f"Forbidden: {refused.error.message.rpartition(': ')[2]}")
    operations.initialise(Principal.of(credential, services.upstream))
    return Reply(ACKNOWLEDGED)


def _act(decision: Decision, operations: SocketOperations, line: WebSocketOutput) -> None:
    if isinstance(decision, Reply):
        line.send(decision.message)
    elif isinstance(decision, Begin):
        operations.begin(decision.id, decision.request)
    elif isinstance(decision, End):
        operations.end(decision.id)
    elif isinstance(decision, Refuse):
        operations.refuse(decision.id, decision.error)
