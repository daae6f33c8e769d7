"""Every event log, for the contract tests: in memory, in one Redis, in a Redis cluster."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol

import pytest

from gateway.run_log.store.event_log import Draft, EventLog, LogName, LogSlice, WriterLease
from gateway.run_log.store.memory_log import MemoryLog
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_log import RedisLog
from schema.contract.keys import RunKey
from schema.contract.run_events import Provenance, TextDeltaChange

__all__ = ["begin", "logs"]  # fixtures

PATIENT_SECONDS = 10.0
"""A deadline that is long enough on a busy machine."""

SHORT_LEASE_SECONDS = 0.2
MAX_ENTRIES = 20
RUN = LogName("scope", RunKey("thread_1", "run_1"))
OTHER = LogName("scope", RunKey("thread_1", "run_2"))


@dataclass
class Logs:
    """The same logs in two processes; in memory, both are the same object."""

    here: EventLog
    there: EventLog
    pass_time: Callable[[float], None] = field(default=lambda seconds: None)
    """Advances the fake clock, if the logs have one; with Redis, time passes by itself."""


class Begin(Protocol):
    """Opens logs whose leases last `lease_seconds`."""

    async def __call__(self, lease_seconds: float, max_entries: int = MAX_ENTRIES) -> Logs: ...


@pytest.fixture(params=["memory", "redis", "cluster"])
async def begin(request: pytest.FixtureRequest) -> AsyncIterator[Begin]:
    async with AsyncExitStack() as stack:

        def redis_log(lease_seconds: float, max_entries: int) -> RedisLog:
            url = request.getfixturevalue("valkey").url if request.param == "redis" else cluster_url()
            log = RedisLog(
                RedisConnection(url, cluster=request.param == "cluster", deadline_seconds=PATIENT_SECONDS),
                lease_seconds=lease_seconds,
                max_entries=max_entries,
            )
            stack.push_async_callback(log.close)
            return log

        def cluster_url() -> str:
            url: str = request.getfixturevalue("valkey_cluster")[0].url
            return url

        async def begin(lease_seconds: float, max_entries: int = MAX_ENTRIES) -> Logs:
            if request.param != "memory":
                return Logs(redis_log(lease_seconds, max_entries), redis_log(lease_seconds, max_entries))
            now = [0.0]
            log = MemoryLog(now=lambda: now[0], lease_seconds=lease_seconds, max_entries=max_entries)
            stack.push_async_callback(log.close)

            def pass_time(seconds: float) -> None:
                now[0] += seconds

            return Logs(log, log, pass_time)

        yield begin


@pytest.fixture
async def logs(begin: Begin) -> Logs:
    """Logs with leases that do not expire."""
    return await begin(600)


def text(value: str) -> Draft:
    return Draft(Provenance.STREAMED, TextDeltaChange("msg_1", 0, value))


async def acquire_lease(log: EventLog, name: LogName = RUN, *, preempt: bool = False) -> WriterLease:
    lease = await log.acquire_lease(name, preempt=preempt)
    assert lease is not None
    return lease


def texts(reading: LogSlice) -> list[str]:
    return [entry.change.value for entry in reading.entries if isinstance(entry.change, TextDeltaChange)]


def numbers(reading: LogSlice) -> list[int]:
    return [entry.number for entry in reading.entries]


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENT_SECONDS):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.005)


async def written(log: EventLog, values: Sequence[str], name: LogName = RUN) -> WriterLease:
    lease = await acquire_lease(log, name)
    for value in values:
        await log.append(name, lease, [text(value)])
    return lease
