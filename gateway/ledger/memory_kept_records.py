"""The assistants, chains and locks of an upstream with responses in memory, for the demo: gone when the process ends.

As the demo's data in the emulator, they grow with what is created.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from gateway.ledger.chain_changes import add_response, change_status, merge_item
from gateway.ledger.storable_text import is_storable
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord, KeptRecords
from schema.contract.paging import Window
from schema.contract.wire import AssistantObject, Page

ItemT = TypeVar("ItemT")


class MemoryLocks:
    """The `ThreadLocks` of a single process."""

    def __init__(self, unix_seconds: Callable[[], float] = time.time) -> None:
        self._unix_seconds = unix_seconds
        self._leases: dict[str, tuple[str, float]] = {}
        self._removed: set[str] = set()

    async def acquire(self, thread_id: str, holder: str, seconds: float) -> bool:
        if thread_id in self._removed or self._find_holder(thread_id) not in {None, holder}:
            return False
        self._leases[thread_id] = (holder, self._unix_seconds() + seconds)
        return True

    async def hand_over(self, thread_id: str, holder: str, new_holder: str, seconds: float) -> bool:
        if self._find_holder(thread_id) != holder:
            return False
        self._leases[thread_id] = (new_holder, self._unix_seconds() + seconds)
        return True

    async def find_holder(self, thread_id: str) -> str | None:
        return self._find_holder(thread_id)

    async def release(self, thread_id: str, holder: str) -> None:
        if self._find_holder(thread_id) == holder:
            del self._leases[thread_id]

    def remove_ended(self, before: float) -> int:
        """Remove the leases that ended before a time. Returns their number."""
        ended = [thread_id for thread_id, (_, until) in self._leases.items() if until < before]
        for thread_id in ended:
            del self._leases[thread_id]
        return len(ended)

    def remove_threads(self, thread_ids: Collection[str]) -> None:
        """Remove the leases on conversations, whoever holds them. There will be no others."""
        self._removed.update(thread_ids)
        for thread_id in thread_ids:
            self._leases.pop(thread_id, None)

    def welcome_threads(self, thread_ids: Collection[str]) -> None:
        """Allow leases on conversations again, which exist."""
        self._removed.difference_update(thread_ids)

    def _find_holder(self, thread_id: str) -> str | None:
        holder, until = self._leases.get(thread_id, ("", 0.0))
        if until > self._unix_seconds():
            return holder
        self._leases.pop(thread_id, None)
        return None


class MemoryChains:
    """A `ChainStore` without a database. The leases on a conversation go with it."""

    def __init__(self, locks: MemoryLocks) -> None:
        self._locks = locks
        self._chains: dict[str, ChainRecord] = {}
        self._items: dict[str, dict[str, ItemRecord]] = {}
        self._removed: set[str] = set()

    async def add_chain(self, chain: ChainRecord) -> None:
        if chain.thread_id not in self._removed and is_storable(chain.run_id, chain.thread_id):
            self._chains[chain.run_id] = replace(chain, answers=dict(chain.answers))

    async def find_chains(self, run_ids: Sequence[str]) -> Mapping[str, ChainRecord]:
        return {run_id: self._chains[run_id] for run_id in run_ids if run_id in self._chains}

    async def list_chains(self, thread_id: str, window: Window) -> Page[ChainRecord] | None:
        of_thread = [chain for chain in self._chains.values() if chain.thread_id == thread_id]
        return _cut(of_thread, lambda chain: (chain.run_id, chain.created_at), window)

    async def list_waiting(self, before: float, limit: int) -> Sequence[ChainRecord]:
        waiting = [
            (chain.waiting_since, run_id)
            for run_id, chain in self._chains.items()
            if chain.waiting_since is not None and chain.waiting_since < before
        ]
        return [self._chains[run_id] for _, run_id in sorted(waiting)[:limit]]

    async def extend_chain(self, run_id: str, response_id: str, answers: Mapping[str, str]) -> None:
        if (chain := self._chains.get(run_id)) is not None:
            self._chains[run_id] = add_response(chain, response_id, answers)

    async def record_status(
        self, run_id: str, status: str, waiting_since: float | None = None, ended_run: bytes | None = None
    ) -> bool:
        chain = self._chains.get(run_id)
        if chain is None or (changed := change_status(chain, status, waiting_since, ended_run)) == chain:
            return False
        self._chains[run_id] = changed
        return True

    async def add_items(self, thread_id: str, items: Mapping[str, ItemRecord]) -> None:
        if thread_id not in self._removed and is_storable(thread_id):
            kept = self._items.setdefault(thread_id, {})
            kept.update({each: merge_item(kept.get(each), item) for each, item in items.items() if is_storable(each)})

    async def find_items(self, thread_id: str, item_ids: Sequence[str]) -> Mapping[str, ItemRecord]:
        kept = self._items.get(thread_id, {})
        return {item_id: kept[item_id] for item_id in item_ids if item_id in kept}

    async def remove_thread(self, thread_id: str) -> None:
        self.remove_threads([thread_id])

    def remove_threads(self, thread_ids: Collection[str]) -> None:
        """Remove all that is kept of conversations."""
        self._removed.update(thread_ids)
        self._locks.remove_threads(thread_ids)
        for thread_id in thread_ids:
            self._items.pop(thread_id, None)
        self._chains = {run_id: chain for run_id, chain in self._chains.items() if chain.thread_id not in thread_ids}

    def welcome_threads(self, thread_ids: Collection[str]) -> None:
        """Take chains and items of conversations again, which exist."""
        self._removed.difference_update(thread_ids)
        self._locks.welcome_threads(thread_ids)


class MemoryAssistants:
    """An `AssistantStore` without a database."""

    def __init__(self) -> None:
        self._shelves: dict[str, dict[str, AssistantObject]] = {}

    async def add_assistant(self, shelf: str, assistant: AssistantObject) -> None:
        self._shelves.setdefault(shelf, {})[assistant.id] = assistant

    async def find_assistants(self, shelf: str, ids: Sequence[str]) -> Mapping[str, AssistantObject]:
        kept = self._shelves.get(shelf, {})
        return {assistant_id: kept[assistant_id] for assistant_id in ids if assistant_id in kept}

    async def list_assistants(self, shelf: str, window: Window) -> Page[AssistantObject] | None:
        return _cut(self._shelves.get(shelf, {}).values(), lambda one: (one.id, int(one.created_at)), window)

    async def change_assistant(
        self, shelf: str, assistant_id: str, change: Callable[[AssistantObject], AssistantObject]
    ) -> AssistantObject | None:
        kept = self._shelves.get(shelf, {})
        if (assistant := kept.get(assistant_id)) is None:
            return None
        kept[assistant_id] = change(assistant)
        return kept[assistant_id]

    async def remove_assistant(self, shelf: str, assistant_id: str) -> bool:
        return self._shelves.get(shelf, {}).pop(assistant_id, None) is not None

    def move_all(self, source: str, target: str) -> int:
        """Move assistants to another shelf, but for those that it has already. Returns how many were moved."""
        moved = self._shelves.pop(source, {})
        kept = self._shelves.setdefault(target, {})
        new = {assistant_id: assistant for assistant_id, assistant in moved.items() if assistant_id not in kept}
        kept.update(new)
        return len(new)


def make_memory_records(unix_seconds: Callable[[], float] = time.time) -> KeptRecords:
    """Make all three, empty."""
    locks = MemoryLocks(unix_seconds)
    return KeptRecords(MemoryChains(locks), MemoryAssistants(), locks)


def _cut(items: Iterable[ItemT], id_and_time: Callable[[ItemT], tuple[str, int]], window: Window) -> Page[ItemT] | None:
    """Return the page of a list that is ordered by time, then as it was. None if `after` is not in it."""
    ordered = sorted(items, key=lambda item: id_and_time(item)[1])
    if window.backwards:
        ordered.reverse()
    start = 0
    if window.after is not None:
        ids = [id_and_time(item)[0] for item in ordered]
        if window.after not in ids:
            return None
        start = ids.index(window.after) + 1
    return Page(ordered[start : start + window.limit], start + window.limit < len(ordered))
