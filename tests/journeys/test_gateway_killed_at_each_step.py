"""Tests that a thread or a file is its creator's or nobody's if the gateway or the database is killed at any step."""

import asyncio
import itertools
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.emulator.http.partitions import partition_from_key
from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from gateway.ledger.open_store import open_store
from tests.support.emulator import KEY, Emulator
from tests.support.file_client import upload
from tests.support.file_samples import CSV
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.mutations import assistant, succeed
from tests.support.oidc_server import AUDIENCE, OidcServer, running_oidc_server
from tests.support.postgresql import PostgreSQL, running_postgresql
from tests.support.subscription_gateway import until
from tests.support.tcp_proxy import TcpProxy, running_proxy

PATIENT_SECONDS = 20
METADATA = "query ($id: ID!) { thread(id: $id) { metadata } }"
MUTATIONS = {
    "createThread": "mutation { createThread(input: {}) { thread { upstreamId } } }",
    "createThreadAndRun": """mutation ($assistant: ID!) { createThreadAndRun(input: {
        assistantId: $assistant, thread: {messages: [{content: [{text: "Hello"}]}]} }) { thread { upstreamId } } }""",
    "deleteThread": "mutation ($thread: ID!) { deleteThread(input: {threadId: $thread}) { deletedId } }",
}


@dataclass
class Scene:
    """A gateway that outlives the others, what its users' tokens are signed by, and the rows of the database."""

    emulator: Emulator
    provider: OidcServer
    survivor: Gateway
    proxy: TcpProxy
    proxied_url: str
    store: LedgerStore
    assistant_id: str

    def user(self, name: str, url: str | None = None) -> Gateway:
        """Return a client that calls as a user, the survivor or the gateway at this URL."""
        credential = f"Bearer {self.provider.issue_token(name)}"
        return Gateway(url or self.survivor.url, self.survivor.session, credential=credential)

    @property
    def ann(self) -> Owner:
        return Owner(self.provider.issuer, "ann")

    @property
    def upstream_threads(self) -> set[str]:
        return {thread.id for thread in self.emulator.store.threads.list_all(partition_from_key(KEY), None)}

    @property
    def upstream_files(self) -> set[str]:
        return {file.id for file in self.emulator.store.files.list_all(partition_from_key(KEY), None)}

    async def prepare(self, mutation: str) -> dict[str, Any]:
        if mutation == "deleteThread":
            made = await succeed(self.user("ann"), "createThread", "thread { upstreamId }")
            return {"thread": made["thread"]["upstreamId"]}
        return {"assistant": self.assistant_id} if mutation == "createThreadAndRun" else {}

    async def check_thread(self, thread_id: str) -> bool:
        """Check the owner of a thread, Ann or none, and that no other user reaches it. Returns whether Ann owns it."""
        owners = await self.store.find_owners(ObjectKind.THREAD, [thread_id])
        assert owners in ({}, {thread_id: self.ann})
        is_reachable = bool(owners) and thread_id in self.upstream_threads
        expected: dict[str, Any] = {"thread": {"metadata": {}} if is_reachable else None}
        assert await self.user("ann").data(METADATA, {"id": thread_id}) == expected
        self.emulator.counts.reset()
        assert await self.user("bob").data(METADATA, {"id": thread_id}) == {"thread": None}
        assert self.emulator.counts.total == 0
        return bool(owners)


@asynccontextmanager
async def running_victim(scene: Scene, log: Path) -> AsyncIterator[tuple[subprocess.Popen[str], Gateway]]:
    """Run a gateway in a process of its own, with Ann as its client, until it is killed."""
    settings = {
        "UPSTREAM_URL": scene.emulator.url,
        "UPSTREAM_API_KEY": KEY,
        "GATEWAY_JWT_ISSUER": scene.provider.issuer,
        "GATEWAY_JWT_AUDIENCE": AUDIENCE,
        "GATEWAY_DATABASE_URL": scene.proxied_url,
        "GATEWAY_LEDGER_DEADLINE_SECONDS": str(PATIENT_SECONDS),
    }
    with ExitStack() as stack:
        # While it starts, it calls the provider and the proxy, which run here.
        command = running_command("serve", "--port", "0", log=log, **settings)
        process, printed = await asyncio.to_thread(stack.enter_context, command)
        yield process, scene.user("ann", url_in(printed, "GraphQL"))
        process.kill()


@asynccontextmanager
async def running_scene(emulator: Emulator, server: PostgreSQL, **settings: Any) -> AsyncIterator[Scene]:
    url, socket = server.create_database(), str(server.socket)
    async with (
        running_oidc_server() as provider,
        running_proxy(lambda: asyncio.open_unix_connection(socket)) as proxy,
    ):
        proxied_url = f"postgresql://postgres@127.0.0.1:{proxy.port}{urlsplit(url).path}?sslmode=disable"
        options = {
            "upstream_api_key": KEY,
            "gateway_jwt_issuer": provider.issuer,
            "gateway_jwt_audience": AUDIENCE,
            "gateway_database_url": url,
            "gateway_ledger_deadline_seconds": PATIENT_SECONDS,
            **settings,
        }
        async with running_gateway(emulator.url, **options) as survivor:
            store = await open_store(url, UpstreamIdentity(emulator.url))
            try:
                made = await assistant(emulator)
                yield Scene(emulator, provider, survivor, proxy, proxied_url, store, made)
            finally:
                await store.aclose()


@pytest.mark.parametrize(
    ("mutation", "chunk"),
    long_except(
        [*itertools.product(MUTATIONS, range(24))],
        [("createThread", 3), ("deleteThread", 8)],
    ),
)
async def test_a_gateway_killed_at_any_message_to_the_database_leaves_the_right_owner_or_none(
    emulator: Emulator, postgresql: PostgreSQL, tmp_path: Path, mutation: str, chunk: int
) -> None:
    async with running_scene(emulator, postgresql) as scene:
        variables = await scene.prepare(mutation)
        before = scene.upstream_threads
        async with running_victim(scene, tmp_path / "log") as (process, victim):
            scene.proxy.arm(chunk, lambda: os.kill(process.pid, signal.SIGKILL))
            answer = None
            with suppress(aiohttp.ClientError):
                answer = await victim.execute(MUTATIONS[mutation], variables)
            scene.proxy.disarm()
        made = scene.upstream_threads - before
        for thread_id in made | set(variables.get("thread", "").split()):
            is_anns = await scene.check_thread(thread_id)
            assert is_anns or answer is None or mutation == "deleteThread", "answered, and not recorded"
        await check_sweep(scene, 1)


@pytest.mark.parametrize("chunk", long_except(range(16), [6]))
async def test_a_gateway_killed_at_any_message_of_an_upload_leaves_the_file_to_its_sender_or_nobody(
    emulator: Emulator, postgresql: PostgreSQL, tmp_path: Path, chunk: int
) -> None:
    filename = "query ($id: ID!) { file(id: $id) { filename } }"
    async with running_scene(emulator, postgresql) as scene:
        before = scene.upstream_files
        async with running_victim(scene, tmp_path / "log") as (process, victim):
            scene.proxy.arm(chunk, lambda: os.kill(process.pid, signal.SIGKILL))
            reply = None
            with suppress(aiohttp.ClientError):
                reply = await upload(victim, CSV, "a.csv")
            scene.proxy.disarm()
        for file_id in scene.upstream_files - before:
            owners = await scene.store.find_owners(ObjectKind.FILE, [file_id])
            assert owners in ({}, {file_id: scene.ann})
            assert owners or reply is None, "answered, and not recorded"
            seen = await scene.user("ann").data(filename, {"id": file_id})
            assert seen == {"file": {"filename": "a.csv"} if owners else None}
            emulator.counts.reset()
            assert await scene.user("bob").data(filename, {"id": file_id}) == {"file": None}
            assert emulator.counts.total == 0
        await check_sweep(scene, 1)


@pytest.mark.parametrize("mutation", long_except(["createThread", "createThreadAndRun"], ["createThreadAndRun"]))
async def test_a_gateway_killed_while_the_upstream_creates_a_thread_leaves_it_to_nobody(
    emulator: Emulator, postgresql: PostgreSQL, tmp_path: Path, mutation: str
) -> None:
    async with running_scene(emulator, postgresql) as scene:
        variables = await scene.prepare(mutation)
        emulator.misbehave(f"{mutation}:latency=300ms:when=after")
        async with running_victim(scene, tmp_path / "log") as (process, victim):
            creating = asyncio.create_task(victim.execute(MUTATIONS[mutation], variables))
            await until(lambda: bool(scene.upstream_threads))
            process.kill()
            with pytest.raises(aiohttp.ClientError):
                await creating
        (thread_id,) = scene.upstream_threads
        assert not await scene.check_thread(thread_id)
        assert await scene.store.remove_intents_before(int(time.time()) + 1) == 1


@pytest.mark.full
@pytest.mark.parametrize("mutation", MUTATIONS)
async def test_a_database_killed_while_the_upstream_works_gets_the_outcome_when_it_is_back(
    emulator: Emulator, mutation: str
) -> None:
    with running_postgresql() as server:
        async with running_scene(emulator, server, gateway_ledger_deadline_seconds=0.5) as scene:
            variables = await scene.prepare(mutation)
            before = scene.upstream_threads
            emulator.misbehave(f"{mutation}:latency=300ms:when=after")
            working = asyncio.create_task(scene.user("ann").execute(MUTATIONS[mutation], variables))
            await until(lambda: scene.upstream_threads != before)
            await asyncio.to_thread(server.kill)
            emulator.clock.advance(1)
            answer = await working
            assert "errors" not in answer
            (thread_id,) = scene.upstream_threads ^ before
            refused = await scene.user("ann").execute(MUTATIONS["createThread"])
            (error,) = refused["errors"]
            assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("LEDGER_UNAVAILABLE", True)
            assert scene.upstream_threads ^ before == {thread_id}
            await asyncio.to_thread(server.start)
            expected = {} if mutation == "deleteThread" else {thread_id: scene.ann}
            async with asyncio.timeout(PATIENT_SECONDS):
                while await scene.store.find_owners(ObjectKind.THREAD, [thread_id]) != expected:  # noqa: ASYNC110 - rows
                    await asyncio.sleep(0.05)
            await scene.check_thread(thread_id)
            await check_sweep(scene, 1)


async def check_sweep(scene: Scene, most: int) -> None:
    """Check that no more intents than these are left, and that they are swept."""
    later = int(time.time()) + 1
    assert await scene.store.remove_intents_before(later) <= most
    assert await scene.store.remove_intents_before(later) == 0
