import asyncio

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.server.health import ReadinessProbe, health_routes
from schema.contract.errors import ErrorCode, GatewayError


class Upstream:
    """Counts the questions, and answers each as it is told."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.questions = 0
        self.failure = failure
        self.let = asyncio.Event()
        self.let.set()

    async def check(self) -> GatewayError | None:
        self.questions += 1
        await self.let.wait()
        if isinstance(self.failure, GatewayError) or self.failure is None:
            return self.failure
        raise self.failure


async def test_an_upstream_that_answers_makes_the_gateway_ready() -> None:
    found = await ReadinessProbe(Upstream().check).check_readiness()
    assert found.ready
    assert found.checks == {"upstream": "ok"}


async def test_the_failed_check_is_named() -> None:
    upstream = Upstream(GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "Cannot connect."))
    found = await ReadinessProbe(upstream.check).check_readiness()
    assert not found.ready
    assert found.checks == {"upstream": "UPSTREAM_UNREACHABLE: Cannot connect."}


async def test_an_unexpected_failure_tells_its_type_only() -> None:
    found = await ReadinessProbe(Upstream(ValueError("secret")).check).check_readiness()
    assert found.checks == {"upstream": "failed: ValueError"}


async def test_an_upstream_that_is_too_slow_makes_the_gateway_unready() -> None:
    upstream = Upstream()
    upstream.let.clear()
    found = await ReadinessProbe(upstream.check, deadline_seconds=0.01).check_readiness()
    assert found.checks == {"upstream": "no answer within 0.01 s"}


async def test_an_answer_serves_for_a_moment() -> None:
    upstream, now = Upstream(), [0.0]
    probe = ReadinessProbe(upstream.check, cache_seconds=1, now=lambda: now[0])
    await probe.check_readiness()
    now[0] = 0.9
    await probe.check_readiness()
    assert upstream.questions == 1
    now[0] = 1.0
    await probe.check_readiness()
    assert upstream.questions == 2


async def test_many_ask_at_once_and_the_upstream_is_asked_once() -> None:
    upstream = Upstream()
    upstream.let.clear()
    probe = ReadinessProbe(upstream.check)
    first = asyncio.create_task(probe.check_readiness())
    others = [asyncio.create_task(probe.check_readiness()) for _ in range(9)]
    await asyncio.sleep(0)
    first.cancel()
    upstream.let.set()
    assert all(found.ready for found in await asyncio.gather(*others))
    assert upstream.questions == 1


async def test_a_stopping_gateway_is_unready_at_once() -> None:
    upstream = Upstream()
    found = await ReadinessProbe(upstream.check, is_stopping=lambda: True).check_readiness()
    assert found.checks == {"gateway": "stopping"}
    assert upstream.questions == 0


async def test_closing_ends_the_question_under_way() -> None:
    upstream = Upstream()
    upstream.let.clear()
    probe = ReadinessProbe(upstream.check)
    waiter = asyncio.create_task(probe.check_readiness())
    await asyncio.sleep(0)
    await probe.aclose()
    await asyncio.gather(waiter, return_exceptions=True)
    assert waiter.cancelled()
    await ReadinessProbe(upstream.check).aclose()


async def test_health_is_told_as_json_with_the_status_that_a_balancer_reads() -> None:
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
