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

OK = "ok"

HEALTH_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the gateway can serve, and the outcome of each check by its name."""

    ready: bool
    checks: dict[str, str] = field(default_factory=dict)


class ReadinessProbe:
    """Checks whether upstream and ledger answer: one check at a time, whose outcome is cached briefly."""

    def __init__(
        self,
        check_upstream: Callable[[], Awaitable[GatewayError | None]],
        *,
        check_ledger: Callable[[], Awaitable[bool | None]] | None = None,
        needs_ledger: bool = False,
        is_stopping: Callable[[], bool] = lambda: False,
        deadline_seconds: float = 2.0,
        cache_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Configure the probe.

        `check_upstream` returns the error that keeps the upstream from being reached, or None. It may take
        `deadline_seconds`. `check_ledger` tells whether the ledger answers, or None if there is none; `needs_ledger`
        says that the gateway cannot serve without.
        """
        self._check_upstream = check_upstream
        self._check_ledger = check_ledger
        self._needs_ledger = needs_ledger
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
        upstream, ledger_answers = await asyncio.gather(self._describe_upstream(), self._find_ledger())
        checks = {"upstream": upstream}
        if ledger_answers is not None:
            checks["ledger"] = OK if ledger_answers else "does not answer"
        ready = upstream == OK and (ledger_answers is not False or not self._needs_ledger)
        readiness = Readiness(ready, checks)
        self._latest = (self._now(), readiness)
        return readiness

    async def _describe_upstream(self) -> str:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                failure = await self._check_upstream()
        except TimeoutError:
            return f"no answer within {self._deadline_seconds:g} s"
        except Exception as error:
            return f"failed: {type(error).__name__}"
        return OK if failure is None else f"{failure.code}: {failure.message}"

    async def _find_ledger(self) -> bool | None:
        """Tell whether the ledger answers. None if there is none."""
        if self._check_ledger is None:
            return None
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._check_ledger()
        except Exception:
            return False


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
