"""Runs `serve` for minutes under mixed load, while all that it depends on is killed and started again in turn.

    python -m tests.bench.soak [--minutes 30] [--workers 2] [--people 12] [--pause 20] [--log FILE]
    python -m tests.bench.soak --throughput

Signed-in people chat and follow their runs over WebSockets and event streams, read, and send and load files, while
others connect and leave. Valkey, PostgreSQL and the emulator (the upstream) are killed in turn, and are back three
seconds later. At the end it says what was lost: requests without a response, questions that are stored twice, or not
though they were acknowledged, runs that were not followed to their end, and texts that differ from the message. Memory,
open files and the gateway's own counts are sampled; their slope is that of the second half. `--throughput` compares the
requests a second of one and of two workers, without faults. Linux only.
"""

import argparse
import asyncio
import contextlib
import json
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from gateway.compose import DEMO_KEY
from tests.bench.reads import processor_seconds
from tests.bench.soak_clients import LIST, Counts, Person
from tests.bench.subscribers import resident_bytes
from tests.journeys.test_metrics import Scrape
from tests.journeys.test_workers import worker_pids
from tests.support.gateway import running_command, url_in
from tests.support.ports import free_port
from tests.support.postgresql import PostgreSQL, running_postgresql
from tests.support.signing_keys import SigningKey, make_signing_key
from tests.support.valkey import Valkey, running_valkey

ISSUER, AUDIENCE = "https://issuer.test", "threads-gateway"
OUTAGE_SECONDS = 3.0
SAMPLE_SECONDS = 5.0
SETTLE_SECONDS = 15.0
LEAVING_CLIENTS = 4
BLOCK_SECONDS = 10.0
GAUGES = ("operations_in_flight", "live_connections", "subscriptions", "run_logs", "upstream_readers")


class KilledEmulator:
    """An emulator that keeps its objects in a file, on a port of its own, so that it can be killed and come back."""

    def __init__(self, directory: Path) -> None:
        self.database = directory / "emulator.db"
        self.port = free_port()
        self._stack = ExitStack()
        self._process: Any = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        arguments = ("--port", str(self.port), "--database", str(self.database))
        running = running_command("emulator", *arguments, GATEWAY_LOG_LEVEL="error")
        self._process, _ = self._stack.enter_context(running)

    def kill(self) -> None:
        self._process.kill()
        self._stack.close()


@dataclass
class Samples:
    """The memory, the open files and the gauges of all workers, by minutes."""

    minutes: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, minutes: float, values: Mapping[str, float]) -> None:
        self.minutes.append(minutes)
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def slope(self, name: str) -> float:
        """Return the growth in a minute over the second half."""
        half = len(self.minutes) // 2
        minutes, values = self.minutes[half:], self.values[name][half:]
        return statistics.linear_regression(minutes, values).slope if len(minutes) > 2 else 0.0


@dataclass
class Place:
    """A gateway with all that it depends on."""

    url: str
    metrics_url: str
    pids: Callable[[], list[int]]
    faults: Mapping[str, Any]
    emulator: KilledEmulator
    assistant_id: str
    log: Path
    authorization: Sequence[str] = field(repr=False)

    async def sample(self, session: aiohttp.ClientSession) -> dict[str, float]:
        pids = self.pids()
        async with session.get(f"{self.metrics_url}/metrics") as response:
            scrape = Scrape(await response.text())
        return {
            "memory, MB": sum(map(resident_bytes, pids)) / 1e6,
            "open files": sum(map(open_files, pids)),
            **{name.replace("_", " "): scrape.value(name) for name in GAUGES},
        }


def open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def make_assistant(emulator: KilledEmulator) -> str:
    headers = {"Authorization": f"Bearer {DEMO_KEY}", "OpenAI-Beta": "assistants=v2"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{emulator.url}/assistants", json={"model": "m", "name": "Soak"}) as response,
    ):
        assistant_id: str = (await response.json())["id"]
        return assistant_id


def tokens(key: SigningKey, count: int, seconds: float) -> list[str]:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time() + seconds)}
    return [f"Bearer {key.sign({**claims, 'sub': f'person{number}'})}" for number in range(count)]


@asynccontextmanager
async def running_place(workers: int, people: int, seconds: float, log: Path | None = None) -> AsyncIterator[Place]:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tg-")))
        key = make_signing_key("soak")
        (directory / "key.pem").write_bytes(key.public_pem())
        valkey: Valkey = stack.enter_context(running_valkey())
        postgresql: PostgreSQL = stack.enter_context(running_postgresql())
        emulator = KilledEmulator(directory)
        emulator.start()
        stack.callback(emulator.kill)
        assistant_id = await make_assistant(emulator)
        settings: dict[str, Any] = {
            "UPSTREAM_URL": emulator.url,
            "UPSTREAM_API_KEY": DEMO_KEY,
            "REDIS_URL": valkey.url,
            "GATEWAY_DATABASE_URL": postgresql.create_database(),
            "GATEWAY_JWT_ISSUER": ISSUER,
            "GATEWAY_JWT_AUDIENCE": AUDIENCE,
            "GATEWAY_JWT_PUBLIC_KEY_FILE": str(directory / "key.pem"),
            "GATEWAY_PROFILE": "development",
            "GATEWAY_LOG_LEVEL": "warning",
        }
        arguments = ("serve", "--port", "0", "--metrics-port", "0", "--workers", str(workers))
        log = log or directory / "log"
        process, printed = stack.enter_context(running_command(*arguments, log=log, **settings))
        faults = {"Valkey": valkey, "PostgreSQL": postgresql, "upstream": emulator}
        yield Place(
            url_in(printed, "GraphQL"),
            url_in(printed, "Metrics"),
            lambda: worker_pids(process) if workers > 1 else [process.pid],
            faults,
            emulator,
            assistant_id,
            log,
            tokens(key, people + LEAVING_CLIENTS, seconds + 600),
        )


async def break_in_turns(place: Place, pause_seconds: float, outages: Counter[str], ends_at: float) -> None:
    """Kill one of the three after the other, and start it again."""
    while True:
        for name, server in place.faults.items():
            if time.monotonic() + pause_seconds + OUTAGE_SECONDS > ends_at:
                return
            await asyncio.sleep(pause_seconds)
            await asyncio.to_thread(server.kill)
            await asyncio.sleep(OUTAGE_SECONDS)
            await asyncio.to_thread(server.start)
            outages[name] += 1


async def sample_until(stop: asyncio.Event, place: Place, samples: Samples) -> None:
    async with aiohttp.ClientSession() as session:
        while not stop.is_set():
            samples.add(time.monotonic() / 60, await place.sample(session))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), SAMPLE_SECONDS)


def stored_questions(database: Path) -> tuple[Counter[str], set[tuple[str, str]]]:
    """Return how often each question is stored upstream, and each question with its thread."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT parent_id, document FROM objects WHERE kind = 'Message'").fetchall()
    counts, places = Counter[str](), set[tuple[str, str]]()
    for thread_id, document in rows:
        message = json.loads(document)
        if message["role"] == "user":
            text = message["content"][0]["value"]
            counts[text] += 1
            places.add((text, thread_id))
    return counts, places


def report(place: Place, counts: Counts, samples: Samples, settled: Mapping[str, float], outages: Counter[str]) -> None:
    stored, places = stored_questions(place.emulator.database)
    doubles = [question for question in counts.asked if stored[question] > 1]
    lost = [question for question, thread_id in counts.acknowledged.items() if (question, thread_id) not in places]
    log = place.log.read_text()
    rows: list[tuple[str, object, Sequence[str]]] = [
        ("outages", dict(outages), ()),
        ("requests", dict(counts.sent), ()),
        ("requests without a response", len(counts.unanswered), counts.unanswered),
        ("questions asked, acknowledged", f"{len(counts.asked)}, {len(counts.acknowledged)}", ()),
        ("questions stored twice", len(doubles), doubles),
        ("acknowledged questions that are lost", len(lost), lost),
        ("acknowledged questions that are not found", len(counts.missing), counts.missing),
        ("runs followed, reconnects", f"{counts.followed}, {counts.reconnects}", ()),
        ("runs without an end", len(counts.unfinished), counts.unfinished),
        ("texts that differ from the message", len(counts.wrong_texts), counts.wrong_texts),
        ("files that differ", len(counts.broken_files), counts.broken_files),
        ("refused", dict(counts.refused.most_common()), ()),
        ("log lines, tracebacks", f"{log.count(chr(10))}, {log.count('Traceback')}", ()),
    ]
    lines = ["| | |", "|---|---|"]
    for name, value, examples in rows:
        lines.append(f"| {name} | {value} {'; '.join(each[:300] for each in examples[:3])} |")
    lines += [
        "",
        "| of all workers | start | highest | after the load | a minute, second half |",
        "|---|---|---|---|---|",
    ]
    for name, values in samples.values.items():
        lines.append(
            f"| {name} | {values[0]:.0f} | {max(values):.0f} | {settled[name]:.0f} | {samples.slope(name):+.2f} |"
        )
    sys.stdout.write("\n".join(lines) + "\n")


async def soak(minutes: float, workers: int, people: int, pause_seconds: float, log: Path | None) -> None:
    counts, samples, outages, stop = Counts(), Samples(), Counter[str](), asyncio.Event()
    async with running_place(workers, people, 60 * minutes, log) as place:
        clients = [
            Person(place.url, number, authorization, place.assistant_id, counts)
            for number, authorization in enumerate(place.authorization)
        ]
        ends_at = time.monotonic() + 60 * minutes
        lives = [
            *(client.live(stop) for client in clients[LEAVING_CLIENTS:]),
            *(client.come_and_go(stop) for client in clients[:LEAVING_CLIENTS]),
        ]
        tasks = [asyncio.create_task(live) for live in lives]
        sampling = asyncio.create_task(sample_until(stop, place, samples))
        # All is whole again in the last minute, or the last third of a short soak.
        await break_in_turns(place, pause_seconds, outages, ends_at - min(60.0, 20 * minutes))
        await asyncio.sleep(max(0.0, ends_at - time.monotonic()))
        stop.set()
        await asyncio.gather(*tasks, sampling)
        await asyncio.sleep(SETTLE_SECONDS)
        async with aiohttp.ClientSession() as session:
            settled = await place.sample(session)
        report(place, counts, samples, settled, outages)


async def measure_throughput(people: int) -> None:
    """Compare one and two workers by reads of lists from the database and the cache, by all people at once."""
    for workers in (1, 2):
        async with running_place(workers, people, 600) as place:
            ends_at, done = time.monotonic() + BLOCK_SECONDS, 0

            async def read(authorization: str, url: str, ends_at: float) -> int:
                count = 0
                async with aiohttp.ClientSession(headers={"Authorization": authorization}) as session:
                    while time.monotonic() < ends_at:
                        async with session.post(f"{url}/graphql", json={"query": LIST}) as response:
                            assert b'"errors"' not in await response.read()
                        count += 1
                return count

            before = sum(map(processor_seconds, place.pids()))
            done = sum(await asyncio.gather(*(read(each, place.url, ends_at) for each in place.authorization)))
            used = sum(map(processor_seconds, place.pids())) - before
        sys.stdout.write(
            f"{workers} workers: {done / BLOCK_SECONDS:.0f} requests a second, "
            f"{1000 * used / done:.2f} ms of processor time each, {used / BLOCK_SECONDS:.2f} processors used\n"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--pause", type=float, default=20, help="seconds between two outages")
    parser.add_argument("--log", type=Path, help="the gateway's log, which is removed otherwise")
    parser.add_argument("--throughput", action="store_true")
    arguments = parser.parse_args()
    if arguments.throughput:
        asyncio.run(measure_throughput(arguments.people))
    else:
        asyncio.run(soak(arguments.minutes, arguments.workers, arguments.people, arguments.pause, arguments.log))


if __name__ == "__main__":
    main()
