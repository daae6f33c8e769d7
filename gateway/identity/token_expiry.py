"""Reads the expiry that a credential claims. Pure.

The signature is not verified; that is the upstream's task. The upstream refuses a token that claims too late an expiry,
and a token that claims too early an expiry only shortens its own use.
"""

from __future__ import annotations

import base64
import binascii
import math

import orjson

TOKEN_GRACE_SECONDS = 30.0
"""How long after its expiry a token is still accepted, because clocks differ."""

_LATEST_EXPIRY = 32_503_680_000.0  # the year 3000; a later expiry counts as none


def expiry_from_credential(credential: str | None) -> float | None:
    """Read the expiry of a bearer's JSON Web Token.

    Returns:
        The Unix time in seconds, not necessarily whole, or None if the credential is no such token or has no expiry.

    Source: RFC 7519, sections 3 and 4.1.4 (`exp`).
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


def has_ended(expires_at: float | None, now_seconds: float) -> bool:
    """Tell whether the expiry of a token and the grace after it are over. Without an expiry, it never ends."""
    return expires_at is not None and now_seconds >= expires_at + TOKEN_GRACE_SECONDS


def _decode_claims(part: str) -> object:
    try:
        # RFC 7515 leaves the padding out; the decoder accepts too much of it.
        return orjson.loads(base64.urlsafe_b64decode(part.encode("ascii") + b"=="))
    except (binascii.Error, UnicodeEncodeError, orjson.JSONDecodeError):
        return None
