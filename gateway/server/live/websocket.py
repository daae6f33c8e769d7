"""GraphQL over WebSocket: the I/O around `graphql_transport_ws`, which decides what a message means."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from aiohttp import WSMessage, WSMsgType, web

from gateway.identity.authenticator import audit_refused_credential
from gateway.identity.credentials import CredentialRefusedError
from gateway.server.http.request_reader import caller_from_request, request_id_from
from gateway.server.live.back_pressure import BackPressure
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.graphql_transport_ws import (
    ACK_MESSAGE,
    SUBPROTOCOL,
    CloseCode,
    CloseSocket,
    Decision,
    IgnoreMessage,
    InitialiseConnection,
    RefuseOperation,
    RenewCredential,
    SendMessage,
    StartOperation,
    StopOperation,
    authorization_from_payload,
    encode_close_reason,
    interpret_message,
)
from gateway.server.live.live_connections import CLOSE_TIMEOUT_SECONDS, LiveConnections, send_without_waiting
from gateway.server.live.ping_limit import PINGS_PER_SECOND, PingLimit
from gateway.server.live.socket_operations import SocketOperations, SocketServices
from schema.contract.encoded_json import EncodedJson

MESSAGES_PER_TURN = 16
"""Messages that are carried out in one turn of the event loop."""

TOO_MANY_PINGS = f"Expected at most {PINGS_PER_SECOND} pings a second, got more"
"""Reason of the close frame after a flood of pings."""

_LONG_TEXT = b"\x81\x7f"
"""Beginning of a frame with a whole message of text; eight bytes of its length follow. Source: RFC 6455 section 5.2."""

_CLOSED_TYPES = (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR)


def is_websocket_upgrade(request: web.Request) -> bool:
    """Tell whether a request asks to be upgraded to a WebSocket."""
    return request.method == "GET" and request.headers.get("Upgrade", "").strip().lower() == "websocket"


async def serve_websocket(request: web.Request, services: SocketServices) -> web.StreamResponse:
    """Open a WebSocket and serve it until it is closed.

    Raises:
        Refusal: There are too many connections.
    """
    connections = services.connections
    limits = connections.limits
    with connections.acquire_slot(initialised=False) as slot:
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            compress=False,
            heartbeat=limits.heartbeat_seconds,
            # Pongs are sent below, so that a client that sends pings and reads nothing cannot fill the memory.
            autoping=False,
            max_msg_size=services.runner.limits.max_body_bytes,
            timeout=CLOSE_TIMEOUT_SECONDS,
            # The loop below waits for the buffer to drain, so aiohttp must not.
            writer_limit=sys.maxsize,
        )
        transport = await _prepare_socket(socket, request)
        if transport is None:
            return socket
        if socket.ws_protocol != SUBPROTOCOL:
            await _close_socket(socket, CloseCode.SUBPROTOCOL_NOT_ACCEPTABLE, "Subprotocol not acceptable")
            return socket
        output = WebSocketOutput(socket, transport, connections)
        operations = SocketOperations(services, output, request_id_from(request), request.headers)
        connections.register(operations)
        init_timer = asyncio.get_running_loop().call_later(
            limits.socket_init_seconds, output.close_soon, CloseCode.INIT_TIMEOUT, "Connection initialisation timeout"
        )

        def on_initialised() -> None:
            init_timer.cancel()
            slot.mark_initialised()

        messages = SocketMessages(socket, request, services, operations, output, on_initialised)
        try:
            while (message := await socket.receive()).type not in _CLOSED_TYPES:
                await messages.carry_out(message)
                # A document may be long: free it now, not when the next message arrives.
                del message
                await output.drain()
                await messages.end_turn()
            _forget_frames(message.data)
        except ConnectionError:
            pass  # lost while sending
        finally:
            _forget_frames(socket.exception())
            # A handler that is cancelled leaves its next ping behind, which would hold the lost connection until then.
            socket._cancel_heartbeat()
            init_timer.cancel()
            connections.unregister(operations)
            operations.stop_all()
            output.release()
    return socket


def _forget_frames(error: object) -> None:
    """Drop the traceback of what ended a socket, if it is an error: its frames have the socket, which has the error."""
    if isinstance(error, BaseException):
        error.__traceback__ = None


async def _prepare_socket(socket: web.WebSocketResponse, request: web.Request) -> asyncio.Transport | None:
    """Send the headers. Returns the transport, or None if the client has left."""
    try:
        await socket.prepare(request)
    except ConnectionError:
        return None
    return request.transport


class SocketMessages:
    """Carries out the messages of one client, one after the other."""

    __slots__ = (
        "_count_in_turn",
        "_on_initialised",
        "_operations",
        "_output",
        "_pings",
        "_request",
        "_services",
        "_socket",
    )

    def __init__(
        self,
        socket: web.WebSocketResponse,
        request: web.Request,
        services: SocketServices,
        operations: SocketOperations,
        output: WebSocketOutput,
        on_initialised: Callable[[], None],
    ) -> None:
        """Call `on_initialised` for each `connection_init`."""
        self._socket = socket
        self._request = request
        self._services = services
        self._operations = operations
        self._output = output
        self._on_initialised = on_initialised
        self._pings = PingLimit(services.connections.limits.ping_flood_seconds, asyncio.get_running_loop().time)
        self._count_in_turn = 0

    async def carry_out(self, message: WSMessage) -> None:
        """Carry out a message, which may have any type."""
        self._count_in_turn += 1
        if message.type is WSMsgType.PING:
            if await self._may_answer_ping():
                await self._socket.pong(message.data)
        elif message.type is WSMsgType.BINARY:
            await _close_socket(self._socket, CloseCode.BAD_MESSAGE, "Expected a message of text")
        elif message.type is WSMsgType.TEXT:
            decision = interpret_message(
                message.data,
                self._services.documents,
                is_initialised=self._operations.is_initialised,
                active_ids=self._operations.active_ids,
            )
            if isinstance(decision, InitialiseConnection):
                self._on_initialised()
                decision = await self._initialise(decision)
            elif isinstance(decision, SendMessage | RenewCredential) and not await self._may_answer_ping():
                return
            if isinstance(decision, RenewCredential):
                decision = await self._renew(decision)
            await self._carry_out_decision(decision, len(message.data))

    async def end_turn(self) -> None:
        """Let others have a turn of the event loop, if this client has had enough of it."""
        if self._count_in_turn >= MESSAGES_PER_TURN:
            self._count_in_turn = 0
            await asyncio.sleep(0)

    async def _may_answer_ping(self) -> bool:
        """Wait until one more ping is answered. Returns False if there are too many, after closing the socket."""
        delay = self._pings.count()
        if delay is None:
            await _close_socket(self._socket, CloseCode.TOO_MANY_PINGS, TOO_MANY_PINGS)
        elif delay:
            await asyncio.sleep(delay)
        return not self._socket.closed

    async def _initialise(self, decision: InitialiseConnection) -> Decision:
        """Determine the principal. The next message is read afterwards, so that it finds the principal."""
        self._count_in_turn = MESSAGES_PER_TURN  # verifying a signature takes time
        try:
            principal = await self._services.authenticator.authenticate_socket(
                caller_from_request(self._request), authorization_from_payload(decision.payload)
            )
        except CredentialRefusedError as refused:
            audit_refused_credential(refused)
            if refused.is_final:
                return CloseSocket(CloseCode.UNAUTHORIZED, f"Unauthorized: {refused.reason}")
            return CloseSocket(CloseCode.FORBIDDEN, f"Forbidden: {refused.reason}")
        self._operations.initialise(principal)
        return SendMessage(ACK_MESSAGE)

    async def _renew(self, decision: RenewCredential) -> Decision:
        self._count_in_turn = MESSAGES_PER_TURN  # as above
        is_renewed = await self._operations.renew_credential(decision.authorization)
        return SendMessage(decision.pong) if is_renewed else IgnoreMessage()

    async def _carry_out_decision(self, decision: Decision, size: int) -> None:
        if isinstance(decision, CloseSocket):
            await _close_socket(self._socket, decision.code, decision.reason)
        elif isinstance(decision, SendMessage):
            self._output.send_message(decision.message)
        elif isinstance(decision, StartOperation):
            self._operations.start_operation(decision.id, decision.request, size)
            self._count_in_turn = MESSAGES_PER_TURN  # parsing a document takes time
        elif isinstance(decision, StopOperation):
            self._operations.stop_operation(decision.id)
        elif isinstance(decision, RefuseOperation):
            self._operations.refuse_operation(decision.id, decision.error)


class WebSocketOutput:
    """The sending side of one WebSocket."""

    __slots__ = ("_back_pressure", "_connections", "_socket", "_transport")

    def __init__(
        self, socket: web.WebSocketResponse, transport: asyncio.Transport, connections: LiveConnections
    ) -> None:
        """Send over an open socket."""
        self._socket = socket
        self._transport = transport
        self._connections = connections
        self._back_pressure = BackPressure(transport, connections.fan_out.queue)

    def send_message(self, message: EncodedJson) -> None:
        """Send a message without waiting, or drop it if the socket is closed."""
        if self._socket.closed:
            return
        if isinstance(message, bytes):
            send_without_waiting(self._socket.send_frame(message, WSMsgType.TEXT))
        else:
            for piece in (_LONG_TEXT + len(message).to_bytes(8, "big"), *message.pieces):
                self._transport.write(piece)

    def is_full(self) -> bool:
        """Whether the client has to read before more is sent."""
        return self._back_pressure.is_full()

    def enqueue_after_drain(self, member: QueueMember) -> None:
        """Put a member into the fair queue once the socket is no longer full."""
        self._back_pressure.enqueue_after_drain(member)

    async def drain(self) -> None:
        """Wait until the socket is no longer full; raises ConnectionError if the connection is lost meanwhile."""
        await self._back_pressure.drain()

    def close_soon(self, code: CloseCode, reason: str) -> None:
        """Start to close the socket. Does nothing if it is closed."""
        if not self._socket.closed:
            self._connections.tasks.start(_close_socket(self._socket, code, reason))

    def abort(self) -> None:
        """Close the connection without a close frame."""
        self._transport.abort()

    def release(self) -> None:
        """Stop watching the connection, and abort it if its client does not read the last bytes in time."""
        self._back_pressure.close()
        self._connections.abort_after_timeout(self._transport)


async def _close_socket(socket: web.WebSocketResponse, code: CloseCode, reason: str) -> None:
    await socket.close(code=code, message=encode_close_reason(reason), drain=False)
    _forget_frames(socket.exception())
