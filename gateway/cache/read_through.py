"""The read-through of a batch of keys: memory, then Redis, then reads in flight, then the upstream for the misses."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.cache import entry_codec
from gateway.cache.cache_keys import CacheKey, redis_key
from gateway.cache.cache_lookup import CacheLookup, Fetch, UpstreamRead
from gateway.cache.entry import CacheEntry
from gateway.cache.policy import Result
from gateway.cache.result_storer import ResultStorer, StoredResult
from gateway.cache.shared_cache import SharedCache
from gateway.cache.single_flight import FlightKey, OnFlightResult
from gateway.cache.version_store import KnownVersions, StoredValue
from schema.contract.cost import Cost
from schema.contract.errors import RETRYABLE_CODES, GatewayError
from schema.contract.ports import OnResult
from schema.contract.wire import Page


@dataclass(slots=True)
class _FetchedBatch:
    """A fetched batch: its pages, and the values to store in Redis."""

    pages: list[tuple[CacheLookup, Page[Any], StoredResult | None]] = field(default_factory=list)
    values: dict[CacheKey, StoredValue] = field(default_factory=dict)


class ReadThrough:
    """Reads keys for one principal through the cache, and counts in `cost` the calls that it saved."""

    def __init__(self, shared: SharedCache, storer: ResultStorer, scope: str, cost: Cost) -> None:
        self._shared = shared
        self._storer = storer
        self._scope = scope
        self._cost = cost

    async def read(self, keys: Sequence[Any], fetch: Fetch, on_result: OnResult[Any, Any] | None = None) -> list[Any]:
        """Return one result for each key, in order; `fetch` gets the misses only, in as few calls as possible."""
        shared = self._shared
        lookups = {key: CacheLookup.for_key(key) for key in keys}
        read_number, deadline = shared.ended_runs.begin_read(), shared.redis_deadline()
        results: dict[Any, Any] = await self._find_cached(list(lookups.values()), deadline)
        self._cost.cache_hits += len(results)
        misses = [lookup for key, lookup in lookups.items() if key not in results]
        if not misses:
            return [results[key] for key in keys]
        forward = None
        if on_result is not None:
            for key, result in results.items():
                on_result(key, result)

            def forward(key: Any, result: Any) -> None:
                on_result(key, self._replace_failure(lookups[key], result))

        results |= await self._read_misses(misses, UpstreamRead(fetch, read_number, deadline, forward))
        return [results[key] for key in keys]

    # Memory and Redis

    async def _find_cached(self, lookups: list[CacheLookup], deadline: float) -> dict[Any, Result]:
        """Return the fresh and current cached results by key, and set versions and stale results on the look-ups.

        The version store is read once for the whole batch, and a second time only for entries that are fresh in memory
        but that another process has changed.
        """
        shared = self._shared
        results: dict[Any, Result] = {}
        now = shared.now_seconds()
        for lookup in lookups:
            lookup.memory_entry = self._storer.find_in_memory(lookup.key, lookup.cache_key)
        not_fresh = [
            lookup for lookup in lookups if lookup.memory_entry is None or not lookup.memory_entry.is_fresh(now)
        ]
        outdated = self._add_current(results, lookups, await self._look_up(lookups, not_fresh, deadline))
        if outdated and shared.store.holds_values:
            self._add_current(results, outdated, await self._look_up(outdated, outdated, deadline))
        return results

    async def _look_up(
        self, lookups: list[CacheLookup], with_values: list[CacheLookup], deadline: float
    ) -> KnownVersions | None:
        """Read the versions of all tags, and the shared values of some look-ups, from the version store."""
        tags = dict.fromkeys(tag for lookup in lookups for tag in lookup.tags)
        cache_keys = [lookup.cache_key for lookup in with_values]
        return await self._shared.store.look_up(self._scope, tags, cache_keys, deadline)

    def _add_current(
        self, results: dict[Any, Result], lookups: list[CacheLookup], known: KnownVersions | None
    ) -> list[CacheLookup]:
        """Add the results that are fresh and current; returns the look-ups whose fresh entry in memory is outdated."""
        outdated = []
        now = self._shared.now_seconds()
        is_refused = self._shared.is_refused(self._scope)
        for lookup in lookups:
            lookup.set_versions(known)
            lookup.stale_result = None
            if known is None or not lookup.has_versions or is_refused:
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
        theirs = None if data is None else self._decode(lookup, data)
        if data is None or theirs is None or not (theirs.is_usable(now) and theirs.is_current(group, known.versions)):
            return ours
        if ours is not None and ours.stored_at >= theirs.stored_at:
            return ours
        self._shared.memory.store_entry(self._scope, lookup.cache_key, theirs, len(data))
        return theirs

    def _decode(self, lookup: CacheLookup, data: bytes) -> CacheEntry | None:
        return entry_codec.unpack_entry(type(lookup.key), redis_key(self._scope, "v", lookup.cache_key), data)

    # Misses

    async def _read_misses(self, lookups: list[CacheLookup], upstream_read: UpstreamRead) -> dict[Any, Any]:
        """Return results from reads in flight and from the upstream; a stale result replaces a passing failure."""
        with_versions = [lookup for lookup in lookups if lookup.has_versions]
        without_versions = [lookup for lookup in lookups if not lookup.has_versions]
        if not without_versions:
            results = await self._read_shared(with_versions, upstream_read)
        elif not with_versions:
            results = await self._read_unshared(without_versions, upstream_read)
        else:
            shared, unshared = await asyncio.gather(
                self._read_shared(with_versions, upstream_read), self._read_unshared(without_versions, upstream_read)
            )
            results = shared | unshared
        for lookup in lookups:
            result = results[lookup.key]
            results[lookup.key] = returned = self._replace_failure(lookup, result)
            self._cost.stale_answers += returned is not result
        return results

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

    async def _read_unshared(self, lookups: list[CacheLookup], upstream_read: UpstreamRead) -> dict[Any, Any]:
        # Without versions it is unknown whether a write came between two reads, so they share nothing.
        keys = [lookup.key for lookup in lookups]
        return dict(zip(keys, await upstream_read.fetch_keys(keys, upstream_read.on_result), strict=True))

    async def _read_shared(self, lookups: list[CacheLookup], upstream_read: UpstreamRead) -> dict[Any, Any]:
        """Read in single flight: once for all callers in this process."""
        lookups_by_flight = {lookup.flight_key(self._scope): lookup for lookup in lookups}
        started: set[FlightKey] = set()

        async def fetch(flight_keys: list[FlightKey], on_result: OnFlightResult[Any]) -> None:
            own_lookups = {flight_key: lookups_by_flight[flight_key] for flight_key in flight_keys}
            await self._fetch_and_store(own_lookups, on_result, upstream_read)

        def forward(flight_key: FlightKey, result: Any) -> None:
            if upstream_read.on_result is not None:
                upstream_read.on_result(lookups_by_flight[flight_key].key, result)

        results = await self._shared.single_flight.run(
            lookups_by_flight,
            fetch,
            on_start=started.add,
            on_result=None if upstream_read.on_result is None else forward,
        )
        self._cost.shared_calls += sum(1 for flight_key in results if flight_key not in started)
        return {lookup.key: results[flight_key] for flight_key, lookup in lookups_by_flight.items()}

    # Upstream

    async def _fetch_and_store(
        self,
        lookups: Mapping[FlightKey, CacheLookup],
        on_result: OnFlightResult[Any],
        upstream_read: UpstreamRead,
    ) -> None:
        batch = _FetchedBatch()
        await self._fetch(lookups, on_result, upstream_read, batch)
        await asyncio.sleep(0)  # the waiters go on first
        await self._store_batch(batch, upstream_read)

    async def _fetch(
        self,
        lookups: Mapping[FlightKey, CacheLookup],
        on_result: OnFlightResult[Any],
        upstream_read: UpstreamRead,
        batch: _FetchedBatch,
    ) -> None:
        """Fetch from the upstream, store each result in memory as it arrives, and fill `batch`."""
        shared, storer = self._shared, self._storer
        in_flight = {lookup.key: (flight_key, lookup) for flight_key, lookup in lookups.items()}

        def add_result(key: Any, result: Any) -> None:
            if key not in in_flight:
                return
            flight_key, lookup = in_flight.pop(key)
            storer.record_ended_runs(key, result)
            stored = storer.store_result(lookup, result, upstream_read.read_number)
            if stored is not None and shared.store.holds_values:
                name = redis_key(self._scope, "v", lookup.cache_key)
                packed = entry_codec.pack_entry(name, stored.body)
                batch.values[lookup.cache_key] = StoredValue(packed, stored.ttl_seconds)
            if isinstance(result, Page):
                batch.pages.append((lookup, result, stored))
            on_result(flight_key, result)

        results = await upstream_read.fetch_keys(list(in_flight), add_result)
        for lookup, result in zip(lookups.values(), results, strict=True):
            add_result(lookup.key, result)

    async def _store_batch(self, batch: _FetchedBatch, upstream_read: UpstreamRead) -> None:
        """Index the pages of a batch, and store its values in Redis."""
        for lookup, page, stored in batch.pages:
            self._storer.index_page(lookup, page, upstream_read.read_number, stored)
        if batch.values:
            await self._shared.store.store_values(self._scope, batch.values)
