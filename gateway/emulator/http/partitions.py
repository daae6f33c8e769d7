"""Partitions: the data of one API key. A partition's name is the digest of its key, so no key is stored."""

import hashlib
from collections.abc import Mapping

from gateway.emulator.bodies.api_errors import incorrect_key, missing_key

# Keys with this prefix are refused as unknown, so that clients can test a wrong key. Every other key is accepted.
REFUSED_KEY_PREFIX = "sk-invalid"


def partition_from_headers(headers: Mapping[str, str]) -> str:
    """Return the partition of the key in `Authorization: Bearer` or, as Azure's clients send it, in `api-key`.

    Raises:
        ApiError: The key is missing or refused (status 401).
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
    """Return the partition of a key: a digest that does not reveal it."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
