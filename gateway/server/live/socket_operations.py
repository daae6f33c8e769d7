"""The operations of one socket, each under the id that its client gave it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gateway.identity.credentials import Keys
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.http.graphql_request import GraphQLRequest, ParsedRequest
from gateway.server.http.graphql_response import encode_json, error_body, result_body
from gateway.server.http.operation_runner import OperationRunner
from gateway.server.http.operation_tasks import OperationStoppedError, OperationTasks
from gateway.server.http.refusals import ended_error, stopping_error
from gateway.server.live.expiry_timer import ExpiryTimer, expired_error
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.fan_out import Subscriber
from gateway.server.live.graphql_transport_ws import CloseCode, complete_message, error_message, next_message
from gateway.server.live.live_connections import LiveConnections
from schema.contract.errors import ErrorCode, GatewayError
from schema.engine.public_errors import mask_error
from schema.operations.start_subscription import SubscriptionRefusedError

_SINGLE = {OperationType.QUERY, OperationType.MUTATION}


@dataclass(frozen=True, slots=True)
class SocketServices:
    """What all sockets share; `now` is the time by which credentials end."""

    executor: OperationRunner
    operations: OperationTasks
    connections: LiveConnections
    keys: Keys
    upstream: UpstreamIdentity
    now: Callable[[], float] = time.time


class SocketOutput(Protocol):
    """The way out of a socket; nothing that is sent waits, and what is sent after its end is dropped."""

    def send(self, message: bytes) -> None: ...
    def is_full(self) -> bool: ...
    def wait_for_room(self, player: QueueMember) -> None: ...
    async def room(self) -> None: ...
    def close_soon(self, code: CloseCode, reason: str) -> None: ...
    def abort(self) -> None: ...


Active: TypeAlias = "asyncio.Task[None] | Subscriber"


class SocketOperations:
    """Runs a socket's queries and mutations, and follows its subscriptions.

    A subscription has a task only while it begins. When the socket is left, queries are cancelled; what may write
    goes on, owned by the gateway's `OperationTasks`, and so it does, still counted, when its client completes it.
    """

    __slots__ = ("_active", "_expiry", "_leaving", "_line", "_principal", "_services", "_singles", "_unwanted")

    def __init__(self, services: SocketServices, line: SocketOutput) -> None:
        """Nothing is under way, and nobody has said who they are."""
        self._services = services
        self._line = line
        self._principal: Principal | None = None
        self._active: dict[str, Active] = {}
        self._singles = 0
        self._unwanted = 0
        self._leaving = False
        self._expiry: ExpiryTimer | None = None

    @property
    def is_initialised(self) -> bool:
        """Whether it is known who the client is."""
        return self._principal is not None

    @property
    def active(self) -> Container[str]:
        """The ids of what is under way."""
        return self._active

    def initialise(self, principal: Principal) -> None:
        """Run everything for this principal."""
        self._principal = principal

    def begin(self, id_: str, asked: GraphQLRequest) -> None:
        """Begin an operation. Its client asks again, elsewhere, for one that comes after `send_away`."""
        most = self._services.connections.limits.max_operations_per_socket
        if self._leaving or self._principal is None:
            return
        if len(self._active) + self._unwanted >= most:
            message = f"Expected at most {most} operations at once on one socket, got one more."
            self.refuse(id_, GatewayError(ErrorCode.TOO_MANY_OPERATIONS, message))
            return
        self._active[id_] = self._services.connections.tasks.start(self._run(id_, asked, self._principal))

    def refuse(self, id_: str, error: GatewayError) -> None:
        """Answer an operation with an error."""
        self.send_errors(id_, [error_body(error)])

    def end(self, id_: str) -> None:
        """Stop an operation whose answers nobody wants any more."""
        _stop(self._active.pop(id_, None))

    def leave(self) -> None:
        """Stop everything: the socket is closed."""
        self._leaving = True
        if self._expiry is not None:
            self._expiry.cancel()
        while self._active:
            _stop(self._active.popitem()[1])

    def send_away(self) -> None:
        """Have the client come back elsewhere, once what gives a single answer has been answered."""
        self._leaving = True
        if not self._singles:
            self._line.close_soon(CloseCode.SERVICE_RESTART, "Service restart")

    def abort(self) -> None:
        """End the connection at once."""
        self._line.abort()

    def is_full(self) -> bool:
        return self._line.is_full()

    def wait_for_room(self, player: QueueMember) -> None:
        self._line.wait_for_room(player)

    def send_next(self, operation: str, payload: bytes, cursor: str) -> None:  # noqa: ARG002 - selected where wanted
        self._line.send(next_message(operation, payload))

    def send_errors(self, operation: str, errors: list[dict[str, Any]]) -> None:
        self._active.pop(operation, None)
        self._line.send(error_message(operation, errors))

    def send_complete(self, operation: str) -> None:
        self._active.pop(operation, None)
        self._line.send(complete_message(operation))

    async def _run(self, id_: str, asked: GraphQLRequest, principal: Principal) -> None:
        """Run one operation to its end, or a subscription to its beginning. Cancelled, it says nothing more."""
        try:
            request = self._services.executor.read(asked)
            if (unclear := request.ambiguity) is not None:
                self.refuse(id_, unclear)
            elif request.is_subscription:
                await self._follow(id_, request, principal)
            else:
                await self._answer(id_, request, principal)
        except SubscriptionRefusedError as refused:
            self.send_errors(id_, refused.errors)
        except GatewayError as error:
            self.refuse(id_, error)
        except ConnectionError:
            return
        except Exception as error:
            self.refuse(id_, mask_error(error, "running an operation of a socket"))

    async def _follow(self, id_: str, request: ParsedRequest, principal: Principal) -> None:
        delivery = await self._services.connections.deliveries.begin(request, principal)
        self._active[id_] = delivery
        if self._expiry is None:
            self._expiry = ExpiryTimer(principal, self._expire, self._services.now)
        delivery.start(self, id_)

    async def _answer(self, id_: str, request: ParsedRequest, principal: Principal) -> None:
        running = self._services.executor.execute(request, principal, _SINGLE)
        self._singles += 1
        try:
            operations = self._services.operations
            result = await operations.run(running, finish=request.asked.may_write, on_left=self._count_unwanted)
            body, refused = result_body(result)
            await self._line.room()
            if refused:
                self.send_errors(id_, body["errors"])
            else:
                self.send_next(id_, encode_json(body), "")
                self.send_complete(id_)
        except OperationStoppedError as stopped:
            raise (ended_error() if stopped.begun and request.asked.may_write else stopping_error()) from None
        except InvalidOperationTypeError as error:
            message = f"Expected a query, a mutation or a subscription, got a {error.operation_type.value}."
            raise GatewayError(ErrorCode.BAD_USER_INPUT, message) from None
        finally:
            self._singles -= 1
            if self._leaving:
                asyncio.get_running_loop().call_soon(self.send_away)

    def _count_unwanted(self, task: asyncio.Task[Any]) -> None:
        """Count what still runs although its client has completed it: it costs as much as one that is wanted."""

        def over(_: asyncio.Task[Any]) -> None:
            self._unwanted -= 1

        self._unwanted += 1
        task.add_done_callback(over)

    def _expire(self) -> None:
        for id_, active in list(self._active.items()):
            if isinstance(active, Subscriber):
                active.leave()
                self.refuse(id_, expired_error())
        self._line.close_soon(CloseCode.FORBIDDEN, "Forbidden: the credential has expired")


def _stop(active: Active | None) -> None:
    if isinstance(active, Subscriber):
        active.leave()
    elif active is not None:
        active.cancel()
