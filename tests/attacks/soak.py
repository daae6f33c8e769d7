"""All attacks at once on one gateway for some minutes, beside a normal load."""

import asyncio
import contextlib
import itertools
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from gateway.compose import DEMO_KEY
from tests.attacks.arena import (
    Arena,
    arena,
    quantile,
    running_emulator_process,
    running_victim,
    seed,
    victim_report,
)
from tests.attacks.attack import Attack, Target
from tests.bench.reads import examples, processor_seconds
from tests.bench.subscribers import resident_bytes

ATTACKERS = 4
ATTACK_SECONDS = 2.0
LOAD_PAUSE_SECONDS = 0.2
SAMPLE_SECONDS = 5.0


@dataclass
class NormalLoad:
    """Clients that send the examples of `queries/` one after the other."""

    ms: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def run(self, url: str) -> None:
        headers = {"Authorization": f"Bearer {DEMO_KEY}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            for query, _, _ in itertools.cycle(examples().values()):
                started = time.perf_counter()
                try:
                    async with session.post(f"{url}/graphql", json={"query": query}) as response:
                        answer = await response.read()
                    if response.status != 200 or b'"errors"' in answer:
                        self.failures.append(answer.decode()[:200])
                except (aiohttp.ClientError, OSError) as error:
                    self.failures.append(repr(error))
                self.ms.append(1000 * (time.perf_counter() - started))
                await asyncio.sleep(LOAD_PAUSE_SECONDS)


async def attack_in_turns(place: Arena, attacks: Iterator[Attack], failures: list[str]) -> None:
    """Play one attack after the other."""
    for attack in attacks:
        target = Target(place.url, place.thread_id, time.monotonic() + ATTACK_SECONDS)
        try:
            await attack.play(target)
        except (aiohttp.ClientError, OSError) as error:
            failures.append(f"{attack.name}: {error!r}")


async def sample_memory(pid: int, samples: list[tuple[float, float]]) -> None:
    while True:
        samples.append((time.monotonic() / 60, resident_bytes(pid) / 1e6))
        await asyncio.sleep(SAMPLE_SECONDS)


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Return the growth in MB a minute over the second half of the samples."""
    half = samples[len(samples) // 2 :]
    if len(half) < 2:
        return 0.0
    return statistics.linear_regression([at for at, _ in half], [mb for _, mb in half]).slope


async def run(attacks: Sequence[Attack], minutes: float) -> None:
    """Run the soak and print its figures."""
    load, samples, attack_failures = NormalLoad(), list[tuple[float, float]](), list[str]()
    with tempfile.TemporaryDirectory() as directory, running_emulator_process() as emulator_url:
        thread_id = await seed(emulator_url)
        # Some examples ask for what only a database keeps.
        database = f"sqlite:///{directory}/ledger.db"
        async with arena(emulator_url, thread_id, Path(directory) / "log", GATEWAY_DATABASE_URL=database) as place:
            await place.warm_up()
            before, used = resident_bytes(place.pid) / 1e6, processor_seconds(place.pid)
            attackers_used = processor_seconds(os.getpid())
            turns = itertools.cycle(attacks)
            with running_victim(place.url) as victim:
                tasks = [
                    asyncio.create_task(load.run(place.url)),
                    asyncio.create_task(sample_memory(place.pid, samples)),
                    *(asyncio.create_task(attack_in_turns(place, turns, attack_failures)) for _ in range(ATTACKERS)),
                ]
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(60 * minutes):
                        await asyncio.gather(*tasks)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                report = await victim_report(victim)
            used = processor_seconds(place.pid) - used
            attackers_used = processor_seconds(os.getpid()) - attackers_used
            after = await place.settled_bytes(int(1e6 * before)) / 1e6
            log = place.log.read_text()
    load.ms.sort()
    lines = [
        f"{minutes:g} minutes, {ATTACKERS} attackers in turns; load average at the end: {os.getloadavg()[0]:.1f}",
        f"normal requests: {len(load.ms)}, failed {len(load.failures)} {load.failures[:3]}",
        f"normal p50 {quantile(load.ms, 0.5):.0f} ms, p99 {quantile(load.ms, 0.99):.0f} ms",
        (
            f"victim p50 {quantile(report['ms'], 0.5):.0f} ms, p99 {quantile(report['ms'], 0.99):.0f} ms, "
            f"failed {len(report['failures'])}"
        ),
        (
            f"memory {before:.0f} MB -> peak {max((mb for _, mb in samples), default=0):.0f} -> {after:.0f}, "
            f"slope of the second half {slope(samples):+.1f} MB a minute"
        ),
        (
            f"processor {used:.0f} s of the gateway and {attackers_used:.0f} s of the attackers and the normal load, "
            f"of {60 * minutes * (os.cpu_count() or 1):.0f}; log lines {log.count(chr(10))}, "
            f"tracebacks {log.count('Traceback')}; "
            f"attacks that broke off: {len(attack_failures)} {attack_failures[:3]}"
        ),
    ]
    sys.stdout.write("\n".join(lines) + "\n")
