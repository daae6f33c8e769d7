"""`threads-gateway ledger` as an operator runs it, over a real emulator, and the database under a running gateway."""

import asyncio
import os
import pty
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gateway.emulator.clock import ManualClock
from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_store import ObjectKind, StoredIntent
from gateway.ledger.open_store import open_store
from gateway.ledger.sql_store import SqlStore
from gateway.redis.scoped_names import scoped_prefix
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord
from schema.contract.keys import ThreadKey, to_global_id
from schema.contract.paging import Window
from tests.support.emulator import KEY, Emulator, add_files, running_emulator
from tests.support.gateway import Gateway, clean_environment, running_gateway
from tests.support.signed_in import ISSUER, NamedUsers, UserClient
from tests.support.valkey import Valkey

ALICE, BOB = Owner(ISSUER, "alice"), Owner(ISSUER, "bob")
THREAD, FILE = ObjectKind.THREAD, ObjectKind.FILE
HOUR = 3600


@dataclass
class Operator:
    """One who runs commands over a ledger."""

    url: str
    variables: dict[str, str]
    directory: Path
    store: SqlStore = field(repr=False)

    async def run(self, *arguments: str, stderr: int = asyncio.subprocess.PIPE) -> tuple[int, str, str]:
        """Run `threads-gateway ledger`. Returns its status, its output and its errors."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "gateway", "ledger", *arguments),
            cwd="/",
            env=clean_environment(**self.variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )
        output, errors = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode(), (errors or b"").decode()

    def write(self, text: str) -> str:
        path = self.directory / "threads.csv"
        path.write_text(text)
        return str(path)

    async def find_owners(self, *thread_ids: str) -> dict[str, Owner]:
        return await self.store.find_owners(THREAD, thread_ids)

    async def adopt(self, owner: Owner, *thread_ids: str) -> None:
        await self.store.adopt_objects(THREAD, dict.fromkeys(thread_ids, owner), 0)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator whose clock is an hour behind that of the commands, so that what it creates is old."""
    async with running_emulator(clock=ManualClock(time.time() - HOUR)) as emulator:
        yield emulator


@pytest.fixture
async def operator(emulator: Emulator, tmp_path: Path) -> AsyncIterator[Operator]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    variables = {
        "GATEWAY_DATABASE_URL": url,
        "GATEWAY_JWT_ISSUER": ISSUER,
        "UPSTREAM_URL": emulator.url,
        "UPSTREAM_API_KEY": KEY,
    }
    store = await open_store(url, UpstreamIdentity(emulator.url))
    yield Operator(url, variables, tmp_path, store)
    await store.aclose()


@pytest.fixture
async def on_foundry(emulator: Emulator, operator: Operator) -> AsyncIterator[Operator]:
    """The same, where the upstream is a project of Foundry, which lists threads."""
    operator.variables |= {
        "UPSTREAM_URL": f"{emulator.root_url}/api/projects/demo",
        "UPSTREAM_DIALECT": "azure-foundry",
    }
    store = await open_store(operator.url, UpstreamIdentity(operator.variables["UPSTREAM_URL"]))
    yield Operator(operator.url, operator.variables, operator.directory, store)
    await store.aclose()


async def create_threads(emulator: Emulator, count: int) -> list[str]:
    return [(await emulator.post("/threads"))["id"] for _ in range(count)]


async def exists(emulator: Emulator, thread_id: str) -> bool:
    headers = {"Authorization": f"Bearer {KEY}", "OpenAI-Beta": "assistants=v2"}
    async with emulator.session.get(f"{emulator.url}/threads/{thread_id}", headers=headers) as response:
        return response.status == 200


async def test_a_file_of_threads_is_adopted_once_and_changes_no_owner(operator: Operator) -> None:
    await operator.adopt(BOB, "thread_2")
    file = operator.write(
        "id,subject,tenant,issuer\n"
        "thread_1,alice\n"
        "\n"
        "thread_2,alice\n"
        'thread_3,"carol, née b",acme,https://other.test\n'
        '{"id": "thread_4", "subject": "dave", "tenant": "acme"}\n'
    )
    assert await operator.run("import", file) == (
        0,
        "Threads adopted: 3. Left to another owner: 1 (--reassign changes them).\n",
        "",
    )
    adopted = {
        "thread_1": ALICE,
        "thread_2": BOB,
        "thread_3": Owner("https://other.test", "carol, née b", "acme"),
        "thread_4": Owner(ISSUER, "dave", "acme"),
    }
    assert await operator.find_owners(*adopted) == adopted
    _, again, _ = await operator.run("import", file)
    assert again.startswith("Threads adopted: 0. Already theirs: 3. Left to another owner: 1")
    _, reassigned, _ = await operator.run("import", file, "--reassign")
    assert reassigned == "Threads adopted: 1. Among them, taken from another owner: 1. Already theirs: 3.\n"
    assert await operator.find_owners("thread_2") == {"thread_2": ALICE}


async def test_ids_alone_are_adopted_for_one_owner(operator: Operator) -> None:
    file = operator.write("thread_1\nthread_2,bob\n")
    status, _, _ = await operator.run("import", file, "--owner", "alice", "--tenant", "acme", "--issuer", "https://i")
    assert status == 0
    assert await operator.find_owners("thread_1", "thread_2") == {
        "thread_1": Owner("https://i", "alice", "acme"),
        "thread_2": Owner("https://i", "bob", "acme"),
    }


async def test_a_malformed_line_is_named_and_nothing_is_adopted(operator: Operator) -> None:
    status, output, errors = await operator.run("import", operator.write("thread_1,alice\nthread_2\n"))
    assert (status, output) == (2, "")
    assert errors == (
        "threads-gateway: threads.csv, line 2: expected a subject of 1 to 255 characters, got an empty one\n"
    )
    assert await operator.find_owners("thread_1") == {}


async def test_all_that_foundry_lists_is_adopted(emulator: Emulator, on_foundry: Operator) -> None:
    threads = await create_threads(emulator, 130)
    assert await on_foundry.run("import", "--owner", "alice") == (0, "Threads adopted: 130.\n", "")
    assert await on_foundry.find_owners(*threads) == dict.fromkeys(threads, ALICE)


async def test_a_thread_whose_creation_may_be_under_way_is_left_to_its_creator(
    emulator: Emulator, on_foundry: Operator
) -> None:
    (old,) = await create_threads(emulator, 1)
    intent = StoredIntent("intent", BOB, THREAD, int(time.time()))
    await on_foundry.store.add_intent(intent)
    emulator.clock.advance(HOUR)
    (new,) = await create_threads(emulator, 1)
    status, output, _ = await on_foundry.run("import", "--owner", "alice", "--reassign")
    assert status == 0
    assert output.startswith(
        "Threads adopted: 1. Left alone, because a gateway may be about to record their owner: 1, less than 5 minutes"
    )
    assert await on_foundry.store.add_created(intent, new)
    assert await on_foundry.find_owners(old, new) == {old: ALICE, new: BOB}


async def test_an_upstream_that_lists_no_threads_needs_a_file(operator: Operator) -> None:
    status, _, errors = await operator.run("import", "--owner", "alice")
    assert status == 2
    able = "azure-foundry and foundry-responses"
    assert f"FILE: expected a file, since only {able} list threads, and UPSTREAM_DIALECT is openai-v2" in errors


async def test_an_import_that_broke_off_goes_on(emulator: Emulator, on_foundry: Operator) -> None:
    threads = await create_threads(emulator, 130)
    emulator.misbehave("listThreads:html:every=2")
    status, output, errors = await on_foundry.run("import", "--owner", "alice")
    assert (status, output) == (1, "Threads adopted: 100.\n")
    assert "broke off: " in errors
    assert "run the same command again to go on" in errors
    emulator.misbehave("")
    assert await on_foundry.run("import", "--owner", "alice") == (0, "Threads adopted: 30. Already theirs: 100.\n", "")
    assert await on_foundry.find_owners(*threads) == dict.fromkeys(threads, ALICE)


async def test_files_are_adopted_by_their_ids(operator: Operator) -> None:
    ids = operator.write("file-1,alice\nfile-2,bob\n")
    assert await operator.run("import", "--kind", "file", ids) == (0, "Files adopted: 2.\n", "")
    assert await operator.store.find_owners(FILE, ["file-1", "file-2"]) == {"file-1": ALICE, "file-2": BOB}
    assert await operator.find_owners("file-1") == {}
    status, _, errors = await operator.run("import", "--kind", "file", "--owner", "alice")
    assert (status, "FILE: expected a file of ids for --kind file" in errors) == (2, True)


async def test_a_person_is_forgotten_upstream_in_the_ledger_and_in_redis(
    emulator: Emulator, operator: Operator, valkey: Valkey
) -> None:
    threads = await create_threads(emulator, 70)
    (of_bob,) = await create_threads(emulator, 1)
    await operator.adopt(ALICE, *threads)
    await operator.adopt(BOB, of_bob)
    add_files(emulator.store, KEY, "file-alice", "file-bob")
    await operator.store.adopt_objects(FILE, {"file-alice": ALICE, "file-bob": BOB, "file-gone": ALICE}, 0)
    intent = StoredIntent("intent", ALICE, THREAD, 0)
    await operator.store.add_intent(intent)
    await emulator.delete(f"/threads/{threads[0]}")
    # The keys are those of gateways, which know the dialect of the upstream too.
    upstream = UpstreamIdentity(emulator.url, dialect="openai-v2")
    kept = scoped_prefix("tg", BOB.digest(upstream), f"thread/{of_bob}") + "v:x"
    removed = [
        scoped_prefix(mark, ALICE.digest(upstream), f"thread/{threads[0]}") + "v:x" for mark in ("tg", "te:0a1b2c")
    ]
    for key in (kept, *removed):
        valkey.command("SET", key, "x")
    operator.variables |= {"REDIS_URL": valkey.url, "UPSTREAM_DIALECT": "openai-v2"}

    assert await operator.run("forget", "--subject", "alice") == (
        0,
        "Files deleted: 2. Threads deleted: 70.\nKeys removed from Redis: 2.\n",
        "",
    )
    assert not any([await exists(emulator, thread) for thread in threads])
    assert await operator.find_owners(*threads, of_bob) == {of_bob: BOB}
    assert await exists(emulator, of_bob)
    assert await operator.store.find_owners(FILE, ["file-alice", "file-bob", "file-gone"]) == {"file-bob": BOB}
    stored = {file["id"] for file in (await emulator.get("/files"))["data"]}
    assert stored & {"file-alice", "file-bob"} == {"file-bob"}
    assert valkey.command("KEYS", "*") == [kept.encode()]
    assert not await operator.store.add_created(intent, "thread_late"), "a late id brings nothing back"
    _, imported, _ = await operator.run("import", operator.write(f"{threads[1]},alice\n"))
    assert imported == "Threads adopted: 0. Left alone, because their owner was forgotten: 1.\n"
    assert await operator.run("forget", "--subject", "alice") == (
        0,
        "Files deleted: 0. Threads deleted: 0.\nKeys removed from Redis: 0.\n",
        "",
    )


async def test_forgetting_that_broke_off_goes_on(emulator: Emulator, operator: Operator) -> None:
    threads = await create_threads(emulator, 20)
    await operator.adopt(ALICE, *threads)
    emulator.misbehave("deleteThread:html:every=2")
    status, output, errors = await operator.run("forget", "--subject", "alice")
    left = await operator.find_owners(*threads)
    assert (status, output) == (1, f"Files deleted: 0. Threads deleted: {20 - len(left)}.\n")
    assert 0 < len(left) < 20
    assert f"broke off: {len(left)} files or threads stay, " in errors
    emulator.misbehave("")
    output = f"Files deleted: 0. Threads deleted: {len(left)}.\n"
    assert await operator.run("forget", "--subject", "alice") == (0, output, "")
    assert await operator.find_owners(*threads) == {}


async def test_a_person_is_forgotten_with_their_conversations_and_what_is_kept_of_them(
    emulator: Emulator, operator: Operator
) -> None:
    operator.variables["UPSTREAM_DIALECT"] = "openai-responses"
    ours, others = [(await emulator.post("/conversations", {}))["id"] for _ in range(2)]
    for owner, conversation_id in ((ALICE, ours), (BOB, others)):
        await operator.adopt(owner, conversation_id)
        body = {"model": "gpt-4o", "conversation": conversation_id, "background": True}
        run_id = (await emulator.post("/responses", body))["id"]
        kept = operator.store.kept
        await kept.chains.add_chain(ChainRecord(run_id, conversation_id, 1, None, (run_id,), b"{}"))
        await kept.chains.add_items(conversation_id, {"msg_1": ItemRecord(1)})
    output = "Files deleted: 0. Threads deleted: 1.\n"
    assert await operator.run("forget", "--subject", "alice") == (0, output, "")
    pages = [await kept.chains.list_chains(each, Window(9, "asc")) for each in (ours, others)]
    assert [len(page.data) for page in pages if page] == [0, 1]
    assert await kept.chains.find_items(ours, ["msg_1"]) == {}
    assert await kept.chains.find_items(others, ["msg_1"]) == {"msg_1": ItemRecord(1)}
    deleted = [request.path for request in emulator.counts.log if request.method == "DELETE"]
    assert deleted[0] == f"/v1/conversations/{ours}"
    assert [path.rpartition("/")[0] for path in deleted[1:]] == ["/v1/responses"]


async def test_a_redis_that_is_away_is_told(emulator: Emulator, operator: Operator) -> None:
    operator.variables["REDIS_URL"] = "redis://:hunter2@127.0.0.1:1/0"
    status, _, errors = await operator.run("forget", "--subject", "alice")
    assert status == 1
    assert "broke off: Redis does not answer: " in errors
    assert "hunter2" not in errors


@pytest.mark.parametrize(
    ("removed", "added", "arguments", "expected"),
    [
        ("GATEWAY_DATABASE_URL", {}, ["import", "/none"], "/none: No such file or directory"),
        (
            "GATEWAY_DATABASE_URL",
            {},
            ["forget", "--subject", "alice"],
            "sqlite:////path/ledger.db or postgresql://user:password@host/database, got none",
        ),
        ("", {"GATEWAY_JWT_TENANT_CLAIM": "org"}, ["import", "--owner", "alice"], "--tenant: expected"),
        ("", {}, ["forget", "--subject", ""], "expected a subject of 1 to 255 characters, got an empty one"),
        ("UPSTREAM_API_KEY", {}, ["forget", "--subject", "alice"], "UPSTREAM_API_KEY: expected a key"),
        ("GATEWAY_JWT_ISSUER", {}, ["forget", "--subject", "alice"], "--issuer: expected the issuer"),
        ("", {"GATEWAY_JWT_TENANT_CLAIM": "org"}, ["forget", "--subject", "alice"], "--tenant: expected"),
        ("", {}, ["forget"], "the following arguments are required: --subject"),
        ("", {}, ["import"], "expected FILE or --owner, got neither"),
    ],
)
async def test_what_is_missing_is_named(
    operator: Operator, removed: str, added: dict[str, str], arguments: list[str], expected: str
) -> None:
    operator.variables |= added
    operator.variables.pop(removed, None)
    status, _, errors = await operator.run(*arguments)
    assert status == 2
    assert expected in errors


async def test_progress_is_shown_in_a_terminal(operator: Operator) -> None:
    file = operator.write("".join(f"thread_{number},alice\n" for number in range(1200)))
    terminal, stderr = pty.openpty()
    try:
        status, output, _ = await operator.run("import", file, stderr=stderr)
        shown = os.read(terminal, 10_000).decode()
    finally:
        os.close(terminal)
        os.close(stderr)
    assert (status, output) == (0, "Threads adopted: 1200.\n")
    assert shown.startswith("\r500 of 1,200 threads looked at")
    assert shown.endswith("\r1,200 of 1,200 threads looked at\r\n")


CREATE = "mutation { createThread(input: {}) { thread { id upstreamId } userErrors { message } } }"
READ = "query ($id: ID!) { node(id: $id) { id } }"


async def test_the_owners_of_threads_outlive_the_gateway(emulator: Emulator, operator: Operator) -> None:
    def gateway() -> AbstractAsyncContextManager[Gateway]:
        return running_gateway(
            emulator.url,
            upstream_api_key=KEY,
            upstream_dialect="openai-v2",
            gateway_database_url=operator.url,
            gateway_ledger_deadline_seconds=20.0,  # which a busy machine keeps
            authenticator=NamedUsers(UpstreamIdentity(emulator.url, dialect="openai-v2")),
        )

    async with gateway() as first:
        alice = UserClient(first, "alice")
        thread = (await alice.execute(CREATE))["data"]["createThread"]["thread"]
        assert (await first.get("/readyz")).json["checks"] == {"upstream": "ok", "ledger": "ok"}
    assert await operator.find_owners(thread["upstreamId"]) == {thread["upstreamId"]: ALICE}
    await operator.adopt(BOB, *(imported := await create_threads(emulator, 1)))
    async with gateway() as second:
        for name, thread_id in (("alice", thread["id"]), ("bob", to_global_id(ThreadKey(imported[0])))):
            for reader in ("alice", "bob"):
                answer = await UserClient(second, reader).execute(READ, {"id": thread_id})
                found = answer["data"]["node"] is not None
                assert found is (reader == name)


async def test_the_records_of_a_changed_key_move_to_its_new_viewer(emulator: Emulator, operator: Operator) -> None:
    who, listed = "{ viewer { id } }", "{ viewer { threads(first: 500) { nodes { title } } } }"
    search = '{ viewer { threads(first: 5, filter: {text: "moon words"}) { nodes { title } } } }'
    message = 'messages: [{content: [{text: "Words of the moon"}]}]'
    fields = "thread { messages { nodes { id } } }"
    create = f'mutation {{ createThread(input: {{title: "Mine", {message}}}) {{ {fields} }} }}'
    async with running_gateway(emulator.url, gateway_database_url=operator.url) as gateway:
        old, new = {"Authorization": "Bearer old"}, {"Authorization": "Bearer new"}
        for _ in range(3):
            assert "errors" not in await gateway.execute(create, headers=old)
        ids = [(await gateway.execute(who, headers=headers))["data"]["viewer"]["id"] for headers in (old, new)]
        moving = ("import", "--from-viewer", ids[0], "--to-viewer", ids[1])
        assert await operator.run(*moving) == (0, "Records moved: 3.\n", "")
        assert await operator.run(*moving) == (0, "Records moved: 0.\n", "")
        for headers, expected in ((old, []), (new, [{"title": "Mine"}] * 3)):
            for document in (listed, search):
                answer = await gateway.execute(document, headers=headers)
                assert answer["data"]["viewer"]["threads"]["nodes"] == expected
    for arguments, fault in {
        (): "expected both",
        ("--to-viewer", ids[0]): "expected two viewers",
        ("--to-viewer", "alice"): "expected the value of viewer.id, got 'alice'",
        ("--to-viewer", ids[1], "--owner", "alice"): "without FILE",
    }.items():
        status, _, errors = await operator.run("import", "--from-viewer", ids[0], *arguments)
        assert status == 2
        assert fault in errors
