"""Health endpoints: `/healthz` says that the process is alive, `/readyz` whether it can serve."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from gateway.background_tasks import end_tasks
from gateway.media_types import JSON
from schema.contract.errors import GatewayError

HEALTH_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the gateway can serve, and the outcome of each check by its name."""

    ready: bool
    checks: dict[str, str] = field(default_factory=dict)


class ReadinessProbe:
    """Checks whether the upstream answers: one check at a time, whose outcome is cached briefly."""

    def __init__(
        self,
        check_upstream: Callable[[], Awaitable[GatewayError | None]],
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        deadline_seconds: float = 2.0,
        cache_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Configure the probe.

        `check_upstream` returns the error that keeps the upstream from being reached, or None. It may take
        `deadline_seconds`.
        """
        self._check_upstream = check_upstream
        self._is_stopping = is_stopping
        self._deadline_seconds = deadline_seconds
        self._cache_seconds = cache_seconds
        self._now = now
        self._latest: tuple[float, Readiness] | None = None
        self._check_in_flight: asyncio.Task[Readiness] | None = None

    async def check_readiness(self) -> Readiness:
        """Return the state, at most `cache_seconds` old. A stopping gateway is not ready, without a check."""
        if self._is_stopping():
            return Readiness(ready=False, checks={"gateway": "stopping"})
        if self._latest is not None and self._now() - self._latest[0] < self._cache_seconds:
            return self._latest[1]
        if self._check_in_flight is None or self._check_in_flight.done():
            self._check_in_flight = asyncio.create_task(self._run_check())
        return await asyncio.shield(self._check_in_flight)

    async def aclose(self) -> None:
        """Cancel the check in flight, if there is one."""
        await end_tasks(self._check_in_flight)

    async def _run_check(self) -> Readiness:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                failure = await self._check_upstream()
        except TimeoutError:
            readiness = _not_ready(f"no answer within {self._deadline_seconds:g} s")
        except Exception as error:
            readiness = _not_ready(f"failed: {type(error).__name__}")
        else:
            if failure is None:
                readiness = Readiness(ready=True, checks={"upstream": "ok"})
            else:
                readiness = _not_ready(f"{failure.code}: {failure.message}")
        self._latest = (self._now(), readiness)
        return readiness


def health_routes(probe: ReadinessProbe) -> list[web.RouteDef]:
    """Make the routes of both endpoints."""

    async def healthz(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
        return _json_response(200, {"status": "ok"})

    async def readyz(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
        readiness = await probe.check_readiness()
        status = "ready" if readiness.ready else "not ready"
        return _json_response(200 if readiness.ready else 503, {"status": status, "checks": readiness.checks})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]


def _json_response(status: int, body: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type=JSON, headers=HEALTH_HEADERS)


def _not_ready(reason: str) -> Readiness:
    return Readiness(ready=False, checks={"upstream": reason})
