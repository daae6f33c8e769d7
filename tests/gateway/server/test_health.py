import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.server.health import ReadinessProbe, health_routes
from schema.contract.errors import ErrorCode, GatewayError


class Upstream:
    """An upstream check that counts its calls, waits until it is released, and has a given outcome."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.calls = 0
        self.failure = failure
        self.released = asyncio.Event()
        self.released.set()

    async def check(self) -> GatewayError | None:
        self.calls += 1
        await self.released.wait()
        if isinstance(self.failure, GatewayError) or self.failure is None:
            return self.failure
        raise self.failure


async def test_an_upstream_that_answers_makes_the_gateway_ready() -> None:
    readiness = await ReadinessProbe(Upstream().check).check_readiness()
    assert readiness.ready
    assert readiness.checks == {"upstream": "ok"}


async def test_the_failed_check_is_named() -> None:
    upstream = Upstream(GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "Cannot connect."))
    readiness = await ReadinessProbe(upstream.check).check_readiness()
    assert not readiness.ready
    assert readiness.checks == {"upstream": "UPSTREAM_UNREACHABLE: Cannot connect."}


@pytest.mark.parametrize("needs_ledger", [True, False])
async def test_a_ledger_that_is_away_counts_where_it_is_needed(needs_ledger: bool) -> None:
    async def answers_nothing() -> bool:
        return False

    probe = ReadinessProbe(Upstream().check, check_ledger=answers_nothing, needs_ledger=needs_ledger)
    readiness = await probe.check_readiness()
    assert readiness.ready is not needs_ledger
    assert readiness.checks == {"upstream": "ok", "ledger": "does not answer"}


@pytest.mark.parametrize(("answer", "checks"), [(True, {"upstream": "ok", "ledger": "ok"}), (None, {"upstream": "ok"})])
async def test_a_ledger_that_answers_is_named(answer: bool | None, checks: dict[str, str]) -> None:
    async def check() -> bool | None:
        return answer

    readiness = await ReadinessProbe(Upstream().check, check_ledger=check, needs_ledger=True).check_readiness()
    assert (readiness.ready, readiness.checks) == (True, checks)


async def test_a_check_of_the_ledger_that_fails_or_hangs_is_no_answer() -> None:
    async def fail() -> bool:
        raise ValueError("secret")

    async def hang() -> bool:
        return await asyncio.Event().wait()

    for check in (fail, hang):
        probe = ReadinessProbe(Upstream().check, check_ledger=check, needs_ledger=True, deadline_seconds=0.01)
        assert (await probe.check_readiness()).checks == {"upstream": "ok", "ledger": "does not answer"}


async def test_an_unexpected_exception_shows_only_its_type() -> None:
    readiness = await ReadinessProbe(Upstream(ValueError("secret")).check).check_readiness()
    assert readiness.checks == {"upstream": "failed: ValueError"}


async def test_an_upstream_that_is_too_slow_makes_the_gateway_unready() -> None:
    upstream = Upstream()
    upstream.released.clear()
    readiness = await ReadinessProbe(upstream.check, deadline_seconds=0.01).check_readiness()
    assert readiness.checks == {"upstream": "no answer within 0.01 s"}


async def test_the_outcome_is_cached_briefly() -> None:
    upstream, now = Upstream(), [0.0]
    probe = ReadinessProbe(upstream.check, cache_seconds=1, now=lambda: now[0])
    await probe.check_readiness()
    now[0] = 0.9
    await probe.check_readiness()
    assert upstream.calls == 1
    now[0] = 1.0
    await probe.check_readiness()
    assert upstream.calls == 2


async def test_checks_at_the_same_time_share_one_upstream_call() -> None:
    upstream = Upstream()
    upstream.released.clear()
    probe = ReadinessProbe(upstream.check)
    first = asyncio.create_task(probe.check_readiness())
    others = [asyncio.create_task(probe.check_readiness()) for _ in range(9)]
    await asyncio.sleep(0)
    first.cancel()
    upstream.released.set()
    assert all(readiness.ready for readiness in await asyncio.gather(*others))
    assert upstream.calls == 1


async def test_a_stopping_gateway_is_unready_at_once() -> None:
    upstream = Upstream()
    readiness = await ReadinessProbe(upstream.check, is_stopping=lambda: True).check_readiness()
    assert readiness.checks == {"gateway": "stopping"}
    assert upstream.calls == 0


async def test_closing_cancels_the_check_in_flight() -> None:
    upstream = Upstream()
    upstream.released.clear()
    probe = ReadinessProbe(upstream.check)
    waiter = asyncio.create_task(probe.check_readiness())
    await asyncio.sleep(0)
    await probe.aclose()
    await asyncio.gather(waiter, return_exceptions=True)
    assert waiter.cancelled()
    await ReadinessProbe(upstream.check).aclose()


async def test_health_is_json_with_a_status_for_load_balancers() -> None:
    upstream = Upstream(GatewayError(ErrorCode.UPSTREAM_FAILED, "Bad gateway."))
    app = web.Application()
    app.add_routes(health_routes(ReadinessProbe(upstream.check, cache_seconds=0)))
    async with TestClient(TestServer(app)) as client:
        alive = await client.get("/healthz")
        assert (alive.status, await alive.json()) == (200, {"status": "ok"})
        unready = await client.get("/readyz")
        assert unready.status == 503
        assert await unready.json() == {
            "status": "not ready",
            "checks": {"upstream": "UPSTREAM_FAILED: Bad gateway."},
        }
        upstream.failure = None
        ready = await client.get("/readyz")
        assert (ready.status, await ready.json()) == (200, {"status": "ready", "checks": {"upstream": "ok"}})
        assert ready.headers["Cache-Control"] == "no-store"
