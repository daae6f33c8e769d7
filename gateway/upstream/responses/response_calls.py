"""The calls behind a response's stream: to read the response, to open its stream again, to cancel it.

They belong to no operation: whoever asked for the run has its answer long since. A stream holds one of the stream
slots, as every other one does.

Source: the operations `getResponse` and `cancelResponse` of the specification of 2026-08-21.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from msgspec import Raw

from gateway.upstream.call_sender import CallSender, UpstreamCall
from gateway.upstream.connection_pool import SendState, timeout_error
from gateway.upstream.event_decoder import EventParser
from gateway.upstream.reply_readers import BYTE_ORDER_MARK, UnexpectedReplyError
from gateway.upstream.responses.response_wire import RESPONSE_DECODER, ResponseObject
from gateway.upstream.rest_requests import UpstreamRequest, path_segment
from gateway.upstream.retry import CallFailure
from gateway.upstream.run_stream import UpstreamRunStream
from gateway.upstream.streamed_writes import open_stream
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey


class ReadResponse(NamedTuple):
    """A response as it was read, and its JSON."""

    response: ResponseObject
    raw: Raw


@dataclass(frozen=True, slots=True)
class _ResponseReader:
    """Reads the response with the id that was asked for."""

    def read_result(self, key: str, body: bytes) -> ReadResponse:
        try:
            response = RESPONSE_DECODER.decode(body.removeprefix(BYTE_ORDER_MARK))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UnexpectedReplyError("a response", "something else") from error
        if response.id != key:
            raise UnexpectedReplyError(f"the response with id '{key}'", f"the one with id '{response.id}'")
        return ReadResponse(response, Raw(body))


_READER = _ResponseReader()


class ResponseCalls:
    """The calls of one principal. Each is sent once and raises the `GatewayError` of its failure."""

    def __init__(self, sender: CallSender) -> None:
        self.sender = sender

    async def read(self, response_id: str) -> ReadResponse:
        """Read a response."""
        call = self._prepare("getResponse", response_id)
        outcome = await self.sender.send_call(call)
        return _result_or_raise(outcome)

    async def open_events(
        self, response_id: str, after: int | None, parse: EventParser, run: RunKey
    ) -> UpstreamRunStream:
        """Open the stream of a response behind a sequence number, or from its beginning."""
        query = "stream=true" if after is None else f"stream=true&starting_after={after}"
        call = self._prepare("getResponse", response_id, query=query)
        call.send_state = SendState()
        seconds = self.sender.pool.options.timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                opened = await open_stream(
                    self.sender, call, thread_id=run.thread_id, run_id=run.run_id, parse=parse, may_be_silent=True
                )
        except TimeoutError:
            raise timeout_error(seconds) from None
        if isinstance(opened, UpstreamRunStream):
            return opened
        if isinstance(opened, CallFailure):
            raise opened.error
        raise GatewayError(
            ErrorCode.UNSUPPORTED_BY_UPSTREAM, "The upstream answered with a response in place of its stream."
        )

    async def cancel(self, response_id: str) -> None:
        """Cancel a response in the background."""
        call = self._prepare("cancelResponse", response_id, suffix="/cancel", method="POST")
        call.send_state = SendState()
        outcome = await self.sender.send_call(call)
        _result_or_raise(outcome)

    def _prepare(
        self, operation: str, response_id: str, *, suffix: str = "", query: str = "", method: str = "GET"
    ) -> UpstreamCall[str, ReadResponse]:
        path = f"/responses/{path_segment('response_id', response_id)}{suffix}"
        request = UpstreamRequest(operation, path, query, method)
        return UpstreamCall(_READER, response_id, request)


def _result_or_raise(outcome: ReadResponse | CallFailure) -> ReadResponse:
    if isinstance(outcome, CallFailure):
        raise outcome.error
    return outcome
