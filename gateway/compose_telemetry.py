"""The metrics and traces of a gateway: whether there are any, and what is read from the state of its parts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from aiohttp import web

from gateway.config import Settings
from gateway.run_log.hub import RunLogHub
from gateway.server.endpoint import GraphQLEndpoint
from gateway.telemetry.metrics import GatewayMetrics, StateGauge
from gateway.telemetry.metrics_site import METRICS
from gateway.telemetry.operation_observer import OperationObserver
from gateway.telemetry.tracing import Tracing, is_tracing_configured, make_provider
from gateway.upstream.connection_pool import UpstreamPool


def make_observer(settings: Settings) -> OperationObserver:
    """Make the observer: with metrics if the settings name a port, with traces if OpenTelemetry's own variables say so.

    Raises:
        TracingSettingsError: They ask for what this program cannot do.
    """
    metrics = None if settings.gateway_metrics_port is None else GatewayMetrics()
    return OperationObserver(metrics, Tracing(make_provider()) if is_tracing_configured() else None)


def list_state_gauges(endpoint: GraphQLEndpoint, hub: RunLogHub, client: UpstreamPool) -> list[StateGauge]:
    """List what is read whenever the metrics are asked for."""
    connections = endpoint.connections

    def count_upstream_readers() -> Iterable[tuple[str, float]]:
        counts = hub.count_followed()
        return ("stream", counts.streams), ("poll", counts.polls)

    def count_resumes() -> Iterable[tuple[str, float]]:
        counts = hub.count_followed()
        return ("complete", counts.complete_resumes), ("expired", counts.expired_resumes)

    return [
        StateGauge("operations_in_flight", "Queries and mutations that run now.", endpoint.operation_tasks.__len__),
        StateGauge("live_connections", "WebSockets and event streams that are open.", connections.__len__),
        StateGauge("subscriptions", "Subscriptions of all clients.", connections.fan_out.__len__),
        StateGauge("run_logs", "Logs of runs and threads that are followed.", lambda: hub.count_followed().logs),
        StateGauge("run_log_readers", "Readers of the logs that are followed.", lambda: hub.count_followed().readers),
        StateGauge(
            "upstream_readers",
            "Logs that this process writes, by how it reads the upstream.",
            count_upstream_readers,
            "by",
        ),
        StateGauge(
            "run_log_resumes",
            "Readers that began after a cursor: `complete`, or `expired` if they missed something.",
            count_resumes,
            "outcome",
            is_counter=True,
        ),
        StateGauge(
            "upstream_breakers_open",
            "Calls whose circuit breaker is open.",
            lambda: [(call, 1) for call in client.admission.list_open_breakers()],
            "call",
        ),
    ]


def attach_observer(app: web.Application, observer: OperationObserver, gauges: Iterable[StateGauge]) -> None:
    """Let an application read these gauges for its metrics, and export the rest of its traces when it ends."""
    metrics, tracing = observer.metrics, observer.tracing
    if metrics is not None:
        metrics.add_gauges(gauges)
        app[METRICS] = metrics
    if tracing is not None:

        async def shut_down(_: web.Application) -> None:
            await asyncio.to_thread(tracing.shutdown)

        app.on_cleanup.append(shut_down)
