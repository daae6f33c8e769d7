"""The address by which a client has called the gateway, for addresses that it gets in a response.

It is that of the request, or of the one that a WebSocket or an event stream began with, and is kept in the context of
the tasks that answer it. What proxies say about an earlier address is not believed, since any client can say it too.
"""

from __future__ import annotations

import re
from contextvars import ContextVar

from aiohttp import web

_CALLED: ContextVar[str] = ContextVar("called_address", default="")
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?\Z")


def remember_called_address(request: web.Request) -> None:
    """Remember the address for whatever is done for this request from now on."""
    _CALLED.set(address_from_request(request))


def use_called_address(address: str) -> None:
    """Use an address for whatever this task does from now on, for the clients that called by it."""
    _CALLED.set(address)


def current_called_address() -> str:
    """Return the address of the request that this code answers, as `http://host:8000`. Empty if there is none."""
    return _CALLED.get()


def address_from_request(request: web.Request) -> str:
    """Return the scheme and the one well-formed `Host` of a request, or else the socket's own address."""
    hosts = request.headers.getall("Host", ())
    if len(hosts) == 1 and _HOST.match(hosts[0]):
        return f"{request.scheme}://{hosts[0]}"
    name = request.transport.get_extra_info("sockname") if request.transport is not None else None
    if not isinstance(name, tuple):
        return ""
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{request.scheme}://{host}:{name[1]}"
