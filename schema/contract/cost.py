"""What one operation cost: its upstream calls as spans of time, and what a cache saved. Pure but for the counting."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """A stretch of time, in seconds of one monotonic clock."""

    began: float
    ended: float


@dataclass(slots=True)
class Cost:
    """The cost of one operation, filled while it runs. A decorator of the port counts into the cost of what it wraps.

    `upstream_calls`: requests sent upstream, each further try among them. `cache_hits`: keys answered from a cache.
    `shared_calls`: keys answered by a call of another operation that was under way. `stale_answers`: keys answered
    from an expired entry because the upstream failed. `clock` gives seconds and never goes back.
    """

    clock: Callable[[], float] = field(default=time.perf_counter, repr=False)
    upstream_calls: int = 0
    cache_hits: int = 0
    shared_calls: int = 0
    stale_answers: int = 0
    spans: list[Span] = field(default_factory=list)
    """The calls that have ended."""

    @asynccontextmanager
    async def call(self) -> AsyncIterator[None]:
        """Count an upstream call from its beginning, and keep its span once it has ended in whatever way."""
        began = self.begin_call()
        try:
            yield
        finally:
            self.end_call(began)

    def begin_call(self) -> float:
        """Count an upstream call that begins now; gives what `end_call` is to be told."""
        self.upstream_calls += 1
        return self.clock()

    def end_call(self, began: float) -> None:
        """Keep the span of a call that has ended in whatever way."""
        self.spans.append(Span(began, self.clock()))

    def report(self, predicted_calls: int) -> dict[str, object]:
        """Render `extensions.cost`."""
        return {
            "upstreamCalls": self.upstream_calls,
            "cacheHits": self.cache_hits,
            "sharedCalls": self.shared_calls,
            "upstreamMilliseconds": round(1000 * seconds_covered(self.spans), 1),
            "longestChain": longest_chain(self.spans),
            "predictedCalls": predicted_calls,
        }


def longest_chain(spans: Sequence[Span]) -> int:
    """Count the longest run of calls of which each began when the one before had ended.

    That is how many round trips the calls took one after the other, whatever ran beside them.
    """
    length = 0
    free_from = float("-inf")
    # What ends first leaves most room for the rest, so it is always in some longest chain.
    for span in sorted(spans, key=lambda span: (span.ended, span.began)):
        if span.began >= free_from:
            length += 1
            free_from = span.ended
    return length


def seconds_covered(spans: Sequence[Span]) -> float:
    """Add up the time in which at least one call was under way."""
    covered = 0.0
    until = float("-inf")
    for span in sorted(spans):
        covered += max(0.0, span.ended - max(span.began, until))
        until = max(until, span.ended)
    return covered
