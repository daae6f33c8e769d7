"""Logs in a Redis that is full, killed, hanging or absent."""

import asyncio
import os
import signal
import time

import pytest

from gateway.run_log.store.event_log import LeaseLostError, LogPosition, LogSlice, LogUnavailableError, WriterLease
from gateway.run_log.store.redis_log import RedisLog
from tests.gateway.run_log.store.redis_logs import (
    PATIENT_SECONDS,
    RUN,
    acquire_lease,
    open_log,
    text,
    texts,
    write_texts,
)
from tests.support.valkey import running_valkey


async def test_a_full_redis_appends_all_or_none() -> None:
    with running_valkey() as server:
        async with open_log(server.url, lease_seconds=600) as log:
            lease, _ = await write_texts(log, "a")
            server.command("CONFIG SET", "maxmemory", 1)
            with pytest.raises(LogUnavailableError):
                await log.append(RUN, lease, [text("b"), text("c")])
            assert texts(await log.read(RUN)) == ["a"]
            server.command("CONFIG SET", "maxmemory", 0)
            await log.append(RUN, lease, [text("b"), text("c")])
            assert texts(await log.read(RUN)) == ["a", "b", "c"]


async def unavailable_for(log: RedisLog, lease: WriterLease) -> float:
    """Try every method. Returns the longest time in seconds until one raised `LogUnavailableError`."""
    longest = 0.0
    for call in (
        lambda: log.read(RUN),
        lambda: log.append(RUN, lease, [text("lost")]),
        lambda: log.acquire_lease(RUN),
        lambda: log.renew_lease(RUN, lease),
        lambda: log.release_lease(RUN, lease),
        lambda: log.request_details(RUN),
        lambda: log.are_details_requested(RUN),
    ):
        began = time.monotonic()
        with pytest.raises(LogUnavailableError):
            await call()
        longest = max(longest, time.monotonic() - began)
    return longest


async def test_a_killed_redis_is_noticed_in_time_and_used_again() -> None:
    with running_valkey() as server:
        async with open_log(server.url, deadline_seconds=0.25, lease_seconds=600) as log:
            await log.connect()
            lease, epoch = await write_texts(log, "a")
            server.kill()
            assert await unavailable_for(log, lease) < 2
            server.start()
            async with asyncio.timeout(PATIENT_SECONDS):
                while True:
                    try:
                        log_slice = await log.read(RUN, LogPosition(epoch, 1))
                    except LogUnavailableError:
                        continue
                    break
            assert log_slice == LogSlice(None, (), is_gap=True)
            fresh = await acquire_lease(log)
            assert fresh.token > lease.token
            with pytest.raises(LeaseLostError):
                await log.append(RUN, lease, [text("old")])
            await log.append(RUN, fresh, [text("new")])
            assert (await log.read(RUN)).epoch != epoch


async def test_a_hanging_redis_is_noticed_in_time_and_used_again() -> None:
    with running_valkey() as server:
        async with open_log(server.url, deadline_seconds=0.1, lease_seconds=600) as log:
            await log.connect()
            lease, _ = await write_texts(log, "a")
            process_id = server.command("INFO", "server")["process_id"]
            os.kill(process_id, signal.SIGSTOP)
            try:
                assert await unavailable_for(log, lease) < 2
            finally:
                os.kill(process_id, signal.SIGCONT)
            async with asyncio.timeout(PATIENT_SECONDS):
                while True:
                    try:
                        log_slice = await log.read(RUN)
                    except LogUnavailableError:
                        continue
                    break
            # A command in flight may have been carried out, but never in part.
            assert texts(log_slice) in (["a"], ["a", "lost"])


async def test_an_absent_redis_is_noticed_in_time() -> None:
    async with open_log("redis://127.0.0.1:1", deadline_seconds=0.25) as log:
        await log.connect()
        assert await unavailable_for(log, WriterLease(1, 1)) < 2
