"""The way of a batch of keys: memory, then Redis, then a call under way, then the upstream for what is left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from gateway.cache.cache_lookup import CacheLookup, Fetch, UpstreamRead
from gateway.cache.fetching import MissFetcher
from gateway.cache.shared_cache import SharedCache
from gateway.cache.tier_lookup import TierLookup
from schema.contract.cost import Cost
from schema.contract.errors import RETRYABLE_CODES, GatewayError
from schema.contract.ports import OnResult


class ReadThrough:
    """Reads for one principal; counts what it saved."""

    def __init__(self, shared: SharedCache, scope: str, cost: Cost) -> None:
        self._shared = shared
        self._cost = cost
        self._lookup = TierLookup(shared, scope)
        self._asking = MissFetcher(shared, scope)

    async def read(self, keys: Sequence[Any], fetch: Fetch, on_result: OnResult[Any, Any] | None = None) -> list[Any]:
        """Answer each key in its place; `fetch` is only asked for what nobody knows, in one call."""
        shared = self._shared
        wishes = {key: CacheLookup.of(key) for key in keys}
        moment, until = shared.ended_runs.begin_read(), shared.deadline()
        answers: dict[Any, Any] = await self._lookup.find(list(wishes.values()), until)
        self._cost.cache_hits += len(answers)
        missing = [wish for key, wish in wishes.items() if key not in answers]
        if not missing:
            return [answers[key] for key in keys]
        tell = None
        if on_result is not None:
            for key, answer in answers.items():
                on_result(key, answer)

            def tell(key: Any, answer: Any) -> None:
                on_result(key, _or_stale(wishes[key], answer))

        answers |= await self._ask(missing, UpstreamRead(fetch, moment, until, tell))
        return [answers[key] for key in keys]

    async def _ask(self, wishes: list[CacheLookup], call: UpstreamRead) -> dict[Any, Any]:
        """Answer from calls under way and from the upstream; what fails there, from what is stale."""
        known = [wish for wish in wishes if wish.is_known]
        unknown = [wish for wish in wishes if not wish.is_known]
        if not unknown:
            answers = await self._ask_shared(known, call)
        elif not known:
            answers = await self._ask_alone(unknown, call)
        else:
            both = await asyncio.gather(self._ask_shared(known, call), self._ask_alone(unknown, call))
            answers = both[0] | both[1]
        for wish in wishes:
            answer = answers[wish.key]
            answers[wish.key] = settled = _or_stale(wish, answer)
            self._cost.stale_answers += settled is not answer
        return answers

    async def _ask_shared(self, wishes: list[CacheLookup], call: UpstreamRead) -> dict[Any, Any]:
        answers, shared_calls = await self._asking.ask(wishes, call)
        self._cost.shared_calls += shared_calls
        return answers

    async def _ask_alone(self, wishes: list[CacheLookup], call: UpstreamRead) -> dict[Any, Any]:
        # Where no version can be read, nobody knows whether a write came between two reads: they share nothing.
        keys = [wish.key for wish in wishes]
        return dict(zip(keys, await call.ask(keys, call.on_result), strict=True))


def _or_stale(wish: CacheLookup, answer: Any) -> Any:
    """What a wish is answered with: what is stale in place of an error that would pass."""
    if wish.stale is not None and isinstance(answer, GatewayError) and answer.code in RETRYABLE_CODES:
        return wish.stale
    return answer
