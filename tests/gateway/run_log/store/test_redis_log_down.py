"""Logs in a Redis that is full, dead, hanging or not there."""

import asyncio
import os
import signal
import time

import pytest

from gateway.run_log.store.event_log import LeaseLostError, LogPosition, LogSlice, LogUnavailableError, WriterLease
from gateway.run_log.store.redis_log import RedisLog
from tests.gateway.run_log.store.redis_logs import PATIENT_SECONDS, RUN, led, logging, text, texts, written
from tests.support.valkey import running_valkey


async def test_a_full_redis_writes_nothing_or_all() -> None:
    with running_valkey() as server:
        async with logging(server.url, lease_seconds=600) as log:
            lease, _ = await written(log, "a")
            server.command("CONFIG SET", "maxmemory", 1)
            with pytest.raises(LogUnavailableError):
                await log.append(RUN, lease, [text("b"), text("c")])
            assert texts(await log.read(RUN)) == ["a"]
            server.command("CONFIG SET", "maxmemory", 0)
            await log.append(RUN, lease, [text("b"), text("c")])
            assert texts(await log.read(RUN)) == ["a", "b", "c"]


async def unavailable_for(log: RedisLog, lease: WriterLease) -> float:
    """Tries everything; gives the longest time that anything took to say that Redis is not there."""
    longest = 0.0
    for attempt in (
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
            await attempt()
        longest = max(longest, time.monotonic() - began)
    return longest


async def test_a_redis_that_is_killed_is_missed_in_time_and_found_again() -> None:
    with running_valkey() as server:
        async with logging(server.url, deadline_seconds=0.25, lease_seconds=600) as log:
            await log.connect()
            lease, epoch = await written(log, "a")
            server.kill()
            assert await unavailable_for(log, lease) < 2
            server.start()
            async with asyncio.timeout(PATIENT_SECONDS):
                while True:
                    try:
                        reading = await log.read(RUN, LogPosition(epoch, 1))
                    except LogUnavailableError:
                        continue
                    break
            assert reading == LogSlice(None, (), is_gap=True)
            fresh = await led(log)
            assert fresh.token > lease.token
            with pytest.raises(LeaseLostError):
                await log.append(RUN, lease, [text("old")])
            await log.append(RUN, fresh, [text("new")])
            assert (await log.read(RUN)).epoch != epoch


async def test_a_redis_that_hangs_is_missed_in_time_and_found_again() -> None:
    with running_valkey() as server:
        async with logging(server.url, deadline_seconds=0.1, lease_seconds=600) as log:
            await log.connect()
            lease, _ = await written(log, "a")
            process_id = server.command("INFO", "server")["process_id"]
            os.kill(process_id, signal.SIGSTOP)
            try:
                assert await unavailable_for(log, lease) < 2
            finally:
                os.kill(process_id, signal.SIGCONT)
            async with asyncio.timeout(PATIENT_SECONDS):
                while True:
                    try:
                        reading = await log.read(RUN)
                    except LogUnavailableError:
                        continue
                    break
            # What was under way may have been carried out, but nothing is torn.
            assert texts(reading) in (["a"], ["a", "lost"])


async def test_a_redis_that_was_never_there_is_missed_in_time() -> None:
    async with logging("redis://127.0.0.1:1", deadline_seconds=0.25) as log:
        await log.connect()
        assert await unavailable_for(log, WriterLease(1, 1)) < 2
