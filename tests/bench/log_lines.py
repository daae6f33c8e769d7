"""Measures what the log costs: processor time of a trivial query with the lines of operations and without.

    python -m tests.bench.log_lines [--requests 20000]

Two gateways, with the levels `info` and `warning`, get the same requests in turns. Linux only, as `reads`.
"""

import argparse
import asyncio
import statistics
from pathlib import Path

import aiohttp

from tests.bench.reads import processor_seconds
from tests.support.gateway import running_command, url_in

BLOCK = 500
CLIENTS = 16
QUERY = {"query": "query Trivial { __typename }"}


async def send_block(session: aiohttp.ClientSession, url: str) -> None:
    async def send(count: int) -> None:
        for _ in range(count):
            async with session.post(f"{url}/graphql", json=QUERY) as response:
                await response.read()

    await asyncio.gather(*(send(BLOCK // CLIENTS) for _ in range(CLIENTS)))


async def measure(requests: int, log: Path) -> None:
    environment = {"UPSTREAM_URL": "http://127.0.0.1:9/v1", "UPSTREAM_API_KEY": "x", "GATEWAY_PROFILE": "development"}
    arguments = ("serve", "--port", "0", "--log-format", "json")
    with (
        running_command(*arguments, log=log, **environment) as (loud, loud_text),
        running_command(*arguments, "--log-level", "warning", log=log, **environment) as (quiet, quiet_text),
    ):
        gateways = [(loud.pid, url_in(loud_text, "GraphQL")), (quiet.pid, url_in(quiet_text, "GraphQL"))]
        blocks: list[list[float]] = [[], []]
        async with aiohttp.ClientSession() as session:
            for _ in range(max(2, requests // BLOCK)):
                for index, (pid, url) in enumerate(gateways):
                    before = processor_seconds(pid)
                    await send_block(session, url)
                    blocks[index].append(processor_seconds(pid) - before)
    with_log, without = (1e6 * statistics.fmean(times[1:]) / (CLIENTS * (BLOCK // CLIENTS)) for times in blocks)
    print(f"with {with_log:.0f} µs, without {without:.0f} µs, ratio {with_log / without:.3f}")  # noqa: T201 - a result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--log", type=Path, default=Path("/dev/null"))
    arguments = parser.parse_args()
    asyncio.run(measure(arguments.requests, arguments.log))


if __name__ == "__main__":
    main()
