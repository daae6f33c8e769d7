"""Time of the first page of a list, and of a search, among the records of many owners: `python -m tests.bench.records`.

Each owner has as many threads as every other, each with messages and runs. The figures are milliseconds of the store
as a query of GraphQL uses it, over SQLite in a file and over PostgreSQL on a unix socket. On a busy machine, the least
and the yardstick (a statement that reads one row) tell more than the median.
"""

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, TypeAlias

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.open_store import open_store
from gateway.ledger.record_store import MAX_SIGHTINGS, RecordStore
from gateway.ledger.sightings import CredentialOwner, RecordKey, SeenMessage, SeenRun, SeenThread, Sighting
from gateway.ledger.sql_store import SqlStore
from schema.contract.thread_records import (
    RecordFilter,
    RecordOrder,
    RecordPosition,
    RecordWindow,
    TokenUsage,
    WaitingRunWindow,
)
from tests.support.postgresql import running_postgresql

Read: TypeAlias = Callable[[CredentialOwner], Awaitable[object]]

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")
PAGE = RecordWindow(50)
WORDS = [f"word{number}" for number in range(2000)]


@dataclass(frozen=True, slots=True)
class Size:
    """The number of threads and owners, and of messages and runs in each thread."""

    threads: int
    owners: int
    messages: int
    runs: int


def make_owner(number: int) -> CredentialOwner:
    """Return an owner of the bench."""
    return CredentialOwner(blake2b(b"%d" % number, digest_size=32).hexdigest())


def make_sightings(size: Size, seed: int = 1) -> list[Sighting]:
    """Make all that was seen. Few words are in every second text, most are rare."""
    chance = random.Random(seed)
    sightings: list[Sighting] = []
    for number in range(size.threads):
        key = RecordKey(make_owner(number % size.owners), f"thread_{number:012d}")
        created_at_ms = chance.randrange(10**9)
        sightings.append(SeenThread(key, created_at_ms, created_at_ms))
        for each in range(size.messages):
            text = " ".join([*chance.choices(WORDS, k=20), "hello"] + ["common"] * chance.randrange(2))
            at_ms = created_at_ms + each * 1000
            sightings.append(SeenMessage(key, f"msg_{number:012d}_{each}", at_ms, at_ms, text))
        for each in range(size.runs):
            status = "requires_action" if number % 97 == 0 else "completed"
            usage, at_ms = TokenUsage(10, 5, 15, 3), created_at_ms + each * 1000
            assistant_id = f"asst_{chance.randrange(10)}"
            sightings.append(
                SeenRun(key, f"run_{number:012d}_{each}", status, at_ms, at_ms, at_ms, None, assistant_id, usage)
            )
    return sightings


async def fill(records: RecordStore, sightings: list[Sighting]) -> None:
    """Record all sightings."""
    for start in range(0, len(sightings), MAX_SIGHTINGS):
        await records.record_sightings(sightings[start : start + MAX_SIGHTINGS])


def make_reads(records: RecordStore) -> dict[str, Read]:
    """Return the reads that are timed, by their names."""

    def list_by(order: RecordOrder, window: RecordWindow = PAGE, **conditions: Any) -> Read:
        return lambda owner: records.list_records(owner, RecordFilter(**conditions), order, window)

    activity, created = RecordOrder
    middle = RecordWindow(50, RecordPosition(5 * 10**8, "thread_5"))
    return {
        "first page, by activity": list_by(activity, is_archived=False),
        "first page, by creation": list_by(created, is_archived=False),
        "first page, archived and not": list_by(activity),
        "last page": list_by(activity, RecordWindow(50, None, backwards=True), is_archived=False),
        "a page in the middle": list_by(activity, middle, is_archived=False),
        "first page of an assistant": list_by(activity, is_archived=False, assistant_id="asst_3"),
        "first page, active since": list_by(activity, is_archived=False, active_since_ms=9 * 10**8),
        "search, a rare word": list_by(activity, is_archived=False, text="word17"),
        "search, a word of all texts": list_by(activity, is_archived=False, text="hello"),
        "search, two words": list_by(activity, is_archived=False, text="common hello"),
        "search, the beginning of many words": list_by(activity, is_archived=False, text="wo"),
        "search, no match": list_by(activity, is_archived=False, text="nothing"),
        "waiting runs": lambda owner: records.list_waiting_runs(owner, WaitingRunWindow(50), 0),
        "usage": lambda owner: records.get_usage(owner, 10**8, 9 * 10**8),
    }


async def measure(reads: dict[str, Read], owners: list[CredentialOwner], repeats: int) -> None:
    """Print the times of each read, each of another owner than the last, after a round that is not measured."""
    for name, read in reads.items():
        times = []
        for number in range(2 * repeats):
            began = time.perf_counter()
            await read(owners[number % repeats % len(owners)])
            times.append((time.perf_counter() - began) * 1000)
        measured = times[repeats:]
        slow = statistics.quantiles(measured, n=20)[-1]
        figures = f"least {min(measured):6.2f} ms, median {statistics.median(measured):6.2f} ms, p95 {slow:6.2f} ms"
        sys.stdout.write(f"  {name:<36} {figures}\n")


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[SqlStore]:
    """Open a ledger."""
    store = await open_store(url, UPSTREAM)
    try:
        yield store
    finally:
        await store.aclose()


async def run(size: Size, repeats: int, databases: list[str]) -> None:
    """Fill both databases, and measure."""
    sightings = make_sightings(size)
    owners = [make_owner(number) for number in range(0, size.owners, 7)]
    with tempfile.TemporaryDirectory() as directory, running_postgresql() as postgresql:
        urls = {"sqlite": f"sqlite:///{directory}/ledger.db", "postgresql": postgresql.create_database()}
        for database in databases:
            async with opened(urls[database]) as store:
                began = time.perf_counter()
                await fill(store.records, sightings)
                sys.stdout.write(f"{database}: {len(sightings)} sightings in {time.perf_counter() - began:.0f} s\n")
                yardstick: dict[str, Read] = {"yardstick": lambda _, store=store: store.check()}  # type: ignore[misc]
                await measure(yardstick | make_reads(store.records), owners, repeats)


def main() -> None:
    """Read the arguments, and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=100_000)
    parser.add_argument("--owners", type=int, default=1000)
    parser.add_argument("--messages", type=int, default=2)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--database", action="append", choices=["sqlite", "postgresql"])
    given = parser.parse_args()
    size = Size(given.threads, given.owners, given.messages, given.runs)
    asyncio.run(run(size, given.repeats, given.database or ["sqlite", "postgresql"]))


if __name__ == "__main__":
    main()
