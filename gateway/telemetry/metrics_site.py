"""The address of the metrics: a site of its own, never the one that callers reach."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import aiohttp
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.aiohttp import make_aiohttp_handler

from gateway.telemetry.merged_metrics import MergedMetrics
from gateway.telemetry.metrics import GatewayMetrics

METRICS = web.AppKey("metrics", GatewayMetrics)
"""The metrics of the gateway, if it measures any."""

LAG_INTERVAL_SECONDS = 0.25

WORKER_SECONDS = 2.0
"""How long a worker may take to answer with its metrics. Those of a slow one are left out."""


@asynccontextmanager
async def serving_metrics(
    metrics: GatewayMetrics, host: str, port: int, *, path: str | None = None
) -> AsyncIterator[str]:
    """Serve `/metrics` in Prometheus' text format or in OpenMetrics, and measure the lag of the event loop.

    With `path`, they are served on that unix socket instead of the address.

    Yields:
        The URL, with the port that was taken, or the path.

    Raises:
        OSError: The address cannot be used.
    """
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(metrics.registry))
    measuring = asyncio.create_task(measure_lag(metrics.record_lag))
    try:
        async with _serving(app, host, port, path) as url:
            yield url
    finally:
        measuring.cancel()
        await asyncio.gather(measuring, return_exceptions=True)


@asynccontextmanager
async def serving_merged_metrics(paths: Sequence[str], host: str, port: int) -> AsyncIterator[str]:
    """Serve `/metrics` of several workers as one, each of which serves its own on a unix socket.

    Yields:
        The URL, with the port that was taken.

    Raises:
        OSError: The address cannot be used.
    """

    async def handle(_: web.Request) -> web.Response:
        texts = await asyncio.gather(*map(_read_text, paths))
        # A collector has all of a registry that the encoder needs.
        body = generate_latest(cast("CollectorRegistry", MergedMetrics(texts)))
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/metrics", handle)
    async with _serving(app, host, port) as url:
        yield url


async def _read_text(path: str) -> str | None:
    """Read the metrics of a worker. Returns None if it does not answer: it may have just ended."""
    timeout = aiohttp.ClientTimeout(total=WORKER_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(path), timeout=timeout) as session,
            session.get("http://worker/metrics") as response,
        ):
            return await response.text()
    except (aiohttp.ClientError, OSError, TimeoutError):
        return None


@asynccontextmanager
async def _serving(app: web.Application, host: str, port: int, path: str | None = None) -> AsyncIterator[str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        if path is not None:
            await web.UnixSite(runner, path).start()
            yield path
            return
        await web.TCPSite(runner, host, port).start()
        bound_host, bound_port, *_ = runner.addresses[0]
        shown = f"[{bound_host}]" if ":" in bound_host else bound_host
        yield f"http://{shown}:{bound_port}/metrics"
    finally:
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
