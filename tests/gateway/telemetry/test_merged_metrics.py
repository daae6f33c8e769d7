"""Tests that the samples of several workers are added up, whatever their kind."""

from typing import cast

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from gateway.telemetry.merged_metrics import MergedMetrics


def worker(number: int) -> str:
    registry = CollectorRegistry()
    Counter("threads_gateway_calls", "Calls.", ("call",), registry=registry).labels("getRun").inc(number)
    Gauge("threads_gateway_sockets", "Sockets.", registry=registry).set(10 * number)
    Gauge("threads_gateway_build_info", "Build.", registry=registry).set(1)
    Gauge("process_open_fds", "Files.", registry=registry).set(number)
    seconds = Histogram("threads_gateway_seconds", "Time.", buckets=(1, 2), registry=registry)
    for _ in range(number):
        seconds.observe(1.5)
    return generate_latest(registry).decode()


def merge(*texts: str | None) -> dict[tuple[str, str], float]:
    text = generate_latest(cast("CollectorRegistry", MergedMetrics(texts))).decode()
    return {
        (sample.name, ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_gauges_and_histograms_are_sums() -> None:
    merged = merge(worker(2), worker(3))
    assert merged["threads_gateway_calls_total", "call=getRun"] == 5
    assert merged["threads_gateway_sockets", ""] == 50
    assert merged["threads_gateway_seconds_count", ""] == 5
    assert merged["threads_gateway_seconds_sum", ""] == 7.5
    assert merged["threads_gateway_seconds_bucket", "le=1.0"] == 0
    assert merged["threads_gateway_seconds_bucket", "le=2.0"] == 5


def test_what_belongs_to_a_process_names_its_worker_and_the_build_is_one() -> None:
    merged = merge(worker(2), worker(3))
    assert merged["process_open_fds", "worker=0"] == 2
    assert merged["process_open_fds", "worker=1"] == 3
    assert merged["threads_gateway_build_info", ""] == 1


def test_a_worker_that_does_not_answer_is_left_out() -> None:
    merged = merge(None, worker(3))
    assert merged["threads_gateway_calls_total", "call=getRun"] == 3
    assert ("process_open_fds", "worker=0") not in merged
    assert merged["process_open_fds", "worker=1"] == 3
