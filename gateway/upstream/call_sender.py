"""One REST call on behalf of one principal, from what is asked to what came of it."""

import logging
from dataclasses import dataclass
from typing import Generic, TypeVar

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from gateway.upstream.connection_pool import Departure, UpstreamPool
from gateway.upstream.reply_outcome import UpstreamReply, read_reply
from gateway.upstream.reply_readers import ReplyReader
from gateway.upstream.rest_operations import RestOperation
from gateway.upstream.rest_requests import UpstreamRequest
from gateway.upstream.retry import CallFailure
from gateway.upstream.transport_failures import TooLargeError, read_body, transport_failure

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

_logger = logging.getLogger(__name__)


@dataclass(slots=True)
class UpstreamCall(Generic[KeyT, ValueT]):
    """One call ready to be sent; `departure` is that of a write."""

    reader: ReplyReader[KeyT, ValueT]
    key: KeyT
    request: UpstreamRequest
    url: URL
    content: bytes | None = None
    departure: Departure | None = None


class CallSender:
    """Sends calls with one principal's credential; what keeps an answer away is a value."""

    def __init__(self, pool: UpstreamPool, credential: str | None) -> None:
        self.pool = pool
        self.credential = credential
        self.headers = pool.headers_for(credential)
        self.headers_with_content = CIMultiDict({**self.headers, "Content-Type": "application/json"})

    def prepare(self, operation: RestOperation[KeyT, ValueT], key: KeyT) -> UpstreamCall[KeyT, ValueT]:
        """The call of an operation for a key; raises a `GatewayError` for one that need not be sent."""
        request = operation.request(key)
        if (obstacle := self.pool.dialect.obstacle_to(request.operation)) is not None:
            raise obstacle
        return UpstreamCall(operation.reader, key, request, self.pool.url_of(request))

    async def send(self, call: UpstreamCall[KeyT, ValueT]) -> ValueT | CallFailure:
        """Send a call once and read its answer."""
        session = self.pool.session if call.departure is None else self.pool.write_session
        headers = self.headers if call.content is None else self.headers_with_content
        try:
            async with session.request(
                call.request.method,
                call.url,
                headers=headers,
                data=call.content,
                allow_redirects=False,
                trace_request_ctx=call.departure,
            ) as response:
                body = await read_body(response, self.pool.options.max_response_bytes)
            return self.read(call, response, body)
        except Exception as error:
            return self.failure(call, error)

    def read(
        self, call: UpstreamCall[KeyT, ValueT], response: aiohttp.ClientResponse, body: bytes
    ) -> ValueT | CallFailure:
        """Read a whole answer."""
        return read_reply(
            call.reader,
            call.key,
            UpstreamReply(response.status, response.headers, body),
            operation=call.request.operation,
            dialect=self.pool.dialect.name,
            credential=self.credential,
            now_seconds=self.pool.now_seconds(),
        )

    def failure(self, call: UpstreamCall[KeyT, ValueT], error: Exception) -> CallFailure:
        """The failure that an exception means.

        A port function answers with its own errors alone; what nobody thought of must not pass through it.
        """
        operation = call.request.operation
        if not isinstance(error, aiohttp.ClientError | OSError | TooLargeError):
            _logger.error("upstream operation %s failed unexpectedly", operation, exc_info=error)
        return transport_failure(error, operation)
