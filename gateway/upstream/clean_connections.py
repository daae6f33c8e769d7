"""The pool of connections to an upstream, of which nobody gets one that has bytes of another exchange."""

from __future__ import annotations

from typing import Any

import aiohttp
from aiohttp.connector import Connection

MAX_UNCLEAN = 10
"""The most connections that are closed for one call. A server may send something on each of them at once."""


class CleanConnector(aiohttp.TCPConnector):
    """A pool that closes an idle connection on which the upstream has sent something, and gives another one.

    aiohttp would take it for the response to the next request, which may be another caller's. A server or a proxy that
    gives up an idle connection may send a 408 before it closes it.
    """

    async def connect(self, *args: Any, **kwargs: Any) -> Connection:
        """Take a connection of the pool.

        Raises:
            aiohttp.ClientError: There is no connection, or something came on each before a request was sent.
        """
        for _ in range(MAX_UNCLEAN):
            connection = await super().connect(*args, **kwargs)
            if connection.protocol is None or not connection.protocol.should_close:
                return connection
            connection.close()
        raise aiohttp.ClientConnectionResetError("the upstream sends without being asked")
