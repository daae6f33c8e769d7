"""Tests of `serve --workers`: one port, workers that are replaced, one stop for all, metrics added up."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.journeys.test_metrics import Scrape
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.gateway import running_command, url_in
from tests.support.graphql import GraphQLClient
from tests.support.mutations import thread_with_question
from tests.support.subscription_gateway import until
from tests.support.valkey import Valkey

BODY = {"query": "query Q { assistants(first: 1) { nodes { name } } }"}
HEADERS = {"Authorization": AUTHORIZATION}
SECRET = "0123456789abcdef" * 3


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session that opens a connection for each request, so that any worker may get it."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        yield session


def serve(emulator: Emulator, *arguments: str) -> Sequence[str]:
    return ("serve", "--port", "0", "--upstream-url", emulator.url, "--workers", "2", *arguments)


def worker_pids(process: subprocess.Popen[str]) -> list[int]:
    """Return the process ids of the children of the program."""
    return [int(text) for text in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


async def fetch_text(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(url) as response:
        return await response.text()


async def test_workers_share_one_port_their_cache_and_their_metrics(
    emulator: Emulator, valkey: Valkey, session: aiohttp.ClientSession
) -> None:
    thread_id = await thread_with_question(emulator)
    emulator.counts.reset()
    body = {"query": "query Q($id: ID!) { thread(id: $id) { metadata } }", "variables": {"id": thread_id}}
    arguments = serve(emulator, "--metrics-port", "0")
    # A long deadline, because the test machine may be busy.
    shared: dict[str, Any] = {"REDIS_URL": valkey.url, "REDIS_DEADLINE_SECONDS": "5", "GATEWAY_URL_SECRET": SECRET}
    with running_command(*arguments, **shared) as (process, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), session)
        pids = worker_pids(process)
        replies = await asyncio.gather(*(client.post(body, headers=HEADERS) for _ in range(40)))
        found = Scrape(await fetch_text(session, f"{url_in(printed, 'Metrics')}/metrics"))
    assert len(pids) == 2
    assert {reply.status for reply in replies} == {200}
    assert emulator.counts.total <= 2  # one for each worker at most
    assert found.value("operations_total", operation="Q", outcome="ok") == 40
    assert found.value("upstream_calls_total") == emulator.counts.total
    assert found.value("build_info") == 1
    assert found.label_values("worker") == {"0", "1"}


async def test_without_redis_the_start_says_what_workers_do_not_share(
    emulator: Emulator, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with running_command(*serve(emulator), log=log) as (_, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), session)
        for _ in range(3):
            assert (await client.post(BODY, headers=HEADERS)).status == 200
    assert "2 workers without REDIS_URL: they cache nothing" in log.read_text()
    assert emulator.counts.by_operation["listAssistants"] == 3


async def test_a_killed_worker_costs_only_its_own_requests_and_is_replaced(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    outcomes: Counter[str] = Counter()

    async def send(client: GraphQLClient) -> None:
        try:
            reply = await client.post(BODY, headers=HEADERS)
        except aiohttp.ClientError:
            outcomes["lost"] += 1
        else:
            outcomes[str(reply.status)] += 1

    async def send_until(client: GraphQLClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await send(client)

    with running_command(*serve(emulator)) as (process, printed):
        client, stop = GraphQLClient(url_in(printed, "GraphQL"), session), asyncio.Event()
        before = worker_pids(process)
        load = [asyncio.create_task(send_until(client, stop)) for _ in range(8)]
        await until(lambda: outcomes["200"] >= 50)
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: len(set(worker_pids(process)) - set(before)) == 1)
        # The other one served meanwhile, and of the dead one, at most the request that each client had sent is lost.
        served = outcomes["200"]
        await until(lambda: outcomes["200"] >= served + 50)
        stop.set()
        await asyncio.gather(*load)
    assert set(outcomes) <= {"200", "lost"}
    assert outcomes["lost"] <= 8


async def test_workers_do_not_outlive_a_supervisor_that_is_killed(
    emulator: Emulator, session: aiohttp.ClientSession
) -> None:
    with running_command(*serve(emulator)) as (process, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), session)
        assert (await client.get("/healthz")).status == 200
        pids = worker_pids(process)
        process.kill()
        await until(lambda: not any(map(is_running, pids)))


async def test_a_stop_ends_all_workers(emulator: Emulator) -> None:
    with running_command(*serve(emulator)) as (process, _):
        pids = worker_pids(process)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert not any(map(is_running, pids))


def test_workers_refuse_a_database_that_they_cannot_share(emulator: Emulator, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(AssertionError, match="status 2"),
        running_command(*serve(emulator), log=log, GATEWAY_DATABASE_URL=f"sqlite:///{tmp_path}/ledger.db"),
    ):
        pass
    expected = "expected 1 with a SQLite file as GATEWAY_DATABASE_URL, or PostgreSQL, got 2"
    assert f"threads-gateway: GATEWAY_WORKERS or --workers: {expected}\n" in log.read_text()


def test_a_start_ends_when_a_worker_cannot_start(emulator: Emulator, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(AssertionError, match="status 2"),
        running_command(*serve(emulator, "--documents", str(tmp_path / "missing.json")), log=log),
    ):
        pass
    assert "GATEWAY_DOCUMENTS: " in log.read_text()
    assert "a worker ended with status 2 before it served" in log.read_text()
