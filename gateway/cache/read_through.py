"""A cached read of a batch of keys, from top to bottom.

1. Each key is looked up in memory (`entry_store`) and, if it is not fresh there, in Redis; the versions of all tags are
   read in the same round trip (`version_store`).
2. The misses become flights (`single_flight`): one that this process has begun already is joined, and the others are
   fetched from the upstream in one call.
3. Each result is stored in memory as it arrives, and given to all who wait for it.
4. When the last one has arrived, pages are indexed and the results are stored in Redis, while the waiters go on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeAlias

from gateway.cache import entry_codec
from gateway.cache.cache_keys import CacheKey, redis_key
from gateway.cache.entry import CacheEntry
from gateway.cache.entry_store import CacheLookup, StoredResult
from gateway.cache.policy import Result
from gateway.cache.response_cache import RecordedReads
from gateway.cache.shared_cache import SharedCache
from gateway.cache.single_flight import FlightKey, OnFlightResult
from gateway.cache.version_store import KnownVersions, StoredValue
from gateway.telemetry.metrics import CacheTier, GatewayMetrics
from schema.contract.cost import Cost
from schema.contract.errors import RETRYABLE_CODES, GatewayError
from schema.contract.ports import OnResult
from schema.contract.wire import Page

Fetch: TypeAlias = Callable[..., Awaitable[Sequence[Any]]]
"""Reads keys from the upstream: one result for each, in order. A fetch of lists takes `on_result` too."""


class ReadThrough:
    """The reads of one operation in one scope. Counts in `cost` the calls that the cache saved; records the results."""

    def __init__(self, shared: SharedCache, scope: str, cost: Cost) -> None:
        self.shared = shared
        self.scope = scope
        self.cost = cost
        self.recorded = RecordedReads(scope)

    async def read(self, keys: Sequence[Any], fetch: Fetch, on_result: OnResult[Any, Any] | None = None) -> list[Any]:
        """Return one result for each key, in order; `fetch` gets the misses only, in as few calls as possible."""
        self.recorded.record_start(keys)
        read_number, deadline = self.shared.memory.ended_runs.begin_read(), self.shared.redis_deadline()
        lookups = {key: CacheLookup.for_key(key) for key in keys}
        results = await self._find_cached(list(lookups.values()), deadline)
        self.cost.cache_hits += len(results)
        if self.shared.metrics is not None:
            _record_hits(self.shared.metrics, lookups, results)
        misses = [lookup for key, lookup in lookups.items() if key not in results]
        if misses:
            if on_result is not None:
                for key, result in results.items():
                    self.recorded.record_result(key, result)
                    on_result(key, result)
            results |= await _MissedRead(self, misses, read_number, fetch, on_result).run()
        for key, result in results.items():
            self.recorded.record_result(key, result)
        return [results[key] for key in keys]

    async def _find_cached(self, lookups: list[CacheLookup], deadline: float) -> dict[Any, Result]:
        """Return the fresh and current cached results by key, and set versions and stale results on the look-ups.

        The version store is read once for the whole batch, and a second time only for entries that are fresh in memory
        but that another process has changed.
        """
        shared = self.shared
        results: dict[Any, Result] = {}
        now = shared.now_seconds()
        for lookup in lookups:
            lookup.memory_entry = shared.memory.find_entry(self.scope, lookup.key, lookup.cache_key)
        not_fresh = [
            lookup for lookup in lookups if lookup.memory_entry is None or not lookup.memory_entry.is_fresh(now)
        ]
        outdated = self._add_current(results, lookups, await self._look_up(lookups, not_fresh, deadline))
        if outdated and shared.store.holds_values:
            self._add_current(results, outdated, await self._look_up(outdated, outdated, deadline))
        return results

    async def _look_up(
        self, lookups: list[CacheLookup], with_values: list[CacheLookup], deadline: float
    ) -> KnownVersions:
        """Read the versions of all tags, and the shared values of some look-ups, from the version store."""
        tags = dict.fromkeys(tag for lookup in lookups for tag in lookup.tags)
        cache_keys = [lookup.cache_key for lookup in with_values]
        return await self.shared.store.look_up(self.scope, tags, cache_keys, deadline) or KnownVersions({})

    def _add_current(
        self, results: dict[Any, Result], lookups: list[CacheLookup], known: KnownVersions
    ) -> list[CacheLookup]:
        """Add the results that are fresh and current; returns the look-ups whose fresh entry in memory is outdated."""
        outdated = []
        now = self.shared.now_seconds()
        is_refused = self.shared.is_refused(self.scope)
        for lookup in lookups:
            lookup.set_versions(known.versions)
            lookup.stale_result = None
            if not lookup.has_versions or is_refused:
                continue
            entry = self._find_current_entry(lookup, known, now)
            if entry is not None and entry.is_fresh(now):
                results[lookup.key] = entry.value
            elif entry is not None:
                lookup.stale_result = entry.value
            elif lookup.memory_entry is not None and lookup.memory_entry.is_fresh(now):
                outdated.append(lookup)
        return outdated

    def _find_current_entry(self, lookup: CacheLookup, known: KnownVersions, now: float) -> CacheEntry | None:
        """Return the newer of the current entries in memory and in Redis; the one from Redis is stored in memory."""
        group = lookup.cache_key.group
        ours = lookup.memory_entry
        if ours is not None and not ours.is_current(group, known.versions):
            ours = None
        data = known.values.get(lookup.cache_key)
        if data is None:
            return ours
        theirs = entry_codec.unpack_entry(type(lookup.key), redis_key(self.scope, "v", lookup.cache_key), data)
        if theirs is None or not (theirs.is_usable(now) and theirs.is_current(group, known.versions)):
            return ours
        if ours is not None and ours.stored_at >= theirs.stored_at:
            return ours
        self.shared.memory.store_entry(self.scope, lookup.cache_key, theirs, len(data))
        return theirs


def to_metric_label(key: Any) -> str:
    """Return the name of a key's type in metrics, as `Message` and `MessagePage`."""
    return type(key).__name__.removesuffix("Key")


def _record_hits(metrics: GatewayMetrics, lookups: dict[Any, CacheLookup], results: dict[Any, Result]) -> None:
    if results:
        name = to_metric_label(next(iter(results)))
        entries = ((lookups[key].memory_entry, result) for key, result in results.items())
        in_memory = sum(entry is not None and entry.value is result for entry, result in entries)
        metrics.record_cache_reads(name, CacheTier.MEMORY, in_memory)
        metrics.record_cache_reads(name, CacheTier.REDIS, len(results) - in_memory)


class _MissedRead:
    """The keys of a read that are not cached. The fetch goes on without its caller while others wait for a result.

    A result that arrives goes from the upstream to `_on_upstream_result`, to the flight, to `_on_flight_result` of each
    read that waits for it, and to that read's `on_result`.
    """

    def __init__(
        self,
        through: ReadThrough,
        lookups: Iterable[CacheLookup],
        read_number: int,
        fetch: Fetch,
        on_result: OnResult[Any, Any] | None,
    ) -> None:
        self._shared = through.shared
        self._scope = through.scope
        self._through = through
        self._read_number = read_number
        self._fetch = fetch
        self._on_result = on_result
        self._lookups = {self._flight_key(lookup): lookup for lookup in lookups}
        # Of the flights that this read has begun:
        self._awaited: dict[Any, FlightKey] = {}
        self._begun = 0
        self._end_flight: OnFlightResult
        self._pages: list[tuple[CacheLookup, Page[Any], StoredResult | None]] = []
        self._values: dict[CacheKey, StoredValue] = {}

    async def run(self) -> dict[Any, Any]:
        """Return the result of each key; a stale one replaces a passing failure."""
        listener = None if self._on_result is None else self._on_flight_result
        results = await self._shared.single_flight.run(self._lookups, self._fetch_flights, listener)
        cost = self._through.cost
        cost.shared_calls += len(results) - self._begun
        stale_before = cost.stale_answers
        by_key = {}
        for flight_key, result in results.items():
            lookup = self._lookups[flight_key]
            by_key[lookup.key] = returned = self._replace_failure(lookup, result)
            cost.stale_answers += returned is not result
        if self._shared.metrics is not None:
            name = to_metric_label(next(iter(by_key)))
            self._shared.metrics.record_cache_reads(name, CacheTier.FLIGHT, len(results) - self._begun)
            self._shared.metrics.record_cache_reads(name, CacheTier.UPSTREAM, self._begun)
            self._shared.metrics.record_stale_answers(name, cost.stale_answers - stale_before)
        return by_key

    def _flight_key(self, lookup: CacheLookup) -> FlightKey:
        """Return the key of the flight; two reads have the same one if no write came between them."""
        # Without versions it is unknown whether a write came between, so the read shares its flight with no other.
        versions = tuple(lookup.versions.values()) if lookup.has_versions else (f"read {self._read_number}",)
        return FlightKey(self._scope, lookup.cache_key, versions)

    async def _fetch_flights(self, flight_keys: list[FlightKey], end_flight: OnFlightResult) -> None:
        self._end_flight = end_flight
        self._begun = len(flight_keys)
        self._awaited = {self._lookups[flight_key].key: flight_key for flight_key in flight_keys}
        keys = list(self._awaited)
        if self._on_result is None:
            results = await self._fetch(keys)
        else:
            results = await self._fetch(keys, on_result=self._on_upstream_result)
        for key, result in zip(keys, results, strict=True):
            self._on_upstream_result(key, result)
        await asyncio.sleep(0)  # the waiters go on first
        for lookup, page, stored in self._pages:
            self._shared.memory.index_page(self._scope, lookup, page, self._read_number, stored)
        if self._values:
            await self._shared.store.store_values(self._scope, self._values)

    def _on_upstream_result(self, key: Any, result: Any) -> None:
        """Store a result in memory, and end its flight; a result that has arrived already is ignored."""
        flight_key = self._awaited.pop(key, None)
        if flight_key is None:
            return
        lookup = self._lookups[flight_key]
        stored = self._shared.memory.store_result(self._scope, lookup, result, self._read_number)
        if stored is not None and self._shared.store.holds_values:
            packed = entry_codec.pack_entry(redis_key(self._scope, "v", lookup.cache_key), stored.body)
            self._values[lookup.cache_key] = StoredValue(packed, stored.ttl_seconds)
        if isinstance(result, Page):
            self._pages.append((lookup, result, stored))
        self._end_flight(flight_key, result)

    def _on_flight_result(self, flight_key: FlightKey, result: Any) -> None:
        """Pass on a result that arrived before the others."""
        lookup = self._lookups[flight_key]
        returned = self._replace_failure(lookup, result)
        # The operation may end before the slowest list arrives, if it does not need that list.
        self._through.recorded.record_result(lookup.key, returned)
        if self._on_result is not None:
            self._on_result(lookup.key, returned)

    def _replace_failure(self, lookup: CacheLookup, result: Any) -> Any:
        """Return the stale result, if there is one, instead of an error that a retry may solve.

        The upstream may have refused the credential since the look-up, in another call of the same batch.
        """
        if (
            lookup.stale_result is not None
            and isinstance(result, GatewayError)
            and result.code in RETRYABLE_CODES
            and not self._shared.is_refused(self._scope)
        ):
            return lookup.stale_result
        return result
