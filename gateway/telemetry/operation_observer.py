"""The observer of operations: it counts each one that ends, and traces it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from gateway.telemetry.metrics import GatewayMetrics
from gateway.telemetry.operation_record import OperationRecord
from gateway.telemetry.tracing import Tracing
from schema.contract.run_events import (
    FaultChange,
    MessageCreatedChange,
    MessageFinishedChange,
    RunEvent,
    SnapshotChange,
    StatusChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)


class OperationObserver:
    """Counts and traces operations, as far as the gateway has metrics and traces."""

    def __init__(self, metrics: GatewayMetrics | None = None, tracing: Tracing | None = None) -> None:
        """Observe with these, or with nothing."""
        self.metrics = metrics
        self.tracing = tracing

    def begin(self, record: OperationRecord, headers: Mapping[str, Any]) -> None:
        """Observe an operation from now on. `headers` may name the trace of its client."""
        if self.tracing is not None:
            self.tracing.start_operation(record, headers)
        if self.tracing is not None or self.metrics is not None:
            record.on_end = self._end

    @asynccontextmanager
    async def show_event(self, event: RunEvent) -> AsyncIterator[None]:
        """Trace how an event is shown. Pieces of text and of arguments have no span: a run has hundreds of them."""
        if self.tracing is None or isinstance(event.change, TextDeltaChange | ToolCallDeltaChange):
            yield
            return
        with self.tracing.event_span(event_label(event), run_id_from(event)):
            yield

    def _end(self, record: OperationRecord) -> None:
        if self.metrics is not None:
            self.metrics.record_operation(record)
        if self.tracing is not None:
            self.tracing.end_operation(record)


def event_label(event: RunEvent) -> str:
    """Return the name of an event in metrics and traces: its kind, and for a fault its code."""
    change = event.change
    return change.code if isinstance(change, FaultChange) else type(change).__name__.removesuffix("Change")


def run_id_from(event: RunEvent) -> str | None:
    """Return the upstream id of the run that an event tells of, if it names one."""
    match event.change:
        case SnapshotChange(run=run) | StatusChange(run=run):
            return run.id
        case MessageCreatedChange(message=message) | MessageFinishedChange(message=message):
            return message.run_id
        case _:
            return None
