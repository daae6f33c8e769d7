"""Tokens and rules for tests of sign-in."""

import functools
import time
from typing import Any

from gateway.identity.token_claims import ClaimNames
from gateway.identity.token_verification import TokenRules
from tests.support.signing_keys import SigningKey, make_signing_key

ISSUER, AUDIENCE = "https://login.test", "threads-gateway"
RULES = TokenRules(ISSUER, AUDIENCE, frozenset({"RS256", "PS256", "ES256", "ES384", "EdDSA"}))
NAMES = ClaimNames(tenant="org.id", roles="realm_access.roles")


_cached_key = functools.cache(make_signing_key)


def signing_key(kid: str = "one", algorithm: str = "ES256") -> SigningKey:
    """Return the same key each time, since RSA keys take long to make."""
    return _cached_key(kid, algorithm)


def claims(**changes: Any) -> dict[str, Any]:
    """Return the claims of a valid token, with changes; one that is None is left out."""
    now = int(time.time())
    merged = {"iss": ISSUER, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 300, **changes}
    return {name: value for name, value in merged.items() if value is not None}
