"""Counters and histograms for one thread: the library's own take locks and look labels up, ten times as long.

They are collected in the library's families, so that the library writes its formats.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

Labels = tuple[str, ...]


class LoopCounter(Collector):
    """A counter that the event loop's thread alone adds to."""

    def __init__(self, name: str, documentation: str, labels: Labels) -> None:
        """Start without a sample."""
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._counts: defaultdict[Labels, float] = defaultdict(float)

    def add(self, labels: Labels, amount: float = 1) -> None:
        """Add to the sample with these values of the labels, in their order."""
        self._counts[labels] += amount

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        yield family


class LoopHistogram(Collector):
    """A histogram that the event loop's thread alone observes values with. A value on a bound counts below it."""

    def __init__(self, name: str, documentation: str, bounds: Sequence[float], labels: Labels) -> None:
        """Start without a sample. `bounds` are in ascending order, without infinity."""
        self._name = name
        self._documentation = documentation
        self._bounds = tuple(bounds)
        self._labels = labels
        # By labels: the values in each bucket alone, one more than bounds, and the sum of all values.
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: defaultdict[Labels, float] = defaultdict(float)
        if not labels:
            self._new_buckets(())

    def observe(self, value: float, labels: Labels = ()) -> None:
        """Count a value in the sample with these values of the labels, in their order."""
        buckets = self._buckets.get(labels)
        if buckets is None:
            buckets = self._new_buckets(labels)
        buckets[bisect_left(self._bounds, value)] += 1
        self._sums[labels] += value

    def _new_buckets(self, labels: Labels) -> list[int]:
        buckets = self._buckets[labels] = [0] * (len(self._bounds) + 1)
        return buckets

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        names = [*map(str, map(float, self._bounds)), "+Inf"]
        for labels, buckets in self._buckets.items():
            family.add_metric(labels, list(zip(names, accumulate(buckets), strict=True)), self._sums[labels])
        yield family
