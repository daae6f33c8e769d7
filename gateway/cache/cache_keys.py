"""Cache keys: where each cached thing of a scope is stored. Pure.

A scope is a principal, the owner of threads, or the gateway, which has the assistants of signed-in users.

A cache key has a group and a name. A group is one thread with all its content, all assistants, or all files.
A value and every tag that it depends on lie in the same group. In Redis, one scope's group is one hash tag, so that
one MGET finds its values and their tags on a cluster too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote

from gateway.redis.scoped_names import scoped_prefix
from schema.contract.keys import AssistantKey, FileKey
from schema.contract.kinds import KINDS, KINDS_BY_PAGE_KEY, AssistantPageKey, Key
from schema.contract.paging import Window

ASSISTANTS_GROUP = "assistants"
FILES_GROUP = "files"

_UNQUOTED = re.compile(r"[A-Za-z0-9_.~-]+\Z")  # text that `quote` does not change

_NAME_PREFIXES: dict[type[Any], str] = {kind.key_type: kind.type_name for kind in KINDS}
_NAME_PREFIXES |= {page_key_type: kind.name for page_key_type, kind in KINDS_BY_PAGE_KEY.items()}


class CacheKey(NamedTuple):
    """The address of a value or a tag of one scope; no two keys have the same one."""

    group: str
    name: str


def to_group(key: Key) -> str:
    """Return the group of a key."""
    if isinstance(key, AssistantKey | AssistantPageKey):
        return ASSISTANTS_GROUP
    if isinstance(key, FileKey):
        return FILES_GROUP
    return to_thread_group(key.thread_id)


@lru_cache(maxsize=8192)
def to_thread_group(thread_id: str) -> str:
    """Return the group of a thread."""
    return f"thread/{quote_id(thread_id)}"


# Keys of different types may be equal, so the type counts.
@lru_cache(maxsize=8192, typed=True)
def to_cache_key(key: Key) -> CacheKey:
    """Return the cache key of a key's value."""
    return CacheKey(to_group(key), "/".join([_NAME_PREFIXES[type(key)], *map(_to_name_part, key)]))


def quote_id(upstream_id: str) -> str:
    """Quote an upstream id, so that it holds no separator and no brace."""
    return upstream_id if _UNQUOTED.match(upstream_id) else quote(upstream_id, safe="", errors="surrogatepass")


def _to_name_part(part: str | Window | None) -> str:
    if isinstance(part, str):
        return quote_id(part)
    if part is None:
        return "%"  # no quoted id is equal to it
    return f"{part.limit}/{part.order}/{_to_name_part(part.after)}"


def redis_key(scope: str, kind: str, cache_key: CacheKey) -> str:
    """Return the Redis key of a cache key; `kind` is `v` (value) or `t` (tag version)."""
    return f"{_redis_prefix(scope, cache_key.group)}{kind}:{cache_key.name}"


@lru_cache(maxsize=4096)
def _redis_prefix(scope: str, group: str) -> str:
    return scoped_prefix("tg", scope, group)
