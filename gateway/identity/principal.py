"""A caller's identity towards one upstream."""

from __future__ import annotations

import hashlib
from dataclasses import astuple, dataclass, field


@dataclass(frozen=True, slots=True)
class UpstreamIdentity:
    """What an identity is an identity of: the same credential means another person, or other data, elsewhere."""

    url: str
    organization: str | None = None
    project: str | None = None
    dialect: str | None = None
    api_version: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Whoever's credential a call carries.

    `credential` is the value of the upstream call's `Authorization` header, None for a call without one. `digest`
    names the principal wherever data is kept or shared; the credential cannot be read back from it.
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
    """A part with its length before it, so that no two lists of parts are the same bytes; None differs from empty."""
    if part is None:
        return b"-"
    data = part.encode("utf-8", "surrogateescape")
    return b"%d:%b" % (len(data), data)
