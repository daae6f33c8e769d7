"""Determines the principal of a caller. The endpoint, event streams and WebSockets know no other way.

An implementation over tokens may have to fetch keys, so the methods are coroutines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.identity.allowed_origins import AllowedOrigins
from gateway.identity.credentials import (
    Caller,
    CredentialPolicy,
    CredentialRefusedError,
    OwnKey,
    decide_credential,
    decide_socket_credential,
)
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.telemetry.audit import audit_refused_access


class Authenticator(Protocol):
    """Determines principals. Its errors are safe to show."""

    @property
    def origins(self) -> AllowedOrigins:
        """The origins whose pages may call."""

    @property
    def stranger(self) -> Principal:
        """The principal of a caller without a credential, who may ask for the schema alone."""

    async def start(self) -> None:
        """Begin to fetch keys, if any are needed."""

    async def aclose(self) -> None:
        """End what `start` began."""

    async def authenticate(self, caller: Caller) -> Principal:
        """Determine the principal of an HTTP request.

        Raises:
            CredentialRefusedError: The caller's credential is missing or refused.
        """

    async def authenticate_socket(self, caller: Caller, offered: Sequence[str] | None) -> Principal:
        """Determine the principal of a WebSocket, whose `connection_init` holds the credentials `offered`, if any.

        Raises:
            CredentialRefusedError: The page may not call, or the credential is missing or refused.
        """

    async def renew(self, principal: Principal, offered: Sequence[str]) -> Principal:
        """Determine the principal of a WebSocket anew, from a credential that a `ping` holds.

        Raises:
            CredentialRefusedError: The credential is refused, or belongs to somebody else.
        """


def audit_refused_credential(refused: CredentialRefusedError, principal: Principal | None = None) -> None:
    """Write the audit line of a refused credential. One that could not be judged is not refused."""
    if refused.status < 500:
        audit_refused_access(principal, refused.audit_reason)


class CredentialAuthenticator:
    """Passes the callers' own credentials on, which the upstream judges, and lends the gateway's own key."""

    def __init__(
        self,
        policy: CredentialPolicy,
        upstream: UpstreamIdentity,
        own_credential: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Decide by `policy`. `own_credential` returns the gateway's own, which may change.

        With a new key come a new principal and an empty cache, since the key may be of another account.
        """
        self._policy = policy
        self._upstream = upstream
        self._own_credential = own_credential
        self.stranger = Principal.from_credential(None, upstream)

    @property
    def origins(self) -> AllowedOrigins:
        """The origins whose pages may call."""
        return self._policy.origins

    async def start(self) -> None:
        """Do nothing: no key is needed."""

    async def aclose(self) -> None:
        """Do nothing."""

    async def authenticate(self, caller: Caller) -> Principal:
        """Determine the principal of an HTTP request; raises CredentialRefusedError."""
        return self._to_principal(decide_credential(caller, self._policy))

    async def authenticate_socket(self, caller: Caller, offered: Sequence[str] | None) -> Principal:
        """Determine the principal of a WebSocket; raises CredentialRefusedError."""
        return self._to_principal(decide_socket_credential(caller, offered, self._policy))

    async def renew(self, principal: Principal, offered: Sequence[str]) -> Principal:  # noqa: ARG002 - a protocol's
        """Return the same principal: who holds a credential of the upstream, only the upstream knows."""
        return principal

    def _to_principal(self, credential: str | OwnKey | None) -> Principal:
        if isinstance(credential, OwnKey):
            return Principal.from_own_key(self._own_credential(), self._upstream)
        return Principal.from_credential(credential, self._upstream)
