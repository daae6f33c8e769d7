"""What the keys of a log are called in Redis. Pure.

All keys of one log share a hash tag, so that one script may touch them on a cluster too. Programs that define events
differently cannot read each other's entries, so each has keys of its own: they follow a run side by side.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

from gateway.run_log.store.event_codec import FINGERPRINT
from gateway.run_log.store.event_log import LogName
from schema.contract.keys import TYPE_NAMES


class RedisNames(NamedTuple):
    """The keys of one log, and the channel on which its news are told."""

    stream: str
    meta: str
    lease: str
    details_request: str
    channel: str

    @property
    def keys(self) -> tuple[str, str, str]:
        """What the scripts work on."""
        return self.stream, self.meta, self.lease


# Keys of different types may be equal, so what is looked up is the text.
def redis_names_from_log_name(name: LogName) -> RedisNames:
    """Name the keys of a log."""
    return _redis_names(name.scope, "/".join([TYPE_NAMES[type(name.key)].lower(), *map(_quoted, name.key)]))


@lru_cache(maxsize=8192)
def _redis_names(scope: str, log_path: str) -> RedisNames:
    digest = hashlib.blake2b(scope.encode("utf-8", "surrogatepass"), digest_size=16, person=b"threads-events")
    prefix = f"te:{FINGERPRINT.hex()}:{{{base64.urlsafe_b64encode(digest.digest()).rstrip(b'=').decode()}/{log_path}}}:"
    return RedisNames(*(prefix + part for part in ("log", "meta", "lease", "wish", "news")))


def _quoted(part: str) -> str:
    return quote(part, safe="", errors="surrogatepass")
