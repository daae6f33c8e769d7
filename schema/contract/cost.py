"""The cost of one operation, and its limits: its upstream calls as time spans, and the calls that a cache saved."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

DEFAULT_MAX_DEPTH = 30
DEFAULT_MAX_TOKENS = 2_000
DEFAULT_MAX_CALLS = 1_000
DEFAULT_MAX_OBJECTS = 20_000
DEFAULT_MAX_ANSWER_BYTES = 32 << 20
"""The limits of an operation without settings; the settings have the same defaults."""

CITED_FILES_PER_OBJECT = 20
"""The files that one field of a message, a step or an event is expected to cite, such as its attachments."""

MAX_CITED_FILES = 100
"""The most files that an operation, or an event, loads because objects cite them. Further ones are null."""


@dataclass(frozen=True, slots=True)
class ExecutionBounds:
    """The bounds of the execution of an operation: of each batch of loads in time, and of the response in size."""

    deadline_seconds: float = 60.0
    max_answer_bytes: int = DEFAULT_MAX_ANSWER_BYTES


class Span(NamedTuple):
    """A span of time, in seconds of one monotonic clock."""

    started: float
    ended: float


@dataclass(slots=True)
class Cost:
    """The cost of one operation, counted while it runs. A decorator of the port counts into the cost of its inner port.

    Attributes:
        clock: Returns seconds, and never goes back.
        upstream_calls: Requests sent upstream, retries included.
        cache_hits: Keys that a cache served.
        shared_calls: Keys that a call of another operation, already in flight, served.
        stale_answers: Keys that an expired entry served, because the upstream failed.
        on_call: Is called when a call starts. Set for calls that start after the operation was accounted for.
    """

    clock: Callable[[], float] = field(default=time.perf_counter, repr=False)
    upstream_calls: int = 0
    cache_hits: int = 0
    shared_calls: int = 0
    stale_answers: int = 0
    on_call: Callable[[], None] | None = field(default=None, repr=False)
    spans: list[Span] = field(default_factory=list)
    """The spans of the calls that have ended."""

    @asynccontextmanager
    async def measure_call(self) -> AsyncIterator[None]:
        """Count an upstream call when it starts, and record its span when it ends or fails."""
        started = self.start_call()
        try:
            yield
        finally:
            self.end_call(started)

    def start_call(self) -> float:
        """Count an upstream call that starts now. Returns its start time, for `end_call`."""
        self.upstream_calls += 1
        if self.on_call is not None:
            self.on_call()
        return self.clock()

    def end_call(self, started: float) -> None:
        """Record the span of a call that has ended or failed."""
        self.spans.append(Span(started, self.clock()))

    def to_extension(
        self, *, predicted_calls: int, predicted_objects: int, shown_objects: int, response_bytes: int
    ) -> dict[str, object]:
        """Render `extensions.cost`."""
        return {
            "upstreamCalls": self.upstream_calls,
            "cacheHits": self.cache_hits,
            "sharedCalls": self.shared_calls,
            "upstreamMilliseconds": round(1000 * covered_seconds(self.spans), 1),
            "longestChain": longest_chain(self.spans),
            "predictedCalls": predicted_calls,
            "predictedObjects": predicted_objects,
            "shownObjects": shown_objects,
            "responseBytes": response_bytes,
        }


def longest_chain(spans: Sequence[Span]) -> int:
    """Return the length of the longest chain of calls, in which each call started after the previous one had ended.

    This is the number of sequential round trips, however many calls ran in parallel.
    """
    length = 0
    free_from = float("-inf")
    # The call that ends first leaves most time for the others, so it is always part of a longest chain.
    for span in sorted(spans, key=lambda span: (span.ended, span.started)):
        if span.started >= free_from:
            length += 1
            free_from = span.ended
    return length


def covered_seconds(spans: Sequence[Span]) -> float:
    """Return the total time during which at least one call was in flight."""
    covered = 0.0
    until = float("-inf")
    for span in sorted(spans):
        covered += max(0.0, span.ended - max(span.started, until))
        until = max(until, span.ended)
    return covered
