"""The metrics of one process, in Prometheus' form. No label holds a text, an id or a person.

A part of the gateway that is measured gets a `GatewayMetrics`, or None where metrics are off. What can be read from the
state of the parts at any time, as the number of open sockets, is read when the metrics are asked for (`StateGauges`).
The errors of each code, and of each store in use, begin with 0: Prometheus sees no increase in a new series of 1.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from importlib.metadata import version
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.telemetry.instruments import LoopCounter, LoopHistogram
from gateway.telemetry.operation_labels import OperationLabels
from gateway.telemetry.operation_record import OperationRecord
from schema.contract.errors import ErrorCode

PREFIX = "threads_gateway_"

DURATIONS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SHORT_DURATIONS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

NO_STATUS = "none"
"""The status of a call that got no answer."""

NOT_READ = "unread"
"""The kind of an operation whose document was not read."""


class CacheTier(StrEnum):
    """Where the value of a key was found: in memory, in Redis, by a call in flight of another operation, or nowhere."""

    MEMORY = "memory"
    REDIS = "redis"
    FLIGHT = "flight"
    UPSTREAM = "upstream"


class MetricDescription(NamedTuple):
    """The name and the meaning of a metric. A counter's samples end in `_total`."""

    name: str
    kind: str
    labels: tuple[str, ...]
    documentation: str


class StateGauge(NamedTuple):
    """A number that is read from the state of a part when it is asked for. A counter never goes down."""

    name: str
    documentation: str
    read: Callable[[], float | Iterable[tuple[str, float]]]
    label: str | None = None
    is_counter: bool = False


class StateGauges(Collector):
    """Reads gauges from the state of the gateway's parts. `read` with a label returns each label with its number."""

    def __init__(self, gauges: Iterable[StateGauge]) -> None:
        """Read these gauges whenever the registry is collected."""
        self._gauges = tuple(gauges)

    def collect(self) -> Iterator[Metric]:
        for gauge in self._gauges:
            labels = () if gauge.label is None else (gauge.label,)
            family_type = CounterMetricFamily if gauge.is_counter else GaugeMetricFamily
            family = family_type(PREFIX + gauge.name, gauge.documentation, labels=labels)
            found = gauge.read()
            if isinstance(found, int | float):
                family.add_metric((), found)
            else:
                for label, number in found:
                    family.add_metric((label,), number)
            yield family


class GatewayMetrics:
    """The counters and histograms of one process, on a registry of its own. `clock` returns seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """Start at zero."""
        self.registry = registry = CollectorRegistry()
        self.clock = clock
        self.descriptions: list[MetricDescription] = []
        self._labels = OperationLabels()

        def describe(kind: str, name: str, documentation: str, labels: tuple[str, ...]) -> None:
            self.descriptions.append(MetricDescription(PREFIX + name, kind, labels, documentation))

        def counter(name: str, documentation: str, *labels: str) -> LoopCounter:
            describe("counter", name, documentation, labels)
            made = LoopCounter(PREFIX + name, documentation, labels)
            registry.register(made)
            return made

        def histogram(name: str, documentation: str, bounds: Sequence[float], *labels: str) -> LoopHistogram:
            describe("histogram", name, documentation, labels)
            made = LoopHistogram(PREFIX + name, documentation, bounds, labels)
            registry.register(made)
            return made

        ProcessCollector(registry=registry)
        build_labels = ("version", "python")
        describe("gauge", "build_info", "The version of the program.", build_labels)
        build = Gauge(PREFIX + "build_info", "The version of the program.", build_labels, registry=registry)
        build.labels(version("threads-gateway"), platform.python_version()).set(1)
        of = ("operation", "kind")
        self._operations = counter("operations", "Operations that ended, by outcome.", *of, "outcome")
        self._operation_seconds = histogram(
            "operation_duration_seconds", "Time from a request until its result is known.", DURATIONS, *of
        )
        self._errors = counter("operation_errors", "Codes of errors, each once for an operation.", "code")
        for code in ErrorCode:
            self._errors.add((code.value,), 0)
        self._predicted_calls = counter(
            "predicted_calls",
            "Upstream calls that operations were predicted to make, or an upper bound that was within the limit.",
            *of,
        )
        self._calls_of_operations = counter("operation_calls", "Upstream calls that operations made.", *of)
        self._predicted_objects = counter("predicted_objects", "Objects that operations were predicted to show.", *of)
        self._objects = counter("operation_objects", "Objects in the results of operations.", *of)
        self._calls = counter("upstream_calls", "Calls of the upstream.", "call", "status")
        self._call_seconds = histogram(
            "upstream_call_duration_seconds", "Time from sending a call until its response is read.", DURATIONS, "call"
        )
        self._retries = counter("upstream_retries", "Calls that were sent again.", "call")
        self._refused_calls = counter(
            "upstream_refused_calls",
            "Calls that were not sent, by the code of the error: a pause or a circuit breaker.",
            "call",
            "code",
        )
        self._slot_seconds = histogram(
            "upstream_slot_wait_seconds", "Time that a call waited until it could be sent.", SHORT_DURATIONS
        )
        self._cache_reads = counter(
            "cache_reads", "Keys read through the cache, by where they were found.", "keys", "found"
        )
        self._stale_answers = counter("cache_stale_answers", "Keys served from an expired entry.", "keys")
        self._responses = counter("response_cache_reads", "Look-ups of whole responses.", "found")
        self._batch_keys = histogram("loader_batch_keys", "Keys in one batch of loads.", BATCH_SIZES, "kind")
        self._events = counter("events_delivered", "Events sent to subscribers.", "event")
        self._store_seconds = histogram(
            "store_request_duration_seconds", "Time of requests to Redis and the ledger.", SHORT_DURATIONS, "store"
        )
        self._store_errors = counter("store_errors", "Requests that Redis or the ledger did not answer.", "store")
        self._loop_lag = histogram(
            "event_loop_lag_seconds", "How much later than due a timer of the event loop ran.", SHORT_DURATIONS
        )

    def add_gauges(self, gauges: Iterable[StateGauge]) -> None:
        """Read these gauges too whenever the metrics are asked for."""
        gauges = tuple(gauges)
        for gauge in gauges:
            kind, labels = "counter" if gauge.is_counter else "gauge", () if gauge.label is None else (gauge.label,)
            self.descriptions.append(MetricDescription(PREFIX + gauge.name, kind, labels, gauge.documentation))
        self.registry.register(StateGauges(gauges))

    def record_operation(self, record: OperationRecord) -> None:
        """Count an operation that has ended."""
        of = (self._labels.label(record), record.kind or NOT_READ)
        self._operations.add(
            (
                *of,
                "unknown" if record.outcome is None else record.outcome.value,
            )
        )
        self._operation_seconds.observe(record.duration_ms / 1000, of)
        for code in record.codes:
            self._errors.add((str(code),))
        if record.upstream_calls or record.admitted_calls:
            self._predicted_calls.add(of, record.admitted_calls)
            self._calls_of_operations.add(of, record.upstream_calls)
        if record.objects or record.admitted_objects:
            self._predicted_objects.add(of, record.admitted_objects)
            self._objects.add(of, record.objects or 0)

    def record_call(self, call: str, status: int | None, started: float) -> None:
        """Count an upstream call that has ended. `call` is the operation's id in the specification."""
        self._calls.add(
            (
                call,
                NO_STATUS if status is None else str(status),
            )
        )
        self._call_seconds.observe(self.clock() - started, (call,))

    def record_retry(self, call: str) -> None:
        """Count a call that is sent again."""
        self._retries.add((call,))

    def record_refused_call(self, call: str, code: str) -> None:
        """Count a call that is not sent, because of a pause or an open circuit breaker."""
        self._refused_calls.add(
            (
                call,
                code,
            )
        )

    def record_slot_wait(self, started: float) -> None:
        """Record how long a call waited until it could be sent."""
        self._slot_seconds.observe(self.clock() - started)

    def record_batch(self, kind: str, key_count: int) -> None:
        """Record the size of a batch of loads."""
        self._batch_keys.observe(key_count, (kind,))

    def record_cache_reads(self, keys: str, found: CacheTier, count: int) -> None:
        """Count keys by where they were found."""
        if count:
            self._cache_reads.add(
                (
                    keys,
                    found.value,
                ),
                count,
            )

    def record_stale_answers(self, keys: str, count: int) -> None:
        """Count keys that an expired entry served."""
        if count:
            self._stale_answers.add((keys,), count)

    def record_response_look_up(self, *, was_found: bool) -> None:
        """Count a look-up of a whole response."""
        self._responses.add(("yes" if was_found else "no",))

    def record_event(self, event: str) -> None:
        """Count an event that was sent to a subscriber."""
        self._events.add((event,))

    def record_lag(self, seconds: float) -> None:
        """Record how much later than due the event loop ran a timer."""
        self._loop_lag.observe(seconds)

    def record_store(self, store: str, started: float, *, has_answered: bool) -> None:
        """Record a request to Redis or the ledger."""
        self._store_seconds.observe(self.clock() - started, (store,))
        self._store_errors.add((store,), not has_answered)


def render_metrics_table(descriptions: Iterable[MetricDescription]) -> str:
    """Render the README's table of metrics, in Markdown."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for described in sorted(descriptions):
        labels = ", ".join(f"`{label}`" for label in described.labels)
        rows.append(f"| `{described.name}` | {described.kind} | {labels} | {described.documentation} |")
    return "\n".join(rows) + "\n"
