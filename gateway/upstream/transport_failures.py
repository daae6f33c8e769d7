"""The errors between sending a request and having its complete response, as failures. Pure, except for `read_body`.

The messages name no host and no address, since a browser may show them.
"""

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Protocol

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from gateway.upstream.reply_outcome import invalid_response
from gateway.upstream.retry import CallFailure
from schema.contract.errors import ErrorCode, GatewayError

LARGE_BODY_BYTES = 1 << 20
"""Larger bodies are read a few at a time, so that their sum is bounded."""

MAX_LARGE_BODIES = 4
"""The number of larger bodies that are read at once; the others wait, each within its own deadline."""


class BodyTooLargeError(Exception):
    """The body of the response is larger than allowed."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"expected at most {max_bytes} bytes, got more")


class ResponseWithBody(Protocol):
    """A response whose body has not been read yet. Its content is decompressed."""

    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def content(self) -> aiohttp.StreamReader: ...


async def read_body(
    response: ResponseWithBody, max_bytes: int, large_body_slots: asyncio.Semaphore, first_bytes: bytes = b""
) -> bytes:
    """Read a decompressed body of at most `max_bytes`.

    `first_bytes` are the bytes that were read before. aiohttp decompresses only a bounded piece in advance, so the
    limit also stops a small body that unpacks to a huge one. Beyond `LARGE_BODY_BYTES`, a body is read on only with one
    of `large_body_slots`; the connection is paused until then.

    Raises:
        BodyTooLargeError: raised as soon as the body is known to be larger.
    """
    headers, content = response.headers, response.content
    declared = headers.get("Content-Length")
    if declared is not None and "Content-Encoding" not in headers:
        declared_bytes = int(declared)  # aiohttp's parser has checked it
        if declared_bytes > max_bytes:
            raise BodyTooLargeError(max_bytes)
        if declared_bytes <= LARGE_BODY_BYTES:
            return first_bytes + await content.read()
        async with large_body_slots:
            return first_bytes + await content.read()
    chunks = [first_bytes]
    size = len(first_bytes)
    async with AsyncExitStack() as stack:
        async for chunk in content.iter_any():
            if size <= LARGE_BODY_BYTES < size + len(chunk):
                await stack.enter_async_context(large_body_slots)
            size += len(chunk)
            if size > max_bytes:
                raise BodyTooLargeError(max_bytes)
            chunks.append(chunk)
        return b"".join(chunks)


def failure_from_exception(error: Exception, operation: str) -> CallFailure:
    """Convert an exception of the HTTP client to the failure that it means."""
    match error:
        case BodyTooLargeError():
            return invalid_response(f"Upstream operation {operation}: {error}.", {}, credential=None)
        case aiohttp.ClientPayloadError():
            message = f"Upstream operation {operation}: expected a whole body, got one that was cut short or damaged."
            return invalid_response(message, {}, credential=None, cut_short=True)
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return _unreachable("no secure connection could be made", transient=False)
        case aiohttp.ClientConnectorDNSError():
            return _unreachable("its name could not be resolved", transient=True)
        case TimeoutError():
            return _unreachable("no connection could be made in time", transient=False)
        case aiohttp.ClientResponseError() | HttpProcessingError():
            message = f"Upstream operation {operation}: expected an HTTP answer, got something else."
            return invalid_response(message, {}, credential=None)
        case aiohttp.ClientError() | OSError():
            return _unreachable("the connection was refused or lost before an answer", transient=True)
        case _:
            return CallFailure(GatewayError(ErrorCode.INTERNAL, "The upstream could not be asked."))


def _unreachable(reason: str, *, transient: bool) -> CallFailure:
    error = GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, f"The upstream could not be reached: {reason}.")
    return CallFailure(error, transient=transient)
