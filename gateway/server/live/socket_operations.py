"""The operations of one WebSocket, each under its client's id."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gateway.identity.authenticator import Authenticator, audit_refused_credential
from gateway.identity.credentials import CredentialRefusedError
from gateway.identity.principal import Principal
from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.http.graphql_request import GraphQLRequest, ParsedRequest
from gateway.server.http.graphql_response import encode_body, error_body, identify_errors, result_body, with_request_id
from gateway.server.http.held_bytes import HeldRequest, UnfinishedBytes
from gateway.server.http.operation_runner import OperationRunner, OperationStoppedError, OperationTasks
from gateway.server.http.refusals import Refusal, interrupted_error, stopping_error
from gateway.server.live.expiry_timer import ExpiryTimer, expired_error
from gateway.server.live.fair_queue import QueueMember
from gateway.server.live.fan_out import Subscriber
from gateway.server.live.graphql_transport_ws import (
    CloseCode,
    CloseSocket,
    complete_message,
    error_message,
    next_message,
)
from gateway.server.live.live_connections import LiveConnections
from gateway.telemetry.operation_log import log_end
from gateway.telemetry.operation_record import OperationRecord, Outcome, Transport, current_operation
from gateway.telemetry.request_ids import derive_request_id, is_request_id, new_request_id
from gateway.telemetry.tracing import TRACEPARENT
from schema.contract.encoded_json import EncodedJson
from schema.contract.errors import ErrorCode, GatewayError
from schema.engine.public_errors import mask_error
from schema.operations.start_subscription import SubscriptionRefusedError

RESTART = CloseSocket(CloseCode.SERVICE_RESTART, "Service restart")

_SINGLE_RESULT_TYPES = {OperationType.QUERY, OperationType.MUTATION}


@dataclass(frozen=True, slots=True)
class SocketServices:
    """Services that all sockets share. `now` is the Unix time, by which credentials expire."""

    runner: OperationRunner
    operation_tasks: OperationTasks
    connections: LiveConnections
    authenticator: Authenticator
    unfinished_bytes: UnfinishedBytes
    now: Callable[[], float] = time.time
    documents: DocumentPolicy = field(default_factory=DocumentPolicy)


class SocketOutput(Protocol):
    """The sending side of a socket. Sending never waits; after the socket is closed, messages are dropped."""

    def send_message(self, message: EncodedJson) -> None: ...
    def is_full(self) -> bool: ...
    def enqueue_after_drain(self, member: QueueMember) -> None: ...
    def close_soon(self, code: CloseCode, reason: str) -> None: ...
    def abort(self) -> None: ...


ActiveOperation: TypeAlias = "asyncio.Task[None] | Subscriber"


class SocketOperations:
    """Runs a socket's queries and mutations, and holds its subscriptions.

    A subscription has a task only while it starts. When the socket closes or the client completes an operation, a
    query is cancelled. A mutation goes on; the gateway's `OperationTasks` owns it, and it still counts among the
    operations of the socket.

    At the end of its credential, the socket is closed without an `error` to its subscriptions: a client that comes
    again with a new credential goes on with them, where an error would have ended them.
    """

    __slots__ = (
        "_abandoned_count",
        "_active",
        "_close",
        "_expiry_timer",
        "_headers",
        "_operation_count",
        "_output",
        "_principal",
        "_request_id",
        "_services",
        "_single_result_count",
    )

    def __init__(
        self,
        services: SocketServices,
        output: SocketOutput,
        request_id: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Start without operations and without a principal. `request_id` and `headers` are the upgrade request's."""
        self._request_id = request_id or new_request_id()
        self._headers = headers or {}
        self._operation_count = 0
        self._services = services
        self._output = output
        self._principal: Principal | None = None
        self._active: dict[str, ActiveOperation] = {}
        self._single_result_count = 0
        self._abandoned_count = 0
        self._close: CloseSocket | None = None
        self._expiry_timer: ExpiryTimer | None = None

    @property
    def is_initialised(self) -> bool:
        """Whether the client's principal is known."""
        return self._principal is not None

    @property
    def active_ids(self) -> Container[str]:
        """The ids of the operations in flight."""
        return self._active

    def is_closing(self) -> bool:
        """Whether the socket is about to close, so that no operation starts any more."""
        return self._close is not None

    def initialise(self, principal: Principal) -> None:
        """Set the principal that operations run for from now on, and close the socket when its credential ends."""
        self._principal = principal
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        self._expiry_timer = ExpiryTimer(principal, self._on_credential_expired, self._services.now)

    async def renew_credential(self, authorization: Sequence[str]) -> bool:
        """Take a new credential of the same caller. With any other, the socket is closed. Returns whether it was taken.

        Subscriptions go on with the same rights, for longer. Those of an admin who is none any more would keep
        the rights of one, so the socket is closed, and a client that comes again goes on with what it may see now. A
        message that comes behind is read afterwards.
        """
        if self._principal is None or self.is_closing():
            return False
        try:
            renewed = await self._services.authenticator.renew(self._principal, authorization)
        except CredentialRefusedError as refused:
            audit_refused_credential(refused, self._principal)
            self._end_credential(refused.reason)
            return False
        if self.is_closing():  # the credential has ended meanwhile
            return False
        if self._active and self._principal.is_admin and not renewed.is_admin:
            self._end_credential("the role of an admin has ended")
            return False
        self.initialise(renewed)
        for operation in self._active.values():
            if isinstance(operation, Subscriber):
                operation.extend_access(renewed)
        return True

    def start_operation(self, id_: str, request: GraphQLRequest, size: int) -> None:
        """Start an operation of a message of this size, or refuse it if the socket, or all clients, have too many.

        It is ignored while the socket is about to close: the client sends it again when it has reconnected.
        """
        limit = self._services.connections.limits.max_operations_per_socket
        if self.is_closing() or self._principal is None:
            return
        record = self._new_record(request)
        if len(self._active) + self._abandoned_count >= limit:
            message = f"Expected at most {limit} operations at once on one socket, got one more."
            self._refuse(id_, GatewayError(ErrorCode.TOO_MANY_OPERATIONS, message), record)
            return
        held = HeldRequest(self._services.unfinished_bytes)
        try:
            held.hold_complete(size)
        except Refusal as refused:
            self._refuse(id_, refused.error, record)
            return
        task = self._services.connections.tasks.start(self._run(id_, request, self._principal, held, record))
        held.release_after(task)
        self._active[id_] = task

    def refuse_operation(self, id_: str, error: GatewayError) -> None:
        """End an operation with an error, before it has started."""
        self._refuse(id_, error, self._new_record(None))

    def stop_operation(self, id_: str) -> None:
        """Stop an operation that its client has completed."""
        _cancel(self._active.pop(id_, None))

    def stop_all(self) -> None:
        """Stop all operations, because the socket is closed."""
        self._close = self._close or RESTART
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        while self._active:
            _cancel(self._active.popitem()[1])

    def request_reconnect(self) -> None:
        """Close the socket with `SERVICE_RESTART`, after the queries and mutations in flight have ended."""
        self._close_after_results(RESTART)

    def abort(self) -> None:
        """Close the connection at once, without waiting for the client."""
        self._output.abort()

    def is_full(self) -> bool:
        return self._output.is_full()

    def enqueue_after_drain(self, member: QueueMember) -> None:
        self._output.enqueue_after_drain(member)

    def send_next(self, operation_id: str, payload: EncodedJson, cursor: str) -> None:  # noqa: ARG002 - clients select it
        self._output.send_message(next_message(operation_id, payload))

    def send_errors(self, operation_id: str, errors: list[dict[str, Any]]) -> None:
        self._active.pop(operation_id, None)
        self._output.send_message(error_message(operation_id, errors))

    def send_complete(self, operation_id: str) -> None:
        self._active.pop(operation_id, None)
        self._output.send_message(complete_message(operation_id))

    def _new_record(self, request: GraphQLRequest | None) -> OperationRecord:
        """Make the record of an operation. Its client may name its request id in `extensions.requestId`.

        It may also name its trace in `extensions.traceparent`, or in the upgrade request for all.
        """
        self._operation_count += 1
        offered = None if request is None else (request.extensions or {}).get("requestId")
        request_id = derive_request_id(self._request_id, self._operation_count)
        if isinstance(offered, str) and is_request_id(offered):
            request_id = offered
        record = OperationRecord(request_id, Transport.WEBSOCKET, principal=self._principal)
        extensions = {} if request is None else request.extensions or {}
        self._services.runner.observer.begin(record, extensions if TRACEPARENT in extensions else self._headers)
        return record

    def _refuse(self, id_: str, error: GatewayError, record: OperationRecord) -> None:
        log_end(record, Outcome.REFUSED, [error.code])
        self.send_errors(id_, identify_errors([error_body(error)], record.request_id))

    async def _run(
        self, id_: str, request: GraphQLRequest, principal: Principal, held: HeldRequest, record: OperationRecord
    ) -> None:
        """Run one operation to its end, or start a subscription. Sends nothing once it is cancelled."""
        with current_operation(record):
            try:
                parsed = await self._services.runner.parse_request(request, principal)
                if (ambiguity := parsed.ambiguity_error) is not None:
                    self._refuse(id_, ambiguity, record)
                elif parsed.is_subscription:
                    await self._subscribe(id_, parsed, principal)
                else:
                    await self._execute(id_, parsed, principal, held, record)
            except SubscriptionRefusedError as refused:
                self.send_errors(id_, identify_errors(refused.errors, record.request_id))
            except GatewayError as error:
                self._refuse(id_, error, record)
            except ConnectionError:
                return
            except asyncio.CancelledError:
                if not record.is_executing and not record.is_shared:
                    log_end(record, Outcome.CANCELLED)
                raise
            except Exception as error:
                masked = mask_error(error, "running an operation of a socket")
                log_end(record, Outcome.ERRORS, [masked.code])
                self._refuse(id_, masked, record)

    async def _subscribe(self, id_: str, parsed: ParsedRequest, principal: Principal) -> None:
        subscriber = await self._services.connections.fan_out.subscribe(parsed, principal)
        self._active[id_] = subscriber
        if self._principal is not None:
            subscriber.extend_access(self._principal)  # renewed meanwhile
        if self._close is not None and self._close.code is CloseCode.FORBIDDEN:
            self.stop_operation(id_)
            return
        subscriber.start(self, id_)

    async def _execute(
        self, id_: str, parsed: ParsedRequest, principal: Principal, held: HeldRequest, record: OperationRecord
    ) -> None:
        def on_abandoned(task: asyncio.Task[Any]) -> None:
            self._count_abandoned(task)
            held.release_after(task)

        execution = self._services.runner.execute(parsed, principal, _SINGLE_RESULT_TYPES)
        self._single_result_count += 1
        try:
            operation_tasks = self._services.operation_tasks
            result = await operation_tasks.run(execution, shield=parsed.is_mutation, on_abandoned=on_abandoned)
            body, is_request_error = result_body(result)
            # What waits is counted with the connection. Nothing waits here, where it would be in memory uncounted.
            if is_request_error:
                self.send_errors(id_, identify_errors(body["errors"], record.request_id))
            else:
                self.send_next(id_, encode_body(with_request_id(body, record.request_id)), "")
                self.send_complete(id_)
        except OperationStoppedError as stopped:
            raise (interrupted_error() if stopped.started and parsed.is_mutation else stopping_error()) from None
        except InvalidOperationTypeError as error:
            message = f"Expected a query, a mutation or a subscription, got a {error.operation_type.value}."
            raise GatewayError(ErrorCode.BAD_USER_INPUT, message) from None
        finally:
            self._single_result_count -= 1
            if self._close is not None:
                asyncio.get_running_loop().call_soon(self._close_after_results, self._close)

    def _count_abandoned(self, task: asyncio.Task[Any]) -> None:
        """Count an operation that runs on although its client has completed it: it costs as much as any other."""

        def on_done(_: asyncio.Task[Any]) -> None:
            self._abandoned_count -= 1

        self._abandoned_count += 1
        task.add_done_callback(on_done)

    def _is_closing(self) -> bool:
        return self._close is not None

    def _on_credential_expired(self) -> None:
        self._end_credential("the credential has expired")

    def _end_credential(self, reason: str) -> None:
        for id_, active in list(self._active.items()):
            if isinstance(active, Subscriber):
                del self._active[id_]
                active.unsubscribe(expired_error())
        self._close_after_results(CloseSocket(CloseCode.FORBIDDEN, f"Forbidden: {reason}"))

    def _close_after_results(self, close: CloseSocket) -> None:
        """Close the socket once the queries and mutations in flight have ended.

        A client sends an operation without a result again when it has reconnected, and a mutation must not run twice.
        """
        self._close = close
        if not self._single_result_count:
            self._output.close_soon(close.code, close.reason)


def _cancel(active: ActiveOperation | None) -> None:
    if isinstance(active, Subscriber):
        active.unsubscribe()
    elif active is not None:
        active.cancel()
