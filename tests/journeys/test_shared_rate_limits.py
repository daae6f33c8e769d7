"""Tests rate limits that gateways share over Redis: together while it answers, each for itself while it does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.rate_limits.shared_counters import OPEN_SECONDS
from tests.journeys.test_rate_limits import HOUR, ONE_CALL, code, left
from tests.support.emulator import Emulator, running_emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.scripted_upstream import response, scripted_upstream
from tests.support.valkey import Valkey, running_cluster, running_valkey

SETTINGS: dict[str, Any] = {"redis_deadline_seconds": 2.0, **HOUR}


@asynccontextmanager
async def two_gateways(url: str, redis_url: str, **settings: Any) -> AsyncIterator[tuple[Gateway, Gateway]]:
    shared = {**SETTINGS, "redis_url": redis_url, **settings}
    async with running_gateway(url, **shared) as one, running_gateway(url, **shared) as other:
        yield one, other


async def codes(*gateways: Gateway, times: int = 1) -> list[str | None]:
    return [await code(gateway, ONE_CALL) for _ in range(times) for gateway in gateways]


@pytest.mark.parametrize("redis", ["single", "cluster"])
async def test_two_gateways_share_a_limit(request: pytest.FixtureRequest, emulator: Emulator, redis: str) -> None:
    is_cluster = redis == "cluster"
    url = request.getfixturevalue("valkey_cluster")[0].url if is_cluster else request.getfixturevalue("valkey").url
    settings = {"gateway_rate_limit_calls": 6, "redis_cluster": is_cluster}
    async with two_gateways(emulator.url, url, **settings) as (one, other):
        assert await codes(one, other, times=3) == [None] * 6
        assert await codes(one, other) == ["RATE_LIMITED"] * 2
        assert (await left(one))["callsRemaining"] == (await left(other))["callsRemaining"] == 0
        assert emulator.counts.total == 6


async def test_what_runs_at_the_same_time_on_two_gateways_does_not_exceed_the_limit(
    emulator: Emulator, valkey: Valkey
) -> None:
    async with two_gateways(emulator.url, valkey.url, gateway_rate_limit_calls=10) as (one, other):
        assert await codes(one, other) == [None, None]
        answers = await asyncio.gather(*(code(gateway, ONE_CALL) for gateway in (one, other) for _ in range(20)))
        assert answers.count(None) >= 8
        assert set(answers) <= {None, "RATE_LIMITED"}
        # Each was predicted to make one call, and joined another's call or made it.
        assert emulator.counts.total <= 10
        assert (await left(one))["callsRemaining"] == 10 - emulator.counts.total


async def test_redis_is_killed_and_comes_back(emulator: Emulator) -> None:
    with running_valkey() as valkey:
        async with two_gateways(emulator.url, valkey.url, gateway_rate_limit_calls=4) as (one, other):
            assert await codes(one, other, times=2) == [None] * 4
            assert await codes(one, other) == ["RATE_LIMITED"] * 2
            valkey.kill()
            # Each process begins to count for itself.
            assert await codes(one, other, times=4) == [None] * 8
            assert await codes(one, other) == ["RATE_LIMITED"] * 2
            valkey.start()
            async with asyncio.timeout(20 * OPEN_SECONDS):
                while await codes(one) != [None]:  # noqa: ASYNC110 - the pause of the circuit breaker is real time
                    await asyncio.sleep(0.05)
                while await codes(other) != [None]:  # noqa: ASYNC110 - as above
                    await asyncio.sleep(0.05)
            assert await codes(one, other, times=2) == [None, None, "RATE_LIMITED", "RATE_LIMITED"]


async def test_redis_that_hangs_costs_a_deadline_and_no_operation(emulator: Emulator) -> None:
    with running_valkey() as valkey:
        settings = {"gateway_rate_limit_calls": 100, "redis_deadline_seconds": 0.05}
        async with two_gateways(emulator.url, valkey.url, **settings) as (one, other):
            valkey.command("CLIENT", "PAUSE", 60_000, "ALL")
            loop = asyncio.get_running_loop()
            started = loop.time()
            assert await codes(one, other, times=20) == [None] * 40
            assert loop.time() - started < 40 * 0.05
            valkey.kill()


async def test_redis_is_down_at_the_start() -> None:
    with running_valkey() as valkey:
        valkey.kill()
        async with (
            running_emulator() as emulator,
            two_gateways(emulator.url, valkey.url, gateway_rate_limit_calls=2) as (one, other),
        ):
            assert await codes(one, other, times=2) == [None] * 4
            assert await codes(one, other) == ["RATE_LIMITED"] * 2


async def test_a_node_of_a_cluster_dies_in_the_middle(emulator: Emulator) -> None:
    with running_cluster() as servers:
        settings = {"gateway_rate_limit_calls": 1000, "redis_cluster": True}
        async with two_gateways(emulator.url, servers[0].url, **settings) as (one, other):
            callers = [f"caller-{number}" for number in range(6)]
            for server in (None, servers[1]):
                if server is not None:
                    server.kill()
                answers = [await code(gateway, ONE_CALL, key) for key in callers for gateway in (one, other)]
                assert answers == [None] * 12


async def test_garbage_in_redis_costs_no_operation(emulator: Emulator, valkey: Valkey) -> None:
    async with two_gateways(emulator.url, valkey.url, gateway_rate_limit_calls=5) as (one, other):
        assert await codes(one) == [None]
        (name,) = (key for key in valkey.command("KEYS", "tgq:*"))
        valkey.command("DEL", name)
        valkey.command("LPUSH", name, "x")
        assert await codes(one, other) == [None, None]


async def test_invented_credentials_leave_nothing_in_redis(valkey: Valkey) -> None:
    limits = {"gateway_rate_limit_calls": 2, "gateway_rate_limit_operations": 2, "gateway_rate_limit_runs": 2}
    async with scripted_upstream() as upstream:
        upstream.default_response = lambda _: response(401, {"error": {"message": "no"}})
        async with two_gateways(upstream.url, valkey.url, **limits) as (one, other):
            for number in range(20):
                for gateway in (one, other):
                    assert await code(gateway, ONE_CALL, f"invented-{number}") == "UNAUTHENTICATED"
            assert valkey.command("KEYS", "tgq:*") == []


async def test_a_caller_that_another_gateway_let_read_is_counted_by_one_that_has_it_cached(
    emulator: Emulator, valkey: Valkey
) -> None:
    settings = {"gateway_rate_limit_operations": 5, "gateway_cache": True}
    async with two_gateways(emulator.url, valkey.url, **settings) as (one, other):
        assert await codes(one) == [None]
        assert await codes(other, times=5) == [None] * 4 + ["RATE_LIMITED"]
        assert emulator.counts.total == 1
