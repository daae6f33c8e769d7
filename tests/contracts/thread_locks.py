"""Every storage of the leases on conversations, each as two processes see it, with a way to let time pass."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.emulator.clock import ManualClock
from gateway.ledger.ledger_database import connect_database
from gateway.ledger.memory_kept_records import MemoryLocks
from gateway.ledger.open_store import PATIENT_SECONDS, migrate
from gateway.ledger.shared_locks import SharedLocks
from gateway.ledger.sql_locks import SqlLocks
from gateway.redis.client import RedisClient
from gateway.run_log.store.redis_connection import RedisConnection
from gateway.run_log.store.redis_thread_locks import RedisLocks
from gateway.upstream.responses.kept_records import ThreadLocks

STORAGES = ("memory", "sqlite", "postgresql", "redis", "cluster", "redis before a ledger")
UPSTREAM = "upstream"


@dataclass(frozen=True)
class LockWorld:
    """One storage. `other_upstream` are the locks of another one there, `let_pass` moves its time on by seconds."""

    here: ThreadLocks
    there: ThreadLocks
    other_upstream: ThreadLocks
    let_pass: Callable[[float], Awaitable[None]]


def memory_world() -> LockWorld:
    clock = ManualClock()
    locks = MemoryLocks(clock.now)

    async def let_pass(seconds: float) -> None:
        clock.advance(seconds)

    return LockWorld(locks, locks, MemoryLocks(clock.now), let_pass)


@asynccontextmanager
async def database_world(url: str) -> AsyncIterator[LockWorld]:
    clock = ManualClock()
    await migrate(url)
    databases = [connect_database(url, operation_seconds=PATIENT_SECONDS) for _ in range(2)]

    async def let_pass(seconds: float) -> None:
        clock.advance(seconds)

    try:
        here, there = (SqlLocks(database, UPSTREAM, clock.now) for database in databases)
        yield LockWorld(here, there, SqlLocks(databases[0], "other", clock.now), let_pass)
    finally:
        for database in databases:
            await database.aclose()


@asynccontextmanager
async def redis_world(url: str, *, cluster: bool, ledger: MemoryLocks | None = None) -> AsyncIterator[LockWorld]:
    """Use a server, whose keys are made older in place of waiting: it knows their age by the rest of their life."""
    # The deadline is long, so that a busy machine does not make Redis seem to be down.
    connections = [RedisConnection(url, cluster=cluster, deadline_seconds=20) for _ in range(2)]
    client = RedisClient(url, cluster=cluster)
    await client.ready()

    async def let_pass(seconds: float) -> None:
        async for key in client.commands.scan_iter("*"):
            left = await client.commands.pttl(key) - 1000 * seconds
            await (client.commands.pexpire(key, int(left)) if left > 0 else client.commands.delete(key))

    try:
        locks = [RedisLocks(connection, UPSTREAM) for connection in connections]
        here, there = locks if ledger is None else [SharedLocks(each, ledger) for each in locks]
        yield LockWorld(here, there, RedisLocks(connections[0], "other"), let_pass)
    finally:
        await client.close()
        for connection in connections:
            await connection.close()
