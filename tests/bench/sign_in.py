"""Measures what sign-in and ownership cost: processor time of a cold query with them, as a ratio to one without.

    python -m tests.bench.sign_in [--blocks 20] [--unseen]

One thread with twenty messages is read from the upstream each time, by gateways without a cache. Each block of threads
is read twice by each gateway, in turns: first its owners have to be found in the database, then they are in memory. The
time of a block includes all that the gateway does behind the answers, until it is idle. The threads were used through
another gateway before; with `--unseen`, they were adopted and no gateway has seen them. Linux only, as `reads`.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import aiohttp

from gateway.compose import DEMO_KEY
from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.open_store import open_store
from tests.support.gateway import running_command, url_in
from tests.support.postgresql import running_postgresql
from tests.support.signing_keys import SigningKey, make_signing_key

ISSUER, AUDIENCE = "https://issuer.test", "threads-gateway"
BLOCK = 96
CLIENTS = 16
USERS = 16
IDLE_SECONDS = 0.4
"""Longer than anything waits in a gateway."""

ROUNDS_BEFORE = 1
"""Blocks that only connect, parse and compile."""

QUERY = """query Q1($id: ID!) { thread(id: $id) { id createdAt messages(first: 20) {
    edges { cursor node { id role createdAt content { ... on TextContent { text } } } }
    pageInfo { hasNextPage endCursor } } } }"""


@dataclass
class Measured:
    """A gateway, the credential of each user at it, and the processor time of its blocks by the state of owners."""

    name: str
    url: str
    pid: int
    credentials: Sequence[str] = field(repr=False)
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


async def make_threads(session: aiohttp.ClientSession, emulator_url: str, count: int) -> list[str]:
    headers = {"Authorization": f"Bearer {DEMO_KEY}", "OpenAI-Beta": "assistants=v2"}
    body = {"messages": [{"role": "user", "content": f"What is the weather of day {day}?"} for day in range(20)]}
    thread_ids: list[str] = []

    async def make(share: int) -> None:
        for _ in range(share):
            async with session.post(f"{emulator_url}/v1/threads", headers=headers, json=body) as response:
                thread_ids.append((await response.json())["id"])

    await asyncio.gather(*(make(count // CLIENTS) for _ in range(CLIENTS)))
    return thread_ids


async def adopt(url: str, emulator_url: str, thread_ids: Sequence[str]) -> None:
    store = await open_store(url, UpstreamIdentity(f"{emulator_url}/v1"))
    owners = {thread_id: Owner(ISSUER, f"user{index % USERS}") for index, thread_id in enumerate(thread_ids)}
    await store.adopt_objects(ObjectKind.THREAD, owners, 0)
    await store.aclose()


async def read_block(session: aiohttp.ClientSession, gateway: Measured, thread_ids: Sequence[str]) -> float:
    """Read threads with several clients. The thread with the index N belongs to the user N modulo `USERS`."""
    waiting = iter(list(enumerate(thread_ids)))

    async def read() -> None:
        for index, thread_id in waiting:
            body = {"query": QUERY, "variables": {"id": thread_id}}
            headers = {"Authorization": gateway.credentials[index % USERS]}
            async with session.post(f"{gateway.url}/graphql", json=body, headers=headers) as response:
                answer = await response.json()
            assert len(answer["data"]["thread"]["messages"]["edges"]) == 20, answer

    before = running_seconds(gateway.pid)
    await asyncio.gather(*(read() for _ in range(CLIENTS)))
    return await wait_until_idle(gateway.pid) - before


async def wait_until_idle(pid: int) -> float:
    """Wait until a process has run for no more than a twentieth of the time. Returns how long it has run by then."""
    running = running_seconds(pid)
    while True:
        await asyncio.sleep(IDLE_SECONDS)
        if (now := running_seconds(pid)) - running < IDLE_SECONDS / 20:
            return now
        running = now


def running_seconds(pid: int) -> float:
    """Return the time that all threads of a process have run, which is finer than the ticks of `reads`."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


async def measure(gateways: Sequence[Measured], blocks: Sequence[Sequence[str]]) -> None:
    async with aiohttp.ClientSession() as session:
        for number, block in enumerate(blocks):
            for gateway in gateways if number % 2 else reversed(gateways):
                for owners in ("in the database", "in memory"):
                    seconds = await read_block(session, gateway, block)
                    if number >= ROUNDS_BEFORE:
                        gateway.seconds[owners].append(seconds)


def tokens(key: SigningKey) -> list[str]:
    claims = {"iss": ISSUER, "aud": AUDIENCE, "exp": int(time.time()) + 3600}
    return [f"Bearer {key.sign({**claims, 'sub': f'user{number}'})}" for number in range(USERS)]


def print_ratios(gateways: Sequence[Measured]) -> None:
    """Print the medians of all blocks. A ratio is that of one block to the same block without sign-in."""
    bases = [statistics.fmean(pair) for pair in zip(*gateways[0].seconds.values(), strict=True)]
    print("| gateway | owners | ms of processor time | ratio |\n|---|---|---|---|")  # noqa: T201 - a result
    for gateway in gateways:
        for owners, seconds in gateway.seconds.items():
            median = statistics.median(seconds)
            ratio = statistics.median(one / base for one, base in zip(seconds, bases, strict=True))
            print(f"| {gateway.name} | {owners} | {1000 * median / BLOCK:.2f} | {ratio:.3f} |")  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=20)
    parser.add_argument("--unseen", action="store_true")
    arguments = parser.parse_args()
    key = make_signing_key("bench")
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tg-")))
        (directory / "key.pem").write_bytes(key.public_pem())
        quiet: dict[str, Any] = {"GATEWAY_LOG_LEVEL": "warning"}
        _, printed = stack.enter_context(running_command("emulator", "--port", "0", **quiet))
        emulator_url = url_in(printed, "Base URL")

        def start(name: str, credentials: Sequence[str], settings: Mapping[str, Any]) -> Measured:
            common: dict[str, Any] = {"UPSTREAM_URL": f"{emulator_url}/v1", "GATEWAY_CACHE": "false", **quiet}
            process, says = stack.enter_context(running_command("serve", "--port", "0", **common, **settings))
            return Measured(name, url_in(says, "GraphQL"), process.pid, credentials)

        server = stack.enter_context(running_postgresql())
        databases = {"SQLite": f"sqlite:///{directory}/ledger.db", "PostgreSQL": server.create_database()}
        sign_in = {
            "UPSTREAM_API_KEY": DEMO_KEY,
            "GATEWAY_LEDGER_DEADLINE_SECONDS": "20",
            "GATEWAY_JWT_ISSUER": ISSUER,
            "GATEWAY_JWT_AUDIENCE": AUDIENCE,
            "GATEWAY_JWT_PUBLIC_KEY_FILE": str(directory / "key.pem"),
        }

        async def run() -> None:
            async with aiohttp.ClientSession() as session:
                thread_ids = await make_threads(session, emulator_url, (arguments.blocks + ROUNDS_BEFORE) * BLOCK)
            for url in databases.values():
                await adopt(url, emulator_url, thread_ids)
            blocks = [thread_ids[start : start + BLOCK] for start in range(0, len(thread_ids), BLOCK)]
            async with aiohttp.ClientSession() as session:
                for gateway, block in product(gateways_before, blocks):
                    await read_block(session, gateway, block)
            await measure(gateways, blocks)

        gateways = [start("without sign-in", [f"Bearer {DEMO_KEY}"] * USERS, {})]
        credentials = tokens(key)

        def start_signed_in() -> list[Measured]:
            return [
                start(f"sign-in, {name}", credentials, {**sign_in, "GATEWAY_DATABASE_URL": url})
                for name, url in databases.items()
            ]

        gateways_before = [] if arguments.unseen else start_signed_in()
        gateways += start_signed_in()
        asyncio.run(run())
        print_ratios(gateways)


if __name__ == "__main__":
    main()
