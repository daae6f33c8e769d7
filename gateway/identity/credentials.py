"""Decides which credential an operation carries upstream, and whether its page may call at all. Pure.

A caller's own `Authorization` is passed on unchanged; the upstream judges it. A token that has ended is refused before,
since what is kept for it is read without the upstream. If the configuration has a key, the key serves callers without a
credential, but only those that could read the configuration anyway: a program on this machine, a page that this gateway
served to a browser on this machine, or a page of localhost that the configuration allows. A development server between
them is no obstacle if it says that it was called from this machine. All other callers are refused before any upstream
call, with the rule that refused them and the setting that changes it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final

from gateway.identity.allowed_origins import LOCALHOST_PAGES, AllowedOrigins
from gateway.identity.this_machine import is_loopback_address, is_loopback_host, is_loopback_page
from gateway.identity.token_expiry import expiry_from_credential, has_ended
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

_SHOWN_ORIGIN_LENGTH = 60

_PRINTABLE = re.compile(r"[\t -~\xa0-\xff]+\Z")


class OwnKey(Enum):
    """The gateway's own key, in place of a credential of the caller. Whoever calls the upstream reads its text."""

    OWN_KEY = "the gateway's own key"


OWN_KEY: Final = OwnKey.OWN_KEY


@dataclass(frozen=True, slots=True)
class Caller:
    """The properties of a request that decide about credentials.

    `peer` is the address at the other end of the socket. `headers` are the names of all headers, in lower case.
    `forwarded_for` and `forwarded_hosts` are the entries of all `X-Forwarded-For` and `X-Forwarded-Host`. `received_at`
    is the Unix time at which tokens are judged.
    """

    peer: str | None
    scheme: str
    host: str
    authorization: Sequence[str] = field(default=(), repr=False)
    headers: frozenset[str] = frozenset()
    forwarded_for: Sequence[str] = ()
    forwarded_hosts: Sequence[str] = ()
    origin: str | None = None
    fetch_site: str | None = None
    is_http_1_0: bool = False
    received_at: float = 0.0


@dataclass(frozen=True, slots=True)
class CredentialPolicy:
    """The configuration: whether the gateway has a key, whether calls may have none, and the pages that may call."""

    has_own_key: bool = False
    allow_anonymous: bool = False
    origins: AllowedOrigins = field(default_factory=AllowedOrigins)


class CredentialRefusedError(Exception):
    """The request gets no credential. Holds the HTTP status and the error of the response.

    `reason` is short enough for a WebSocket's close frame. `is_final` says that the same caller can never be accepted,
    so that it need not try again; a token that has ended can be replaced. `challenge` is the `WWW-Authenticate` of the
    response. `audit_reason` is for the log alone; without it, `reason` is.
    """

    def __init__(
        self,
        status: int,
        message: str,
        reason: str,
        *,
        is_final: bool = True,
        challenge: str | None = None,
        code: ErrorCode = ErrorCode.UNAUTHENTICATED,
        audit_reason: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error = GatewayError(code, message)
        self.reason = reason
        self.is_final = is_final
        self.challenge = challenge
        self.audit_reason = reason if audit_reason is None else audit_reason


def decide_credential(caller: Caller, policy: CredentialPolicy) -> str | OwnKey | None:
    """Decide the upstream `Authorization` of an HTTP request.

    Returns:
        The header's value, `OWN_KEY`, or None for calls without a credential.

    Raises:
        CredentialRefusedError: The caller's credential is malformed or missing.
    """
    if caller.authorization:
        return _validated_authorization(caller.authorization, caller.received_at)
    if policy.has_own_key:
        obstacle = own_key_obstacle(caller, policy.origins)
        if obstacle is None:
            return OWN_KEY
        if not policy.allow_anonymous:
            raise _unauthenticated(obstacle)
    if policy.allow_anonymous:
        return None
    raise _unauthenticated("this gateway holds no key of its own (UPSTREAM_API_KEY)")


def decide_socket_credential(
    caller: Caller, offered: Sequence[str] | None, policy: CredentialPolicy
) -> str | OwnKey | None:
    """Decide the upstream `Authorization` of all operations of a WebSocket.

    `caller` sent the upgrade request. `offered` are the values in `connection_init`, which take precedence. If the
    configuration lists origins, a page of another origin has to be among them. If it lists none, such a page has to
    offer a credential, or is refused where calls need none: there, one that it makes up would do. The `Authorization`
    of its upgrade request never counts, because it comes from the browser.

    Returns:
        The header's value, `OWN_KEY`, or None for calls without a credential.

    Raises:
        CredentialRefusedError: The page may not call, or the credential is malformed or missing.
    """
    caller = caller_of_socket(caller, policy, offers_credential=offered is not None)
    if offered is not None:
        return _validated_authorization(offered, caller.received_at)
    return decide_credential(caller, policy)


def caller_of_socket(caller: Caller, policy: CredentialPolicy, *, offers_credential: bool) -> Caller:
    """Describe the caller of a WebSocket: the one of its upgrade request, without what a foreign page's browser added.

    Raises:
        CredentialRefusedError: The page may not call.
    """
    if not is_foreign_page(caller):
        return caller
    if not policy.origins.allows(caller.origin):
        if policy.origins or policy.allow_anonymous:
            raise _unauthenticated(_unlisted_origin(caller))
        if not offers_credential:
            raise _unauthenticated("a page of another origin needs it in connection_init, or GATEWAY_ALLOWED_ORIGINS")
    return replace(caller, authorization=())


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


def own_key_obstacle(caller: Caller, origins: AllowedOrigins) -> str | None:
    """Say which rule keeps the gateway's own key from this caller, and which setting changes it. None if none does."""
    if not is_loopback_address(caller.peer):
        return "the request comes from another machine, which no setting lets use UPSTREAM_API_KEY"
    if not is_loopback_host(caller.host):
        return "the Host is not localhost, and no setting lets it use UPSTREAM_API_KEY"
    if _comes_through_proxy(caller, origins):
        return "a proxy passed it on for another machine, which no setting lets use UPSTREAM_API_KEY"
    if caller.is_http_1_0:
        return "it came by HTTP/1.0, as from an old proxy, which no setting lets use UPSTREAM_API_KEY"
    if caller.origin is not None and caller.origin.lower() != f"{caller.scheme}://{caller.host}".lower():
        if not origins.allows(caller.origin):
            return _unlisted_origin(caller)
        if not is_loopback_page(caller.origin):
            return "the page is not of localhost, and no setting lets it use UPSTREAM_API_KEY"
    elif caller.fetch_site not in {None, "same-origin", "none"}:
        return "a page of another origin caused it without CORS, which no setting lets use UPSTREAM_API_KEY"
    return None


def _comes_through_proxy(caller: Caller, origins: AllowedOrigins) -> bool:
    """Tell whether a proxy passed the request on for a caller that is not, or not surely, on this machine.

    Development servers do so for this machine. Next's names the `Host` that it was called by, and not its caller's
    address. That is enough where pages of localhost are allowed.
    """
    if caller.headers & PROXY_HEADERS:
        return True
    if not any(name.startswith("x-forwarded-") for name in caller.headers):
        return False
    names_caller = caller.forwarded_for or (caller.forwarded_hosts and origins.localhost_pages)
    return not (
        names_caller
        and all(is_loopback_address(address) for address in caller.forwarded_for)
        and all(is_loopback_host(host) for host in caller.forwarded_hosts)
    )


def _unlisted_origin(caller: Caller) -> str:
    if caller.origin is None or caller.origin == "null":
        return "the page has no origin that GATEWAY_ALLOWED_ORIGINS could name"
    # A page of localhost is most likely that of a development server, whose port changes.
    needed = LOCALHOST_PAGES if is_loopback_page(caller.origin) else repr(caller.origin[:_SHOWN_ORIGIN_LENGTH])
    return f"the page's origin needs {needed} in GATEWAY_ALLOWED_ORIGINS"


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
    if has_ended(expiry_from_credential(value), received_at):
        raise _unauthenticated("the token has expired", is_final=False)
    return value


def _unauthenticated(reason: str, *, is_final: bool = True) -> CredentialRefusedError:
    message = f"Expected an Authorization header, as 'Authorization: Bearer <key of the upstream>': {reason}."
    return CredentialRefusedError(401, message, reason, is_final=is_final, challenge="Bearer")


def _malformed(expected: str) -> CredentialRefusedError:
    return CredentialRefusedError(400, f"Expected {expected}.", f"expected {expected}")
