"""Asking the upstream for what nobody has: once for all who want it, in this process and in others."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.cache import entry_codec
from gateway.cache.cache_keys import CacheKey
from gateway.cache.cache_lookup import CacheLookup, UpstreamRead, UpstreamResult
from gateway.cache.leases import Leases, lease_of
from gateway.cache.shared_cache import SharedCache
from gateway.cache.single_flight import FlightKey, Land
from gateway.cache.storing import ResultStorer, StoredResult
from gateway.cache.tier_lookup import TierLookup
from gateway.cache.version_store import StoredValue
from schema.contract.wire import Page


@dataclass(slots=True)
class _Asked:
    """What the upstream answered, what others may have of it, and what may be kept for all."""

    pages: list[tuple[CacheLookup, Page[Any], StoredResult | None]] = field(default_factory=list)
    packed: dict[FlightKey, bytes] = field(default_factory=dict)
    values: dict[CacheKey, StoredValue] = field(default_factory=dict)


class MissFetcher:
    """One principal's calls to the upstream, for wishes whose versions are known."""

    def __init__(self, shared: SharedCache, scope: str) -> None:
        self._shared = shared
        self._scope = scope
        self._keeper = ResultStorer(shared, scope)
        self._lookup = TierLookup(shared, scope)

    async def ask(self, wishes: Collection[CacheLookup], call: UpstreamRead) -> tuple[dict[Any, Any], int]:
        """Give the answers by key, and how many of them came with another's call."""
        flights = {wish.flight(self._scope): wish for wish in wishes}
        led: set[FlightKey] = set()

        async def lead(keys: list[FlightKey], on_result: Land[UpstreamResult]) -> None:
            await self._lead({key: flights[key] for key in keys}, on_result, call)

        def tell(key: FlightKey, one: UpstreamResult) -> None:
            if call.on_result is not None:
                call.on_result(flights[key].key, one.answer)

        on_landing = None if call.on_result is None else tell
        landed = await self._shared.flights.fly(flights, lead, on_leading=led.add, on_landing=on_landing)
        shared_calls = sum(1 for key, one in landed.items() if key not in led or one.by_another_process)
        return {wish.key: landed[key].answer for key, wish in flights.items()}, shared_calls

    async def _lead(
        self, flights: dict[FlightKey, CacheLookup], on_result: Land[UpstreamResult], call: UpstreamRead
    ) -> None:
        """Ask the upstream, or wait for another process that already does."""
        leases = self._shared.leases
        if leases is None:
            await self._fetch(flights, on_result, call)
            return
        places = {lease_of(key.place, key.versions): key for key in flights}
        token, holders = await leases.take(self._scope, places, call.until)
        mine = {lease: key for lease, key in places.items() if lease not in holders}
        theirs = {lease: key for lease, key in places.items() if lease in holders}
        errands = []
        if mine:
            errands.append(self._fetch_as_holder(leases, flights, mine, token, on_result, call))
        if theirs:
            errands.append(self._wait_or_fetch(leases, flights, theirs, holders, on_result, call))
        await _together(errands)

    async def _fetch_as_holder(
        self,
        leases: Leases,
        flights: Mapping[FlightKey, CacheLookup],
        mine: Mapping[CacheKey, FlightKey],
        token: str,
        on_result: Land[UpstreamResult],
        call: UpstreamRead,
    ) -> None:
        asked: list[_Asked] = []
        work = self._call({key: flights[key] for key in mine.values()}, on_result, call, asked)
        try:
            await leases.held_during(self._scope, mine, token, work)
        finally:
            packed = asked[0].packed if asked else {}
            answers = {lease: packed[key] for lease, key in mine.items() if key in packed}
            await leases.end(self._scope, mine, token, answers)
        await self._keep(asked[0], call)

    async def _wait_or_fetch(
        self,
        leases: Leases,
        flights: Mapping[FlightKey, CacheLookup],
        theirs: Mapping[CacheKey, FlightKey],
        holders: Mapping[CacheKey, str],
        on_result: Land[UpstreamResult],
        call: UpstreamRead,
    ) -> None:
        answers = await leases.wait(self._scope, holders, self._shared.call_seconds)
        left = {}
        for lease, key in theirs.items():
            wish = flights[key]
            entry = self._lookup.decode(wish, answers[lease]) if lease in answers else None
            if entry is None:
                left[key] = wish
                continue
            if entry.fresh_seconds:
                self._shared.memory.put(self._scope, wish.place, entry, len(answers[lease]))
            self._keeper.learn(wish.key, entry.value)
            on_result(key, UpstreamResult(entry.value, by_another_process=True))
        if left:
            await self._fetch(left, on_result, call)

    async def _fetch(
        self, flights: Mapping[FlightKey, CacheLookup], on_result: Land[UpstreamResult], call: UpstreamRead
    ) -> None:
        """Ask the upstream, land the answers, then keep what may be kept."""
        asked: list[_Asked] = []
        await self._call(flights, on_result, call, asked)
        await asyncio.sleep(0)  # those who wait go first
        await self._keep(asked[0], call)

    async def _call(
        self,
        flights: Mapping[FlightKey, CacheLookup],
        on_result: Land[UpstreamResult],
        call: UpstreamRead,
        asked: list[_Asked],
    ) -> None:
        shared, keeper = self._shared, self._keeper
        loop = asyncio.get_running_loop()
        begun = loop.time()
        outcome = _Asked()
        asked.append(outcome)
        under_way = {wish.key: (flight, wish) for flight, wish in flights.items()}

        def take(key: Any, answer: Any) -> None:
            if key not in under_way:
                return
            flight, wish = under_way.pop(key)
            keeper.learn(key, answer)
            kept = keeper.keep(wish, answer, call.moment, hand_over=shared.leases is not None)
            if kept is not None and shared.store.holds_values:
                outcome.packed[flight] = packed = entry_codec.compress(kept.data)
                if kept.ttl_seconds:
                    outcome.values[wish.place] = StoredValue(packed, kept.ttl_seconds)
            if isinstance(answer, Page):
                outcome.pages.append((wish, answer, kept))
            on_result(flight, UpstreamResult(answer, by_another_process=False))

        answers = await call.ask(list(under_way), take)
        shared.note_call(loop.time() - begun)
        for wish, answer in zip(flights.values(), answers, strict=True):
            take(wish.key, answer)

    async def _keep(self, asked: _Asked, call: UpstreamRead) -> None:
        for wish, page, kept in asked.pages:
            self._keeper.hold(wish, page, call.moment, kept)
        if asked.values:
            await self._shared.store.keep(self._scope, asked.values)


async def _together(errands: list[Any]) -> None:
    """Run errands at the same time; when one fails, the others are ended and its error is raised."""
    if len(errands) == 1:
        await errands[0]
        return
    try:
        async with asyncio.TaskGroup() as group:
            for errand in errands:
                group.create_task(errand)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
