"""What cached things are called: the group that keeps them together, and a name that no two keys share. Pure.

A group is a thread with all that is in it, or the assistants: all that one value depends on lies in one group. In
Redis a group of one principal is one hash tag, so that one MGET finds its values and their tags on a cluster too.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import lru_cache
from typing import NamedTuple, TypeAlias
from urllib.parse import quote

from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, NodeKey, RunKey, RunStepKey, ThreadKey
from schema.contract.paging import Window
from schema.contract.ports import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey

PageKey: TypeAlias = MessagePageKey | RunPageKey | RunStepPageKey | AssistantPageKey | MessageFilePageKey
Key: TypeAlias = NodeKey | PageKey

ASSISTANTS = "assistants"
"""The group of all assistants."""

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+\Z")  # what `quote` leaves as it is

_STEMS: dict[type[Key], str] = {
    ThreadKey: "thread",
    MessageKey: "message",
    RunKey: "run",
    RunStepKey: "step",
    AssistantKey: "assistant",
    MessageFileKey: "file",
    MessagePageKey: "messages",
    RunPageKey: "runs",
    RunStepPageKey: "steps",
    AssistantPageKey: "assistants",
    MessageFilePageKey: "files",
}


class CacheKey(NamedTuple):
    """Where something of one principal lies: a value, a tag or a lease."""

    group: str
    name: str


def group_of(key: Key) -> str:
    """Name the group of a key."""
    if isinstance(key, AssistantKey | AssistantPageKey):
        return ASSISTANTS
    return thread_group(key.thread_id)


@lru_cache(maxsize=8192)
def thread_group(thread_id: str) -> str:
    """Name the group of a thread."""
    return f"thread/{quoted(thread_id)}"


# Keys of different types may be equal, so the type counts.
@lru_cache(maxsize=8192, typed=True)
def to_cache_key(key: Key) -> CacheKey:
    """Name the place of a key's value."""
    return CacheKey(group_of(key), "/".join([_STEMS[type(key)], *map(_part, key)]))


def quoted(part: str) -> str:
    """Write an id so that it holds no separator and no brace."""
    return part if _PLAIN.match(part) else quote(part, safe="", errors="surrogatepass")


def _part(part: str | Window | None) -> str:
    if isinstance(part, str):
        return quoted(part)
    if part is None:
        return "%"  # which no quoted text is
    return f"{part.limit}/{part.order}/{_part(part.after)}"


@lru_cache(maxsize=4096)
def redis_prefix(scope: str, group: str) -> str:
    """Begin every Redis key of one principal's group; the braces are its hash tag."""
    digest = hashlib.blake2b(scope.encode("utf-8", "surrogatepass"), digest_size=16, person=b"threads-cache")
    return f"tg:{{{base64.urlsafe_b64encode(digest.digest()).rstrip(b'=').decode()}/{group}}}:"
