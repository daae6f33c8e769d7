"""Sends one REST call on behalf of one principal and returns its result or its failure."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from multidict import CIMultiDict

from gateway.media_types import JSON
from gateway.telemetry.request_ids import REQUEST_ID_HEADER
from gateway.upstream.connection_pool import SendState, UpstreamPool
from gateway.upstream.reply_outcome import UpstreamReply, outcome_from_reply
from gateway.upstream.reply_readers import ReplyReader
from gateway.upstream.rest_operations import RestOperation
from gateway.upstream.rest_requests import UpstreamRequest
from gateway.upstream.retry import CallFailure
from gateway.upstream.transport_failures import (
    BodyTooLargeError,
    ResponseWithBody,
    failure_from_exception,
    read_body,
)
from schema.contract.errors import OwnKeyRefusedError

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

_logger = logging.getLogger(__name__)


class Response(ResponseWithBody, Protocol):
    """A response of aiohttp's session or of a plain GET."""

    @property
    def status(self) -> int: ...


class ObservedCall:
    """A call that is being sent, from now until its `end`. `status` is None until there is a response.

    `headers` carry its trace on to the upstream; they are empty without one.
    """

    __slots__ = ("_metrics", "_operation", "_span", "_started", "_tracing", "headers", "status")

    def __init__(self, pool: UpstreamPool, request: UpstreamRequest) -> None:
        """Start to measure and to trace, as far as the pool does."""
        self._metrics = pool.metrics
        self._tracing = pool.tracing
        self._operation = request.operation
        self._started = 0.0 if pool.metrics is None else pool.metrics.clock()
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}
        if pool.tracing is not None:
            self._span, self.headers = pool.tracing.start_call(request.operation, request.method)

    def end(self) -> None:
        """Record the call."""
        if self._metrics is not None:
            self._metrics.record_call(self._operation, self.status, self._started)
        if self._tracing is not None:
            self._tracing.end_call(self._span, self.status)


@dataclass(slots=True)
class UpstreamCall(Generic[KeyT, ValueT]):
    """One call that is ready to be sent. Only a write has a `send_state`."""

    reader: ReplyReader[KeyT, ValueT]
    key: KeyT
    request: UpstreamRequest
    body: bytes | None = None
    send_state: SendState | None = None


class CallSender:
    """Sends calls with one principal's credential. A call that fails returns a `CallFailure` and does not raise.

    `on_status` gets the status of each response, before its body is read. With `is_own_key`, the credential is the
    gateway's own: its refusal by the upstream is logged as an error, and no caller learns more of it.
    Each call carries `request_id`, if there is one.
    """

    def __init__(
        self,
        pool: UpstreamPool,
        credential: str | None,
        on_status: Callable[[int], None] = lambda _: None,
        *,
        is_own_key: bool = False,
        request_id: str | None = None,
    ) -> None:
        self.pool = pool
        self.credential = credential
        self.is_own_key = is_own_key
        self.on_status = on_status
        self._request_id = request_id

    @cached_property
    def headers(self) -> CIMultiDict[str]:
        """The headers of every call."""
        headers = self.pool.headers_for(self.credential)
        if self._request_id is not None:
            headers[REQUEST_ID_HEADER] = self._request_id
        return headers

    @cached_property
    def headers_with_body(self) -> CIMultiDict[str]:
        """The headers of a call that has a body."""
        return CIMultiDict({**self.headers, "Content-Type": JSON})

    @cached_property
    def _encoded_headers(self) -> bytes:
        """The headers of a read that is not traced."""
        return self.pool.plain_gets.encode_headers(self.headers)

    def prepare_call(self, operation: RestOperation[KeyT, ValueT], key: KeyT) -> UpstreamCall[KeyT, ValueT]:
        """Build the call of an operation for a key.

        Raises:
            GatewayError: the key cannot be sent, or the dialect does not have the operation.
        """
        request = operation.request(key)
        if (unsupported := self.pool.dialect.unsupported_error(request.operation)) is not None:
            raise unsupported
        return UpstreamCall(operation.reader, key, request)

    async def send_call(self, call: UpstreamCall[KeyT, ValueT]) -> ValueT | CallFailure:
        """Send a call once and read its response."""
        send = self._send_read if call.send_state is None else self._send_write
        observed = ObservedCall(self.pool, call.request)
        try:
            response, response_body = await send(call, observed)
            return self.read_response(call, response, response_body)
        except Exception as error:
            return self.to_failure(call, error)
        finally:
            observed.end()

    async def _send_read(self, call: UpstreamCall[Any, Any], observed: ObservedCall) -> tuple[Response, bytes]:
        """Send a GET and return its complete response."""
        pool = self.pool
        headers = self._encoded_headers
        if observed.headers:
            headers = pool.plain_gets.encode_headers({**self.headers, **observed.headers})
        connection = await pool.plain_gets.connect()
        try:
            response = await pool.plain_gets.send(connection, pool.target_for(call.request), headers)
            self._on_response(response, observed)
            body = await read_body(response, pool.options.max_response_bytes, pool.large_body_slots)
        except BaseException:
            connection.close()
            raise
        connection.release()
        return response, body

    async def _send_write(self, call: UpstreamCall[Any, Any], observed: ObservedCall) -> tuple[Response, bytes]:
        """Send a write and return its complete response."""
        headers = self.headers if call.body is None else self.headers_with_body
        async with self.pool.write_session.request(
            call.request.method,
            self.pool.url_for(call.request),
            headers=CIMultiDict({**headers, **observed.headers}),
            data=call.body,
            allow_redirects=False,
            trace_request_ctx=call.send_state,
        ) as response:
            self._on_response(response, observed)
            body = await read_body(response, self.pool.options.max_response_bytes, self.pool.large_body_slots)
        return response, body

    def _on_response(self, response: Response, observed: ObservedCall) -> None:
        """Record the status of a response, whose body has not arrived yet."""
        self.on_status(response.status)
        observed.status = response.status

    def read_response(
        self, call: UpstreamCall[KeyT, ValueT], response: Response, response_body: bytes
    ) -> ValueT | CallFailure:
        """Read a complete response."""
        outcome = outcome_from_reply(
            call.reader,
            call.key,
            UpstreamReply(response.status, response.headers, response_body),
            operation=call.request.operation,
            dialect=self.pool.dialect.name,
            credential=self.credential,
            is_own_key=self.is_own_key,
            now_seconds=self.pool.now_seconds(),
        )
        if isinstance(outcome, CallFailure) and isinstance(outcome.error, OwnKeyRefusedError):
            self.pool.log_own_key_refusal(response.status, call.request.operation, outcome.error.upstream_request_id)
        return outcome

    def to_failure(self, call: UpstreamCall[KeyT, ValueT], error: Exception) -> CallFailure:
        """Convert an exception to the failure that it means.

        An exception of any unknown kind is logged and becomes a failure too, because a port raises only its own errors.
        """
        operation = call.request.operation
        if not isinstance(error, aiohttp.ClientError | HttpProcessingError | OSError | BodyTooLargeError):
            _logger.error("upstream operation %s failed unexpectedly", operation, exc_info=error)
        return failure_from_exception(error, operation)
