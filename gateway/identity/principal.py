"""The identity of a caller at one upstream, and of the owner of a thread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gateway.identity.token_expiry import expiry_from_credential


@dataclass(frozen=True, slots=True)
class UpstreamIdentity:
    """The upstream that an identity belongs to. Elsewhere, the same credential means another person or other data."""

    url: str
    organization: str | None = None
    project: str | None = None
    dialect: str | None = None
    api_version: str | None = None
    key: bytes = field(init=False, repr=False, compare=False)
    """The key of all digests of identities at the upstream."""

    def __post_init__(self) -> None:
        key = hashlib.blake2b(digest_size=32, person=b"threads-upstream")
        for part in (self.url, self.organization, self.project, self.dialect, self.api_version):
            key.update(_length_prefixed(part))
        object.__setattr__(self, "key", key.digest())

    @property
    def digest(self) -> str:
        """The name of the upstream beside what is stored of it."""
        return self.key.hex()

    @property
    def lasting(self) -> UpstreamIdentity:
        """The upstream as its threads know it, which stay the same by another version or dialect of the API."""
        return UpstreamIdentity(self.url.partition("?")[0].rstrip("/"), self.organization, self.project)


class Owner(NamedTuple):
    """The one whom threads and files belong to: a subject of an issuer, in a tenant (empty without tenants)."""

    issuer: str
    subject: str
    tenant: str = ""

    def digest(self, upstream: UpstreamIdentity) -> str:
        """Return the name of the owner in the keys of all that is stored of their threads at an upstream."""
        return _digest(b"threads-owner", self, upstream)


@dataclass(frozen=True, slots=True)
class User:
    """A signed-in user. An admin may read and write the threads of all owners."""

    owner: Owner
    is_admin: bool = False


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: the holder of a credential of the upstream, one who may use the gateway's own key, or a signed-in user.

    `credential` is the caller's own `Authorization`, which the upstream call carries. It is None for calls without one,
    and for those that carry the gateway's own key (`uses_own_key`), which may change meanwhile. `digest` identifies the
    principal in the keys of everything that is stored or counted. It does not reveal the credential. `expires_at` is
    the Unix time, in seconds, at which the caller's token ends, or None if it does not end.
    """

    credential: str | None = field(repr=False)
    digest: str
    user: User | None = None
    expires_at: float | None = None
    uses_own_key: bool = False

    @classmethod
    def from_credential(cls, credential: str | None, upstream: UpstreamIdentity) -> Principal:
        """Make the principal of a credential at an upstream."""
        return cls(credential, credential_digest(credential, upstream), expires_at=expiry_from_credential(credential))

    @classmethod
    def from_own_key(cls, own_credential: str | None, upstream: UpstreamIdentity) -> Principal:
        """Make the principal of callers that use the gateway's own key.

        A caller that brings this key itself is the same principal.
        """
        return cls(None, own_key_digest(own_credential, upstream), uses_own_key=True)

    @classmethod
    def from_user(cls, user: User, upstream: UpstreamIdentity, expires_at: float | None = None) -> Principal:
        """Make the principal of a signed-in user, whose calls carry the gateway's own key."""
        return cls(None, user.owner.digest(upstream), user, expires_at, uses_own_key=True)

    def extended_by(self, other: Principal) -> Principal:
        """Return this principal with the later end of its own token and of another one of the same caller."""
        if self.expires_at is None or (other.expires_at is not None and other.expires_at <= self.expires_at):
            return self
        return replace(self, expires_at=other.expires_at)

    @property
    def visibility(self) -> str:
        """The name of what the principal may see: responses may be shared only by principals with the same one."""
        return f"{self.digest}/admin" if self.is_admin else self.digest

    @property
    def is_admin(self) -> bool:
        """Whether the principal is a signed-in user with the role of an admin."""
        return self.user is not None and self.user.is_admin


def credential_digest(credential: str | None, upstream: UpstreamIdentity) -> str:
    """Return the name of the holder of a credential in the keys of all that is stored for them."""
    return _digest(b"threads-caller", (credential,), upstream)


def own_key_digest(own_credential: str | None, upstream: UpstreamIdentity) -> str:
    """Return the name of the callers that use the gateway's own key: that of its holder, if there is one now."""
    if own_credential is not None:
        return credential_digest(own_credential, upstream)
    return _digest(b"threads-own-key", (None,), upstream)


def gateway_digest(upstream: UpstreamIdentity) -> str:
    """Return the name of the gateway in the keys of all that belongs to no owner, such as assistants."""
    return _digest(b"threads-gateway", (), upstream)


def _digest(person: bytes, parts: Iterable[str | None], upstream: UpstreamIdentity) -> str:
    digest = hashlib.blake2b(key=upstream.key, digest_size=32, person=person)
    for part in parts:
        digest.update(_length_prefixed(part))
    return digest.hexdigest()


def _length_prefixed(part: str | None) -> bytes:
    """Prefix a part with its length, so that different lists of parts give different bytes. None differs from empty."""
    if part is None:
        return b"-"
    data = part.encode("utf-8", "surrogatepass")
    return b"%d:%b" % (len(data), data)
