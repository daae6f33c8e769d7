"""Tokens that were verified a moment ago, so that a client's next request costs no signature.

A token is found by its digest alone, so that a copy that differs in any character is verified by itself. It is verified
anew when its key was fetched anew, and refused as any other when it has ended.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from cachetools import LRUCache

from gateway.identity.principal import Principal
from gateway.identity.token_expiry import has_ended
from gateway.identity.token_verification import TokenHeader
from gateway.identity.verification_keys import VerificationKey

MAX_TOKENS = 10_000


@dataclass(frozen=True, slots=True)
class AcceptedToken:
    """The principal of a token, and the key by which it was verified."""

    principal: Principal
    header: TokenHeader
    key: VerificationKey


class VerifiedTokens:
    """The accepted tokens that were used last. A refused token is not remembered, so it takes no place.

    `unix_seconds` is the time of day.
    """

    def __init__(self, unix_seconds: Callable[[], float] = time.time, *, max_tokens: int = MAX_TOKENS) -> None:
        self._unix_seconds = unix_seconds
        self._accepted: LRUCache[bytes, AcceptedToken] = LRUCache(max_tokens)

    def __len__(self) -> int:
        """Count the tokens."""
        return len(self._accepted)

    def find_token(self, token: str) -> AcceptedToken | None:
        """Find a token that has not ended. Its key must be compared with the present one."""
        digest = _digest(token)
        accepted = self._accepted.get(digest)
        if accepted is not None and has_ended(accepted.principal.expires_at, self._unix_seconds()):
            del self._accepted[digest]
            return None
        return accepted

    def add_token(self, token: str, accepted: AcceptedToken) -> None:
        """Remember a token that was verified."""
        self._accepted[_digest(token)] = accepted


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
