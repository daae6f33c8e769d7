"""The identity of a caller at one upstream, and of the owner of a thread."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class UpstreamIdentity:
    """The upstream that an identity belongs to. Elsewhere, the same credential means another person or other data."""

    url: str
    organization: str | None = None
    project: str | None = None
    dialect: str | None = None
    api_version: str | None = None


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
    """A caller: the holder of a credential of the upstream, or a signed-in user.

    `credential` is the value of the upstream call's `Authorization` header, or None for calls without one. `digest`
    identifies the principal in the keys of everything that is stored or counted. It does not reveal the credential.
    """

    credential: str | None = field(repr=False)
    digest: str
    user: User | None = None

    @classmethod
    def from_credential(cls, credential: str | None, upstream: UpstreamIdentity) -> Principal:
        """Make the principal of a credential at an upstream."""
        return cls(credential, _digest(b"threads-caller", (credential,), upstream))

    @classmethod
    def from_user(cls, user: User, own_credential: str | None, upstream: UpstreamIdentity) -> Principal:
        """Make the principal of a signed-in user. The gateway's own credential goes upstream."""
        return cls(own_credential, user.owner.digest(upstream), user)

    @property
    def visibility(self) -> str:
        """The name of what the principal may see: responses may be shared only by principals with the same one."""
        return f"{self.digest}/admin" if self.user is not None and self.user.is_admin else self.digest


def _digest(person: bytes, parts: Iterable[str | None], upstream: UpstreamIdentity) -> str:
    key = hashlib.blake2b(digest_size=32, person=b"threads-upstream")
    for part in astuple(upstream):
        key.update(_length_prefixed(part))
    digest = hashlib.blake2b(key=key.digest(), digest_size=32, person=person)
    for part in parts:
        digest.update(_length_prefixed(part))
    return digest.hexdigest()


def _length_prefixed(part: str | None) -> bytes:
    """Prefix a part with its length, so that different lists of parts give different bytes. None differs from empty."""
    if part is None:
        return b"-"
    data = part.encode("utf-8", "surrogateescape")
    return b"%d:%b" % (len(data), data)
