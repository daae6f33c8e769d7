"""Sends GETs over aiohttp's pool of connections, with as little work for each as a read needs.

The connections, their TLS and the parser of responses are aiohttp's. Its session would add a request and a response
object with hooks for redirects, cookies, proxies and uploads, none of which a read has. Without them, 150 calls take
less than half of the processor time.
"""

from collections.abc import Mapping
from typing import NamedTuple

import aiohttp
from aiohttp.connector import Connection
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

_LINE_BREAKS = ("\r", "\n", "\0")


class PlainReply(NamedTuple):
    """The beginning of a response. `content` gives its body, decompressed, and is at its end once that was read."""

    status: int
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader


class PlainGets:
    """The GETs to one origin. Create it inside the running event loop; whoever made the connector closes it."""

    def __init__(
        self, connector: aiohttp.TCPConnector, timeout: aiohttp.ClientTimeout, origin: URL, headers: Mapping[str, str]
    ) -> None:
        """Send `headers` with each request, beside those that a session of aiohttp sends by itself."""
        self._connector = connector
        self._timeout = timeout
        # Says whereto the pool connects, and which headers aiohttp sends. It is never sent itself.
        self._example = aiohttp.ClientRequest("GET", origin, headers=headers, loop=connector._loop)

    def encode_headers(self, headers: Mapping[str, str]) -> bytes:
        """Encode all headers of a request, with the empty line behind them, for any number of calls.

        Raises:
            ValueError: A header has a line break.
        """
        all_headers = CIMultiDict(self._example.headers)
        all_headers.update(headers)
        for name, value in all_headers.items():
            if any(character in name or character in value for character in _LINE_BREAKS):
                raise ValueError(f"expected the header {name!r} without line breaks")
        return "".join([*(f"{name}: {value}\r\n" for name, value in all_headers.items()), "\r\n"]).encode()

    async def connect(self) -> Connection:
        """Take a connection of the pool, which the caller releases after a whole response, and closes after any fault.

        Raises:
            aiohttp.ClientError: There is no connection.
            TimeoutError: There is none in time.
            RuntimeError: The pool is closed.
        """
        if self._connector.closed:
            raise RuntimeError("the pool of connections is closed")
        return await self._connector.connect(self._example, [], self._timeout)

    async def send(self, connection: Connection, target: str, headers: bytes) -> PlainReply:
        """Send a GET and return the beginning of its response. `target` is the percent-encoded path with its query.

        Raises:
            aiohttp.ClientError: The connection was lost.
            HttpProcessingError: The response is no HTTP.
        """
        protocol = connection.protocol
        if protocol is None or protocol.transport is None:
            raise aiohttp.ClientConnectionResetError("the connection is closed")
        protocol.set_response_params(read_until_eof=True)
        protocol.transport.write(b"GET %b HTTP/1.1\r\n%b" % (target.encode(), headers))
        while True:
            message, content = await protocol.read()
            if not 100 <= message.code < 200 or message.code == 101:
                return PlainReply(message.code, message.headers, content)
