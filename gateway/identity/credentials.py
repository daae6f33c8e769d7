"""Decides which credential an operation carries upstream. Pure.

A caller's own `Authorization` is passed on unchanged; the upstream judges it. A token that has ended is refused before,
since what is kept for it is read without the upstream. If the configuration has a key, the key
serves callers without a credential, but only those that could read the configuration anyway: a program on this machine,
or a page that this gateway served to a browser on this machine. All other callers are refused before any upstream call.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.identity.token_expiry import has_token_ended
from schema.contract.errors import ErrorCode, GatewayError

MAX_AUTHORIZATION_LENGTH = 8192
"""Longest `Authorization` that is passed on, in characters. Common servers allow 8 KiB for a header."""

PROXY_HEADERS = frozenset(
    {
        "cdn-loop",
        "cf-connecting-ip",
        "fly-client-ip",
        "forwarded",
        "true-client-ip",
        "via",
        "x-amzn-trace-id",
        "x-client-ip",
        "x-envoy-external-address",
        "x-original-forwarded-for",
        "x-real-ip",
    }
)
"""Headers that a proxy adds, besides `X-Forwarded-*`. Behind a proxy, every caller seems to be on this machine."""

_PRINTABLE = re.compile(r"[\t -~\xa0-\xff]+\Z")


@dataclass(frozen=True, slots=True)
class Caller:
    """The properties of a request that decide about credentials.

    `peer` is the address at the other end of the socket. `headers` are the names of all headers, in lower case.
    `received_at` is the Unix time at which tokens are judged.
    """

    peer: str | None
    scheme: str
    host: str
    authorization: Sequence[str] = field(default=(), repr=False)
    headers: frozenset[str] = frozenset()
    origin: str | None = None
    fetch_site: str | None = None
    is_http_1_0: bool = False
    received_at: float = 0.0


@dataclass(frozen=True, slots=True)
class CredentialPolicy:
    """The configuration: the gateway's own credential, and whether calls without any credential are allowed."""

    own_credential: str | None = field(default=None, repr=False)
    allow_anonymous: bool = False


class CredentialRefusedError(Exception):
    """The request gets no credential. Holds the HTTP status and the error of the response."""

    def __init__(self, status: int, error: GatewayError) -> None:
        super().__init__(error.message)
        self.status = status
        self.error = error


def decide_credential(caller: Caller, policy: CredentialPolicy) -> str | None:
    """Decide the upstream `Authorization` of an HTTP request.

    Returns:
        The header's value, or None for calls without a credential.

    Raises:
        CredentialRefusedError: The caller's credential is malformed or missing.
    """
    if caller.authorization:
        return _validated_authorization(caller.authorization, caller.received_at)
    if policy.own_credential is not None:
        obstacle = own_key_obstacle(caller)
        if obstacle is None:
            return policy.own_credential
        if not policy.allow_anonymous:
            raise _unauthenticated(f"the gateway's own key is kept from this request, because {obstacle}")
    if policy.allow_anonymous:
        return None
    raise _unauthenticated("this gateway holds no key of its own")


def decide_socket_credential(caller: Caller, offered: Sequence[str] | None, policy: CredentialPolicy) -> str | None:
    """Decide the upstream `Authorization` of all operations of a WebSocket.

    `caller` sent the upgrade request. `offered` are the values in `connection_init`, which take precedence. A page of
    another origin has to offer one there, because a credential in its upgrade request comes from the browser.

    Returns:
        The header's value, or None for calls without a credential.

    Raises:
        CredentialRefusedError: The credential is malformed or missing.
    """
    if offered is not None:
        return _validated_authorization(offered, caller.received_at)
    if is_foreign_page(caller):
        raise _unauthenticated("a page of another origin has to bring it in connection_init")
    return decide_credential(caller, policy)


def is_foreign_page(caller: Caller) -> bool:
    """Tell whether a page of another origin caused a request.

    A browser opens a WebSocket for any page without a preflight request, and may add a credential that it stores for
    this host. The scheme is not compared, because a proxy may have terminated TLS.
    """
    if caller.fetch_site is not None:
        return caller.fetch_site not in {"same-origin", "none"}
    if caller.origin is None:
        return False
    return caller.origin.lower().rpartition("://")[2] != caller.host.lower()


def own_key_obstacle(caller: Caller) -> str | None:
    """Say why the gateway's own key must not serve this caller. Returns None if it may."""
    if not is_loopback_address(caller.peer):
        return "it comes from another machine"
    if not is_loopback_host(caller.host):
        return "its Host is not localhost"
    if caller.headers & PROXY_HEADERS or any(name.startswith("x-forwarded-") for name in caller.headers):
        return "a proxy passed it on"
    if caller.is_http_1_0:
        return "it came by HTTP/1.0, as from a proxy that does not name itself"
    if caller.origin is not None and caller.origin.lower() != f"{caller.scheme}://{caller.host}".lower():
        return "it was sent by a page of another origin"
    if caller.fetch_site not in {None, "same-origin", "none"}:
        return "it was caused by a page of another origin"
    return None


def is_loopback_address(address: str | None) -> bool:
    """Tell whether a socket's address can only belong to this machine."""
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return False
    # Before Python 3.13, `is_loopback` is false for an IPv4 address written as IPv6.
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


def is_loopback_host(host: str) -> bool:
    """Tell whether a `Host` header names this machine. The DNS name of another site that is rebound to it does not."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return False
    return parts.netloc == host and parts.hostname in {"localhost", "127.0.0.1", "::1"} and "@" not in host


def _validated_authorization(authorization: Sequence[str], received_at: float) -> str:
    if len(authorization) > 1:
        raise _malformed(f"one Authorization header, got {len(authorization)}")
    (value,) = authorization
    if not value.strip():
        raise _unauthenticated("the Authorization header is empty")
    if len(value) > MAX_AUTHORIZATION_LENGTH:
        raise _malformed(f"an Authorization header of at most {MAX_AUTHORIZATION_LENGTH} characters, got {len(value)}")
    if not _PRINTABLE.match(value):
        raise _malformed("an Authorization header of printable Latin-1 characters")
    if has_token_ended(value, received_at):
        raise _unauthenticated("the token has expired")
    return value


def _unauthenticated(reason: str) -> CredentialRefusedError:
    message = f"Expected an Authorization header, as 'Authorization: Bearer <key of the upstream>': {reason}."
    return CredentialRefusedError(401, GatewayError(ErrorCode.UNAUTHENTICATED, message))


def _malformed(expected: str) -> CredentialRefusedError:
    return CredentialRefusedError(400, GatewayError(ErrorCode.UNAUTHENTICATED, f"Expected {expected}."))
