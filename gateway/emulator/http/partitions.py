"""Partitions: the data of one API key. A partition's name is the digest of its key, so no key is stored."""

import hashlib
from collections.abc import Collection, Mapping

from gateway.emulator.http.server_paths import incorrect_key_error, missing_key_error
from gateway.emulator.objects import ServerKind

# Keys with this prefix are refused as unknown, so that clients can test a wrong key.
REFUSED_KEY_PREFIX = "sk-invalid"


class KeyRing:
    """The keys that the emulator takes: any by default, or only those that it is given."""

    def __init__(self, keys: Collection[str] = ()) -> None:
        self._partitions = frozenset(partition_from_key(key) for key in keys)

    @property
    def takes_any(self) -> bool:
        """Return whether every key is taken."""
        return not self._partitions

    def partition_from_headers(self, headers: Mapping[str, str], kind: ServerKind = "openai") -> str:
        """Return the partition of the key in `Authorization: Bearer` or, as Azure's clients send it, in `api-key`.

        Raises:
            ApiError: The key is missing or refused (status 401), in the words of this kind of server.
        """
        scheme, _, token = headers.get("Authorization", "").strip().partition(" ")
        key = token.strip() if scheme.casefold() == "bearer" else ""
        key = key or headers.get("api-key", "").strip()
        if not key:
            raise missing_key_error(kind)
        # Digests are compared, so the time tells nothing about a key.
        partition = partition_from_key(key)
        if key.startswith(REFUSED_KEY_PREFIX) or (self._partitions and partition not in self._partitions):
            raise incorrect_key_error(kind)
        return partition


def partition_from_key(key: str) -> str:
    """Return the partition of a key: a digest that does not reveal it."""
    return hashlib.sha256(key.encode(errors="surrogateescape")).hexdigest()
