"""When a credential ends, as far as it says so itself. Pure.

Only its own holder is asked: a signature is the upstream's to judge. A credential that claims a later end than it has
is refused by the upstream, and one that claims an earlier end only shortens its own subscriptions.
"""

from __future__ import annotations

import base64
import binascii
import math

import orjson

_LATEST_EXPIRY = 32_503_680_000.0  # the year 3000: what claims more has no end


def expiry_from_credential(credential: str | None) -> float | None:
    """The Unix time at which a bearer's JSON Web Token says that it expires; None for anything else.

    Source: RFC 7519 sections 3 and 4.1.4 (`exp` is a number of seconds, not necessarily whole).
    """
    scheme, _, token = (credential or "").strip().partition(" ")
    parts = token.strip().split(".")
    if scheme.lower() != "bearer" or len(parts) != 3:
        return None
    claims = _decode_claims(parts[1])
    expiry = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expiry, bool) or not isinstance(expiry, int | float):
        return None
    return float(expiry) if math.isfinite(expiry) and expiry < _LATEST_EXPIRY else None


def _decode_claims(part: str) -> object:
    try:
        # Unpadded, as RFC 7515 has it; the decoder takes more padding than there should be.
        return orjson.loads(base64.urlsafe_b64decode(part.encode("ascii") + b"=="))
    except (binascii.Error, UnicodeEncodeError, orjson.JSONDecodeError):
        return None
