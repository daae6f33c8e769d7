"""Names of a log's keys in Redis. Pure.

All keys of one log share a hash tag, so that one script may use them on a cluster too. Programs with different event
definitions cannot read each other's entries, so each has its own keys: they follow a run side by side.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from gateway.redis.scoped_names import scoped_prefix
from gateway.run_log.store.event_codec import FINGERPRINT
from gateway.run_log.store.event_log import LogName, log_kind


class RedisNames(NamedTuple):
    """The keys of one log, and the channel of its notifications."""

    stream: str
    meta: str
    lease: str
    details_request: str
    channel: str

    @property
    def keys(self) -> tuple[str, str, str]:
        """The keys that the scripts use."""
        return self.stream, self.meta, self.lease


def redis_names_from_log(name: LogName) -> RedisNames:
    """Return the names of a log's keys and channel."""
    return _redis_names(name.scope, "/".join([log_kind(name.key).lower(), *map(_quoted, name.key)]))


# Cached by text, because keys of different types may be equal.
@lru_cache(maxsize=8192)
def _redis_names(scope: str, log_path: str) -> RedisNames:
    prefix = scoped_prefix(f"te:{FINGERPRINT.hex()}", scope, log_path)
    # The texts stay as they are: processes of two versions of the program share the keys.
    return RedisNames(*(prefix + part for part in ("log", "meta", "lease", "wish", "news")))


def _quoted(part: str) -> str:
    return quote(part, safe="", errors="surrogatepass")
