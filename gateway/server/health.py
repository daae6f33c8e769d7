"""`/healthz` says that the process is alive, `/readyz` whether it can serve."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from schema.contract.errors import GatewayError

HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the gateway can serve, and for each check what it found."""

    ready: bool
    checks: dict[str, str] = field(default_factory=dict)


class ReadinessProbe:
    """Asks the upstream whether it answers: one question at a time, and each answer serves for a moment."""

    def __init__(
        self,
        check_upstream: Callable[[], Awaitable[GatewayError | None]],
        *,
        is_stopping: Callable[[], bool] = lambda: False,
        deadline_seconds: float = 2.0,
        kept_seconds: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`check_upstream` says why the upstream cannot be reached, or None; it is given `deadline_seconds`."""
        self._check_upstream = check_upstream
        self._is_stopping = is_stopping
        self._deadline_seconds = deadline_seconds
        self._kept_seconds = kept_seconds
        self._now = now
        self._latest: tuple[float, Readiness] | None = None
        self._asking: asyncio.Task[Readiness] | None = None

    async def readiness(self) -> Readiness:
        """The present state, at most `kept_seconds` old; not ready at once while the gateway stops."""
        if self._is_stopping():
            return Readiness(ready=False, checks={"gateway": "stopping"})
        if self._latest is not None and self._now() - self._latest[0] < self._kept_seconds:
            return self._latest[1]
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(self._asking)

    async def aclose(self) -> None:
        """End the question under way, if there is one."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)

    async def _ask(self) -> Readiness:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                failure = await self._check_upstream()
        except TimeoutError:
            found = _unready(f"no answer within {self._deadline_seconds:g} s")
        except Exception as error:
            found = _unready(f"failed: {type(error).__name__}")
        else:
            if failure is None:
                found = Readiness(ready=True, checks={"upstream": "ok"})
            else:
                found = _unready(f"{failure.code}: {failure.message}")
        self._latest = (self._now(), found)
        return found


def health_routes(probe: ReadinessProbe) -> list[web.RouteDef]:
    """The routes of both questions."""

    async def healthz(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
        return _answer(200, {"status": "ok"})

    async def readyz(request: web.Request) -> web.Response:  # noqa: ARG001 - a handler's signature
        found = await probe.readiness()
        status = "ready" if found.ready else "not ready"
        return _answer(200 if found.ready else 503, {"status": status, "checks": found.checks})

    return [web.get("/healthz", healthz), web.get("/readyz", readyz)]


def _answer(status: int, body: dict[str, object]) -> web.Response:
    return web.Response(body=orjson.dumps(body), status=status, content_type="application/json", headers=HEADERS)


def _unready(reason: str) -> Readiness:
    return Readiness(ready=False, checks={"upstream": reason})
