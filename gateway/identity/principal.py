"""The identity of a caller at one upstream."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass, field


@dataclass(frozen=True, slots=True)
class UpstreamIdentity:
    """The upstream that an identity belongs to. Elsewhere, the same credential means another person or other data."""

    url: str
    organization: str | None = None
    project: str | None = None
    dialect: str | None = None
    api_version: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a credential at one upstream.

    `credential` is the value of the upstream call's `Authorization` header, or None for calls without one. `digest`
    identifies the principal in the keys of everything that is stored or shared. It does not reveal the credential.
    """

    credential: str | None = field(repr=False)
    digest: str

    @classmethod
    def from_credential(cls, credential: str | None, upstream: UpstreamIdentity) -> Principal:
        """Make the principal of a credential at an upstream."""
        return cls(credential, _digest(credential, upstream))


def _digest(credential: str | None, upstream: UpstreamIdentity) -> str:
    key = hashlib.blake2b(digest_size=32, person=b"threads-upstream")
    for part in astuple(upstream):
        key.update(_length_prefixed(part))
    return hashlib.blake2b(
        _length_prefixed(credential), key=key.digest(), digest_size=32, person=b"threads-caller"
    ).hexdigest()


def _length_prefixed(part: str | None) -> bytes:
    """Prefix a part with its length, so that different lists of parts give different bytes. None differs from empty."""
    if part is None:
        return b"-"
    data = part.encode("utf-8", "surrogateescape")
    return b"%d:%b" % (len(data), data)
