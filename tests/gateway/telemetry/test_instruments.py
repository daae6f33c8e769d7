"""Tests that the counters and histograms of one thread show what the library's own would."""

import random

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from gateway.telemetry.instruments import LoopCounter, LoopHistogram

BOUNDS = (0.5, 1, 2.5)


def samples(registry: CollectorRegistry) -> set[str]:
    lines = generate_latest(registry).decode().splitlines()
    return {line for line in lines if not line.startswith("#") and "_created" not in line}


def test_counts_and_buckets_are_those_of_the_library() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counter, histogram = LoopCounter("calls", "Calls.", ("call",)), LoopHistogram("s", "Time.", BOUNDS, ("call",))
    ours.register(counter)
    ours.register(histogram)
    their_counter = Counter("calls", "Calls.", ("call",), registry=theirs)
    their_histogram = Histogram("s", "Time.", ("call",), buckets=BOUNDS, registry=theirs)
    numbers = random.Random(1)
    for _ in range(500):
        call, value = numbers.choice("ab"), numbers.choice([0.0, 0.5, 0.75, 1.0, 2.5, 3.0])
        counter.add((call,), value)
        histogram.observe(value, (call,))
        their_counter.labels(call).inc(value)
        their_histogram.labels(call).observe(value)
    assert samples(ours) == samples(theirs)


def test_a_histogram_without_labels_begins_with_0() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    ours.register(LoopHistogram("s", "Time.", BOUNDS, ()))
    Histogram("s", "Time.", buckets=BOUNDS, registry=theirs)
    assert samples(ours) == samples(theirs)
