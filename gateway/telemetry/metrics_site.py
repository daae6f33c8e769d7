"""The address of the metrics: a site of its own, never the one that callers reach."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client.aiohttp import make_aiohttp_handler

from gateway.telemetry.metrics import GatewayMetrics

METRICS = web.AppKey("metrics", GatewayMetrics)
"""The metrics of the gateway, if it measures any."""

LAG_INTERVAL_SECONDS = 0.25


@asynccontextmanager
async def serving_metrics(metrics: GatewayMetrics, host: str, port: int) -> AsyncIterator[str]:
    """Serve `/metrics` in Prometheus' text format or in OpenMetrics, and measure the lag of the event loop.

    Yields:
        The URL, with the port that was taken.

    Raises:
        OSError: The address cannot be used.
    """
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(metrics.registry))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    measuring = asyncio.create_task(measure_lag(metrics.record_lag))
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound_host, bound_port, *_ = runner.addresses[0]
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        yield f"http://{shown}:{bound_port}/metrics"
    finally:
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)
        await runner.cleanup()


async def measure_lag(
    record_lag: Callable[[float], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Record, again and again, how much later than due the event loop runs a timer. Ends when it is cancelled."""
    while True:
        due = clock() + LAG_INTERVAL_SECONDS
        await sleep(LAG_INTERVAL_SECONDS)
        record_lag(max(0.0, clock() - due))
