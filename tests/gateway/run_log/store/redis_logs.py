"""Helpers for the tests of logs in Redis."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.run_log.store.event_log import Draft, LogName, LogSlice, WriterLease
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_log import RedisLog
from schema.contract.keys import RunKey
from schema.contract.run_events import Provenance, TextDeltaChange

PATIENT_SECONDS = 10.0
RUN = LogName("scope", RunKey("thread_1", "run_1"))


@asynccontextmanager
async def open_log(url: str, *, deadline_seconds: float = PATIENT_SECONDS, **options: Any) -> AsyncIterator[RedisLog]:
    log = RedisLog(RedisConnection(url, deadline_seconds=deadline_seconds), **options)
    try:
        yield log
    finally:
        await log.close()


def text(value: str) -> Draft:
    return Draft(Provenance.STREAMED, TextDeltaChange("msg_1", 0, value))


def texts(log_slice: LogSlice) -> list[str]:
    return [entry.change.value for entry in log_slice.entries if isinstance(entry.change, TextDeltaChange)]


async def acquire_lease(log: RedisLog) -> WriterLease:
    lease = await log.acquire_lease(RUN)
    assert lease is not None
    return lease


async def write_texts(log: RedisLog, *values: str) -> tuple[WriterLease, str]:
    lease = await acquire_lease(log)
    await log.append(RUN, lease, [text(value) for value in values])
    epoch = (await log.read(RUN)).epoch
    assert epoch is not None
    return lease, epoch
