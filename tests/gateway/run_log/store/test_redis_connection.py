import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.run_log.store.event_log import LogUnavailableError
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_scripts import RedisScript
from tests.support.valkey import Valkey, running_valkey

ECHO = RedisScript("return {KEYS[1], ARGV[1]}")
PATIENT_SECONDS = 10.0


@asynccontextmanager
async def connected(
    url: str, *, cluster: bool = False, deadline_seconds: float = PATIENT_SECONDS
) -> AsyncIterator[RedisConnection]:
    connection = RedisConnection(url, cluster=cluster, deadline_seconds=deadline_seconds)
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_script_runs_whether_redis_knows_it_or_not(valkey: Valkey) -> None:
    valkey.command("SCRIPT FLUSH")
    async with connected(valkey.url) as connection:
        for _ in range(2):
            assert await connection.run_script(ECHO, ["a"], [1]) == [b"a", b"1"]
        assert valkey.command("SCRIPT EXISTS", ECHO.sha) == [True]
        valkey.command("SCRIPT FLUSH")
        assert await connection.run_script(ECHO, ["a"], [b"\xff"]) == [b"a", b"\xff"]


async def test_on_a_cluster_a_script_runs_where_its_keys_are(valkey_cluster: list[Valkey]) -> None:
    async with connected(valkey_cluster[0].url, cluster=True) as connection:
        await connection.connect()
        for number in range(20):
            assert await connection.run_script(ECHO, [f"a{number}"], [1]) == [b"a%d" % number, b"1"]


async def test_an_error_reply_counts_as_unavailable(valkey: Valkey) -> None:
    async with connected(valkey.url) as connection:
        with pytest.raises(LogUnavailableError, match="ResponseError"):
            await connection.run_script(RedisScript("return redis.call('GET')"), ["a"], [])
        with pytest.raises(LogUnavailableError, match="ResponseError"):
            await connection.execute_command("HGET", "a")


@pytest.mark.parametrize("cluster", [False, True])
async def test_an_absent_redis_is_unavailable_within_the_deadline(cluster: bool) -> None:
    async with connected("redis://127.0.0.1:1", cluster=cluster, deadline_seconds=0.5) as connection:
        await connection.connect()
        began = time.monotonic()
        with pytest.raises(LogUnavailableError):
            await connection.run_script(ECHO, ["a"], [1])
        assert time.monotonic() - began < PATIENT_SECONDS


async def test_a_hanging_redis_times_out_and_later_gives_the_right_reply() -> None:
    with running_valkey() as server:
        async with connected(server.url, deadline_seconds=0.1) as connection:
            await connection.connect()
            server.command("CLIENT", "PAUSE", 400, "ALL")
            with pytest.raises(LogUnavailableError, match="TimeoutError"):
                await connection.execute_command("ECHO", "old")
            async with asyncio.timeout(PATIENT_SECONDS):
                while True:
                    try:
                        assert await connection.execute_command("ECHO", "new") == b"new"
                    except LogUnavailableError:
                        continue
                    break


async def test_a_cancelled_command_leaves_no_reply_behind() -> None:
    with running_valkey() as server:
        async with connected(server.url) as connection:
            await connection.connect()
            server.command("CLIENT", "PAUSE", 300, "ALL")
            waiting = asyncio.create_task(connection.execute_command("ECHO", "old"))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            assert await connection.execute_command("ECHO", "new") == b"new"


async def test_a_closed_connection_is_unavailable(valkey: Valkey) -> None:
    async with connected(valkey.url) as connection:
        await connection.connect()
    with pytest.raises(LogUnavailableError, match="closed"):
        await connection.execute_command("PING")
    with pytest.raises(LogUnavailableError, match="closed"):
        await connection.open_pubsub()


async def test_closing_during_cluster_discovery_cancels_no_caller() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with connected(f"redis://127.0.0.1:{silent.getsockname()[1]}", cluster=True) as connection:
            waiting = asyncio.create_task(connection.execute_command("GET", "a"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            await connection.close()
            with pytest.raises(LogUnavailableError, match="closed"):
                await waiting
