"""Tells whose data a request is about: each key is a partition of its own, known here by its digest only."""

import hashlib
from collections.abc import Mapping

from gateway.emulator.bodies.api_errors import incorrect_key, missing_key

# Keys that begin so are refused as unknown, to show what a wrong key meets; every other key is taken.
REFUSED_KEY_PREFIX = "sk-invalid"


def partition_from_headers(headers: Mapping[str, str]) -> str:
    """Return the partition of the key in ``Authorization: Bearer`` or, as Azure's clients send it, ``api-key``.

    Raises ApiError (401) if there is none, or if it is one of the refused.
    """
    scheme, _, token = headers.get("Authorization", "").strip().partition(" ")
    key = token.strip() if scheme.casefold() == "bearer" else ""
    key = key or headers.get("api-key", "").strip()
    if not key:
        raise missing_key()
    if key.startswith(REFUSED_KEY_PREFIX):
        raise incorrect_key()
    return partition_from_key(key)


def partition_from_key(key: str) -> str:
    """Return what stands for a key wherever something is kept."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
