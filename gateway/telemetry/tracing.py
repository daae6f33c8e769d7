"""Traces by OpenTelemetry: a span for each operation, and one for each call of the upstream.

Off until the standard variables name an exporter. No span holds an argument, a text or the id of a person or object.
Source: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/,
https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache

from gateway.telemetry.operation_record import OperationRecord, Outcome

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span, SpanContext

MAX_RUNS = 10_000
"""Most runs whose creating operation is remembered."""

TRACEPARENT = "traceparent"
TRACESTATE = "tracestate"

_EXPORTERS = ("otlp", "none")
_PROTOCOLS = ("http/protobuf",)


class TracingSettingsError(ValueError):
    """The standard variables have a value that this program does not support. The message names the expected one."""


def is_tracing_configured(environment: Mapping[str, str] = os.environ) -> bool:
    """Tell whether the standard variables name an exporter.

    Raises:
        TracingSettingsError: They name one that this program does not have.
    """
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip()
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or exporter == "none":
        return False
    has_endpoint = any(
        environment.get(name) for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    if exporter and exporter not in _EXPORTERS:
        raise TracingSettingsError(f"OTEL_TRACES_EXPORTER: expected {' or '.join(_EXPORTERS)}, got {exporter[:80]!r}")
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        protocol = environment.get(name, "").strip()
        if (has_endpoint or exporter) and protocol and protocol not in _PROTOCOLS:
            raise TracingSettingsError(f"{name}: expected {_PROTOCOLS[0]}, got {protocol[:80]!r}")
    return has_endpoint or exporter == "otlp"


def make_provider() -> TracerProvider:
    """Make the provider that exports spans in the background, as the standard variables say.

    Raises:
        TracingSettingsError: The packages are missing.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - optional
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - optional
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - optional
    except ImportError:
        raise TracingSettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: expected the packages of traces, got an installation without: "
            "pip install 'threads-gateway[traces]'"
        ) from None
    name = os.environ.get("OTEL_SERVICE_NAME") or "threads-gateway"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class Tracing:
    """Starts and ends the spans of one process. `provider` is shut down by `shutdown`, which exports what is left."""

    def __init__(self, provider: TracerProvider, *, max_runs: int = MAX_RUNS) -> None:
        """Make spans with a provider."""
        from opentelemetry import trace  # noqa: PLC0415 - optional
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415 - optional

        self._trace = trace
        self._provider = provider
        self._tracer = provider.get_tracer("threads-gateway")
        self._propagator = TraceContextTextMapPropagator()
        self._runs: LRUCache[str, SpanContext] = LRUCache(max_runs)

    def start_operation(self, record: OperationRecord, headers: Mapping[str, Any]) -> None:
        """Start the span of an operation, below that of its client if `headers` hold a `traceparent`.

        What runs while the record is the current one, makes its spans below it.
        """
        carrier = {name: str(headers[name]) for name in (TRACEPARENT, TRACESTATE) if name in headers}
        span = self._tracer.start_span("operation", self._propagator.extract(carrier), kind=self._trace.SpanKind.SERVER)
        record.span = span
        record.enter_span = partial(self._enter, span)

    def end_operation(self, record: OperationRecord) -> None:
        """End the span of an operation."""
        span: Span | None = record.span
        if span is None:
            return
        kind = record.kind or "operation"
        span.update_name(kind if record.operation_name is None else f"{kind} {record.operation_name}")
        span.set_attribute("graphql.operation.type", kind)
        if record.operation_name is not None:
            span.set_attribute("graphql.operation.name", record.operation_name)
        span.set_attribute("threads_gateway.request_id", record.request_id)
        span.set_attribute("threads_gateway.transport", record.transport.value)
        span.set_attribute("threads_gateway.upstream_calls", record.upstream_calls)
        if record.outcome is not None:
            span.set_attribute("threads_gateway.outcome", record.outcome.value)
        if record.codes:
            span.set_attribute("threads_gateway.codes", [str(code) for code in record.codes])
        if record.outcome in {Outcome.ERRORS, Outcome.REFUSED}:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    def start_call(self, call: str, method: str) -> tuple[Span, dict[str, str]]:
        """Start the span of an upstream call, below the current span. Returns it with the headers that carry it on."""
        span = self._tracer.start_span(
            call, kind=self._trace.SpanKind.CLIENT, attributes={"http.request.method": method}
        )
        headers: dict[str, str] = {}
        self._propagator.inject(headers, self._trace.set_span_in_context(span))
        return span, headers

    def end_call(self, span: Span, status: int | None) -> None:
        """End the span of an upstream call. `status` is None if no answer came."""
        if status is not None:
            span.set_attribute("http.response.status_code", status)
        if status is None or status >= 400:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    def remember_run(self, run_id: str) -> None:
        """Remember that the current operation created a run, so that the run's events are linked to it."""
        context = self._trace.get_current_span().get_span_context()
        if context.is_valid:
            self._runs[run_id] = context

    @contextmanager
    def event_span(self, event: str, run_id: str | None) -> Iterator[None]:
        """Make the span of an event that is shown, linked to the operation that created its run if it is known."""
        creator = None if run_id is None else self._runs.get(run_id)
        links = [] if creator is None else [self._trace.Link(creator)]
        no_parent = self._trace.set_span_in_context(self._trace.INVALID_SPAN)
        span = self._tracer.start_span(f"event {event}", no_parent, links=links)
        try:
            with self._enter(span):
                yield
        finally:
            span.end()

    def _enter(self, span: Span) -> AbstractContextManager[object]:
        return self._trace.use_span(span, record_exception=False, set_status_on_exception=False)

    def shutdown(self) -> None:
        """Export what is left. It may wait for the exporter, so that it is called in a thread."""
        self._provider.shutdown()
