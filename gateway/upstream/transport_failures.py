"""What can go wrong between sending a request and holding its whole answer, as failures. Pure but for its reading.

Messages name no host and no address: a browser may see them.
"""

import ssl

import aiohttp

from gateway.upstream.reply_outcome import invalid_response
from gateway.upstream.retry import CallFailure
from schema.contract.errors import ErrorCode, GatewayError


class TooLargeError(Exception):
    """The answer's body is larger than it may be."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"expected at most {max_bytes} bytes, got more")


async def read_body(response: aiohttp.ClientResponse, max_bytes: int, beginning: bytes = b"") -> bytes:
    """Read a body, decompressed, of at most `max_bytes`; raises `TooLargeError` as soon as it is known to be larger.

    `beginning` is what was read of it before. aiohttp decompresses at most a bounded piece ahead of what is read, so a
    small body that unpacks to a huge one is met by the limit too.
    """
    declared = response.content_length
    if declared is not None and "Content-Encoding" not in response.headers:
        if declared > max_bytes:
            raise TooLargeError(max_bytes)
        return beginning + await response.read()
    chunks = [beginning]
    size = len(beginning)
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError(max_bytes)
        chunks.append(chunk)
    return b"".join(chunks)


def transport_failure(error: Exception, operation: str) -> CallFailure:
    """The failure that an exception of the HTTP client means."""
    match error:
        case TooLargeError():
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
        case aiohttp.ClientResponseError():
            message = f"Upstream operation {operation}: expected an HTTP answer, got something else."
            return invalid_response(message, {}, credential=None)
        case aiohttp.ClientError() | OSError():
            return _unreachable("the connection was refused or lost before an answer", transient=True)
        case _:
            return CallFailure(GatewayError(ErrorCode.INTERNAL, "The upstream could not be asked."))


def _unreachable(reason: str, *, transient: bool) -> CallFailure:
    error = GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, f"The upstream could not be reached: {reason}.")
    return CallFailure(error, transient=transient)
