"""From an answer of the upstream to what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.cache import codec
from gateway.cache.entries import Entry, may_be_kept
from gateway.cache.names import Key, place_of
from gateway.cache.pages import objects_of
from gateway.cache.policy import Answer, Lifetime, lifetime_of
from gateway.cache.redis_link import redis_key
from gateway.cache.shared import SharedCache
from gateway.cache.tags import dependencies
from gateway.cache.wishes import Wish
from schema.errors import GatewayError
from schema.keys import RunKey
from schema.ports import RunPageKey
from schema.wire import Page, RunObject


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it can be shared, and how long it may be kept: 0 for one that is only handed over."""

    data: bytes
    ttl_seconds: float


class Keeper:
    """Keeps answers for one principal, each under the versions that its tags had when its read began."""

    def __init__(self, shared: SharedCache, scope: str) -> None:
        self._shared = shared
        self._scope = scope

    def learn(self, key: Key, answer: Answer) -> None:
        """Note which runs are over."""
        ended = self._shared.ended_runs
        if isinstance(answer, RunObject) and isinstance(key, RunKey):
            ended.learn(self._scope, key, answer.status)
        elif isinstance(answer, Page) and isinstance(key, RunPageKey):
            for run in answer.data:
                ended.learn(self._scope, RunKey(key.thread_id, run.id), run.status)

    def keep(self, wish: Wish, answer: Answer, moment: int, *, hand_over: bool) -> Kept | None:
        """Keep an answer in memory as long as it may be; None for what nobody else may have.

        With `hand_over`, what may not be kept is encoded too, for those who already wait for it.
        """
        now = self._shared.now_seconds()
        entry = self._entry(wish, answer, moment, now)
        if entry is None:
            if not hand_over or isinstance(answer, GatewayError):
                return None
            entry = Entry(answer, {}, now, 0.0, 0.0)
        data = codec.encode(redis_key(self._scope, "v", wish.place), entry)
        if data is None:
            return None
        if entry.fresh_seconds:
            self._shared.memory.put(self._scope, wish.place, entry, len(data))
        return Kept(data, entry.fresh_seconds + entry.stale_seconds)

    def prime(self, wish: Wish, page: Page[Any], moment: int) -> None:
        """Keep the objects of a page in memory; other processes find them by the page."""
        now = self._shared.now_seconds()
        if not may_be_kept(wish.versions.values()):
            return
        # What is known from a page depends on the page's tags alone, so objects of one kind share their versions.
        versions: dict[bool, dict[str, str]] = {}
        for key, one in objects_of(wish.key, page):
            lifetime = self._lifetime(key, one, moment)
            if lifetime is None:
                continue
            if lifetime.settled not in versions:
                tags = dependencies(key, found=True, settled=lifetime.settled, from_page=True)
                versions[lifetime.settled] = {tag.name: wish.versions[tag] for tag in tags}
            place = place_of(key)
            name = redis_key(self._scope, "v", place)
            entry = Entry(one, versions[lifetime.settled], now, lifetime.fresh_seconds, lifetime.stale_seconds)
            # Decoded once more, so that no object keeps the text of the whole page alive.
            data = codec.encode(name, entry)
            own = None if data is None else codec.decode(type(key), name, data)
            if data is not None and own is not None:
                self._shared.memory.put(self._scope, place, own, len(data))

    def _entry(self, wish: Wish, answer: Answer, moment: int, now: float) -> Entry | None:
        lifetime = self._lifetime(wish.key, answer, moment)
        if lifetime is None:
            return None
        tags = dependencies(wish.key, found=not isinstance(answer, GatewayError), settled=lifetime.settled)
        versions = {tag.name: wish.versions[tag] for tag in tags}
        if not may_be_kept(versions.values()):
            return None
        return Entry(answer, versions, now, lifetime.fresh_seconds, lifetime.stale_seconds)

    def _lifetime(self, key: Key, answer: Answer, moment: int) -> Lifetime | None:
        ended = self._shared.ended_runs
        now = self._shared.now_seconds()
        return lifetime_of(key, answer, lambda run: ended.was_over(self._scope, run, moment), now)
