"""The metrics of several workers as those of one gateway: their samples added up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

_PROCESS_PREFIX = "process_"
_NOT_ADDED = {"threads_gateway_build_info": max}
_CREATED_SUFFIX = "_created"

WORKER_LABEL = "worker"
"""The label of what belongs to one process alone: its memory, its processor time, its files."""


class MergedMetrics(Collector):
    """The samples of all workers, from the text that each of them serves. None stands for a worker that did not."""

    def __init__(self, texts: Sequence[str | None]) -> None:
        """Merge the text of each worker, in the order of their indexes."""
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        merged: dict[str, Metric] = {}
        numbers: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for index, text in enumerate(self._texts):
            for family in text_string_to_metric_families(text or ""):
                merged.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                of_family = numbers.setdefault(family.name, {})
                own = {WORKER_LABEL: str(index)} if family.name.startswith(_PROCESS_PREFIX) else {}
                for sample in family.samples:
                    key = (sample.name, tuple({**sample.labels, **own}.items()))
                    of_family[key] = _combine(family.name, of_family.get(key), sample.value)
        for name, metric in merged.items():
            for (sample_name, labels), number in numbers[name].items():
                metric.add_sample(sample_name, dict(labels), number)
            yield metric


def _combine(family: str, present: float | None, number: float) -> float:
    if present is None:
        return number
    if family in _NOT_ADDED:
        return _NOT_ADDED[family](present, number)
    return min(present, number) if family.endswith(_CREATED_SUFFIX) else present + number
