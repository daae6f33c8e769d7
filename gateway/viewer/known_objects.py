"""The objects whose records are up to date, by what the upstream said of them, so that most reads have nothing new."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from gateway.ledger.sightings import RecordKey, RecordOwner
from gateway.viewer.seen_objects import PassedObject, fingerprint_from

KNOWN_SECONDS = 60.0
"""How long what was written is not written again. So long a change by another program may go unnoticed."""

MAX_KNOWN = 50_000

_FIRST = ""
"""The key, among the objects of a record, of the message that is known to be the first one."""

_ByThread = dict[str, dict[RecordOwner, dict[str, int]]]


class KnownObjects:
    """The fingerprints of what was written a moment ago, in two generations, of which the older one is forgotten whole.

    So nothing is known for longer than `KNOWN_SECONDS`, and looking an object up is no more than looking into two
    dictionaries: this is done for every object of every read.
    """

    def __init__(self, *, max_known: int = MAX_KNOWN, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._max_known = max_known
        self._now_seconds = now_seconds
        self._young: _ByThread = {}
        self._old: _ByThread = {}
        self._young_count = 0
        self._young_until = now_seconds() + KNOWN_SECONDS / 2
        self._old_until = 0.0

    def has_all(self, owner: RecordOwner, passed: Iterable[PassedObject]) -> bool:
        """Return whether objects that passed say only what was written a moment ago."""
        self._age()
        present: str | None = None
        young: dict[str, int] = {}
        old: dict[str, int] = {}
        for thread_id, item, is_first in passed:
            if thread_id != present:
                present = thread_id
                young = self._young.get(thread_id, {}).get(owner, {})
                old = self._old.get(thread_id, {}).get(owner, {})
            fingerprint = fingerprint_from(item)
            known = young.get(item.id) or old.get(item.id)
            if known is None or known != fingerprint:
                return False
            if is_first and (young.get(_FIRST) or old.get(_FIRST)) != hash(item.id):
                return False
        return True

    def add(self, key: RecordKey, object_id: str, fingerprint: int, *, is_first: bool = False) -> None:
        """Remember what was written of an object of a record."""
        self._age()
        objects = self._young.setdefault(key.thread_id, {}).setdefault(key.owner, {})
        objects[object_id] = fingerprint
        if is_first:
            objects[_FIRST] = hash(object_id)
        self._young_count += 1

    def drop_thread(self, thread_id: str) -> None:
        """Forget a thread, which is gone: if it is seen all the same, it is written again."""
        self._young.pop(thread_id, None)
        self._old.pop(thread_id, None)

    def _age(self) -> None:
        now = self._now_seconds()
        if now >= self._young_until or self._young_count >= self._max_known / 2:
            self._old, self._old_until = self._young, self._young_until + KNOWN_SECONDS / 2
            self._young, self._young_until = {}, now + KNOWN_SECONDS / 2
            self._young_count = 0
        if self._old and now >= self._old_until:
            self._old = {}
