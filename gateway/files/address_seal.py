"""The seal of an address: who may use it and until when, readable only by gateways with the same secret.

A browser sends no credential for an image or a link, so the address itself says in whose name the file is read. It is
encrypted and signed at once, for one file at one upstream (AES-SIV, RFC 5297). Equal contents give equal text, so that
the address of an image stays the same for a while, and browsers need not load it again.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.identity.principal import Owner, UpstreamIdentity, User

MAX_TOKEN_LENGTH = 16 << 10
"""Longest sealed text. It holds the longest credential that is passed on."""

_USE = b"threads-gateway: the address of a file, version 1"


@dataclass(frozen=True, slots=True)
class Holder:
    """The caller that an address was made for: a signed-in user, a user of the gateway's own key, or a credential.

    Without all three, it is a caller of an upstream that needs no credential.
    """

    user: User | None = None
    uses_own_key: bool = False
    credential: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class SealedContents:
    """The contents of a seal. `ends_at` is in Unix time, in whole seconds."""

    holder: Holder
    ends_at: int


class BrokenSealError(Exception):
    """The text was not sealed with this secret for this file at this upstream."""


class AddressSeal:
    """Seals and opens, with keys that follow from a secret."""

    def __init__(self, secret: bytes, upstream: UpstreamIdentity) -> None:
        """Derive the keys. An address of one upstream is of no use at another."""
        self._cipher = AESSIV(HKDF(SHA256(), length=64, salt=None, info=_USE).derive(secret))
        self._upstream = upstream.key

    def seal(self, file_id: str, contents: SealedContents) -> str:
        """Seal for a file. The text fits into a query as it is."""
        sealed = self._cipher.encrypt(_encode(contents), self._bound_to(file_id))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, file_id: str, token: str) -> SealedContents:
        """Open what was sealed for a file.

        Raises:
            BrokenSealError: It was not sealed so.
        """
        if not token.isascii() or len(token) > MAX_TOKEN_LENGTH:
            raise BrokenSealError
        try:
            sealed = base64.b64decode(token.encode() + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
            return _decode(self._cipher.decrypt(sealed, self._bound_to(file_id)))
        except (binascii.Error, InvalidTag, ValueError):
            raise BrokenSealError from None

    def _bound_to(self, file_id: str) -> list[bytes]:
        return [file_id.encode(errors="surrogatepass"), self._upstream]


def _encode(contents: SealedContents) -> bytes:
    holder, user = contents.holder, contents.holder.user
    known = None if user is None else [*user.owner, user.is_admin]
    return orjson.dumps([contents.ends_at, known, holder.uses_own_key, holder.credential])


def _decode(data: bytes) -> SealedContents:
    ends_at, known, uses_own_key, credential = orjson.loads(data)
    user = None if known is None else User(Owner(*known[:3]), is_admin=known[3])
    return SealedContents(Holder(user, uses_own_key, credential), ends_at)
