"""Measures what the log and the metrics cost: processor time with each of them, as a ratio to none.

    python -m tests.bench.telemetry [--blocks 40]

Three gateways without a cache get the same requests in turns: the lines of operations are off, on, or off with metrics
on. One query asks the upstream nothing, the other one is an example with seven calls. Linux only, as `reads`.
"""

import argparse
import asyncio
import statistics
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import aiohttp

from gateway.compose import DEMO_KEY
from tests.bench.reads import examples, processor_seconds
from tests.support.gateway import running_command, url_in

CLIENTS = 16
QUERIES = {
    "no call": ("query Trivial { __typename }", 500),
    "seven calls": (examples()["03-conversation"][0], 60),
}
"""The queries, and how often a block sends each of them."""

GATEWAYS = {
    "neither": ("--log-level", "warning"),
    "log": (),
    "metrics": ("--log-level", "warning", "--metrics-port", "0"),
}


async def send_block(session: aiohttp.ClientSession, url: str, query: str, count: int) -> None:
    async def send(each: int) -> None:
        for _ in range(each):
            async with session.post(f"{url}/graphql", json={"query": query}) as response:
                assert b'"errors"' not in await response.read()

    await asyncio.gather(*(send(count // CLIENTS) for _ in range(CLIENTS)))


async def measure(blocks: int, log: Path) -> None:
    seconds: dict[tuple[str, str], list[float]] = defaultdict(list)
    with ExitStack() as stack:
        _, printed = stack.enter_context(running_command("emulator", "--port", "0"))
        shared: dict[str, Any] = {"UPSTREAM_URL": f"{url_in(printed, 'Base URL')}/v1", "log": log}
        options = ("serve", "--port", "0", "--log-format", "json", "--cache", "false")
        gateways = {}
        for name, own in GATEWAYS.items():
            process, printed = stack.enter_context(running_command(*options, *own, **shared))
            gateways[name] = process.pid, url_in(printed, "GraphQL")
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {DEMO_KEY}"}) as session:
            for _ in range(1 + blocks):
                for (query_name, (query, count)), (name, (pid, url)) in (
                    (query, gateway) for query in QUERIES.items() for gateway in gateways.items()
                ):
                    before = processor_seconds(pid)
                    await send_block(session, url, query, count)
                    seconds[query_name, name].append(processor_seconds(pid) - before)
    for query_name, (_, count) in QUERIES.items():
        mean = {
            name: statistics.fmean(seconds[query_name, name][1:]) / (count // CLIENTS * CLIENTS) for name in GATEWAYS
        }
        ratios = ", ".join(f"{name} {mean[name] / mean['neither']:.3f}" for name in ("log", "metrics"))
        print(f"{query_name}: {1e6 * mean['neither']:.0f} µs with neither; ratio with {ratios}")  # noqa: T201 - a result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=40)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"))
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.blocks, arguments.log))


if __name__ == "__main__":
    main()
