"""Measures reads as ratios: latency against that of one upstream call, and processor time warm against cold.

    python -m tests.bench.reads [--rounds 40] [--latency-ms 40]

Uses a real emulator with added latency and two real gateways over it, one of them with its cache. In each round, every
example that only reads is sent once to each gateway, and one call is made to the upstream itself, so that noise affects
all of them. Linux only: processor time is read from /proc.
"""

import argparse
import asyncio
import os
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp

from gateway.compose import DEMO_KEY
from tests.support.gateway import running_command, url_in

QUERIES = Path(__file__).parents[2] / "queries"
CHAIN = re.compile(r"# calls: (\d+), chain: (\d+)")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def examples() -> dict[str, tuple[str, int, int]]:
    """Return each example that only reads, with its calls and the length of its chain."""
    found = {}
    for path in sorted(QUERIES.glob("*.graphql")):
        text = path.read_text()
        budget = CHAIN.search(text)
        if re.search(r"^query ", text, re.MULTILINE) and budget:
            found[path.stem] = (text, int(budget[1]), int(budget[2]))
    return found


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND


async def ask(session: aiohttp.ClientSession, url: str, query: str) -> float:
    started = time.perf_counter()
    async with session.post(f"{url}/graphql", json={"query": query}) as response:
        answer = await response.json()
    assert "errors" not in answer, answer
    return time.perf_counter() - started


async def call_upstream(session: aiohttp.ClientSession, url: str) -> float:
    started = time.perf_counter()
    headers = {"Authorization": f"Bearer {DEMO_KEY}", "OpenAI-Beta": "assistants=v2"}
    async with session.get(f"{url}/v1/threads/thread_demoTripToKyoto000000001", headers=headers) as response:
        await response.read()
        assert response.status == 200
    return time.perf_counter() - started


async def measure(
    emulator_url: str, cold: tuple[str, int], warm: tuple[str, int], rounds: int, say: Callable[[str], None]
) -> None:
    """Send the queries in turns and print the ratios."""
    latencies: dict[str, list[float]] = defaultdict(list)
    used: dict[tuple[str, str], list[float]] = defaultdict(list)
    queries = examples()
    async with aiohttp.ClientSession() as session:
        for round_ in range(rounds + 2):
            single = await call_upstream(session, emulator_url)
            for name, (query, _, _) in queries.items():
                took = await ask(session, cold[0], query)
                await ask(session, warm[0], query)
                if round_ >= 2:  # the first ones parse, connect and fill the cache
                    latencies[name].append(took)
                    latencies[""].append(single)
        for name, (query, _, _) in queries.items():
            for temperature, (url, pid) in {"cold": cold, "warm": warm}.items():
                before = processor_seconds(pid)
                for _ in range(rounds):
                    await ask(session, url, query)
                used[name, temperature].append((processor_seconds(pid) - before) / rounds)
    single_p50 = statistics.median(latencies[""])
    say(f"one upstream call: {1000 * single_p50:.1f} ms (p50)\n")
    say("| example | calls | chain | latency / (chain x one call) | processor time warm / cold |")
    say("|---|---|---|---|---|")
    for name, (_, calls, chain) in queries.items():
        latency = statistics.median(latencies[name]) / (chain * single_p50)
        processor = statistics.mean(used[name, "warm"]) / max(statistics.mean(used[name, "cold"]), 1e-6)
        say(f"| {name} | {calls} | {chain} | {latency:.2f} | {processor:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--latency-ms", type=int, default=40)
    arguments = parser.parse_args()
    fault_rule = f"*:latency={arguments.latency_ms}ms"
    quiet: dict[str, Any] = {"GATEWAY_LOG_LEVEL": "warning"}
    with running_command("emulator", "--port", "0", "--faults", fault_rule, **quiet) as (_, printed):
        emulator_url = url_in(printed, "Base URL")
        over = {"UPSTREAM_URL": f"{emulator_url}/v1", "UPSTREAM_API_KEY": DEMO_KEY, **quiet}
        serve = ("serve", "--port", "0")
        with (
            running_command(*serve, "--cache", "false", **over) as (cold, cold_says),
            running_command(*serve, **over) as (warm, warm_says),
        ):
            gateways = [
                (url_in(says, "GraphQL"), process.pid) for process, says in ((cold, cold_says), (warm, warm_says))
            ]
            asyncio.run(measure(emulator_url, gateways[0], gateways[1], arguments.rounds, print))


if __name__ == "__main__":
    main()
