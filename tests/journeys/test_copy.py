"""`threads-gateway copy` as an operator runs it: from one API or account to another, over one emulator."""

import asyncio
import os
import pty
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.cli_copy import run_copy_command
from gateway.cli_parser import build_parser, print_faults
from gateway.config import BadSettingsError, load_settings
from gateway.emulator.demo.seed import DEMO_THREADS, THREAD_ANALYSIS, THREAD_SUPPORT, THREAD_TRIP
from gateway.emulator.http.partitions import partition_from_key
from gateway.identity.principal import Owner, UpstreamIdentity
from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.open_store import open_store
from gateway.ledger.sightings import GivenTitle, RecordKey, SeenThread
from gateway.ledger.sql_store import SqlStore
from schema.contract.keys import ThreadKey, to_global_id
from schema.contract.thread_records import RecordUpdate
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.full_runs import long_except
from tests.support.gateway import clean_environment, running_gateway
from tests.support.signed_in import ISSUER, NamedUsers, UserClient

ALICE = Owner(ISSUER, "alice")
THREAD = ObjectKind.THREAD
TARGET_KEY = "target-key"
DIALECTS = {"assistants": "openai-v2", "responses": "openai-responses"}
MESSAGES = "messages(first: 1000) { nodes { role text content { ... on RefusalContent { refusal } } } }"
READ = f"query ($ids: [ID!]!) {{ threadsByIds(ids: $ids) {{ {MESSAGES} }} }}"


@dataclass
class Mover:
    """An operator who moves a team to another face of the emulator, under another key."""

    emulator: Emulator
    family: str
    variables: dict[str, str]
    store: SqlStore
    directory: Path
    capture: pytest.CaptureFixture[str]

    async def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run `threads-gateway copy` in this process. Returns its status, its output and its errors."""
        parsed = build_parser().parse_args(["copy", *arguments])
        try:
            with pytest.MonkeyPatch.context() as patch:
                for name, value in clean_environment(**self.variables).items():
                    patch.setenv(name, value)
                settings = load_settings()
            status = await run_copy_command(parsed, settings)
        except BadSettingsError as error:
            status = print_faults(error.faults)
        shown = self.capture.readouterr()
        return status, shown.out, shown.err

    async def start(self, *arguments: str, stderr: int = asyncio.subprocess.DEVNULL) -> asyncio.subprocess.Process:
        """Start the command in a process of its own."""
        command = (sys.executable, "-m", "gateway", "copy", *arguments)
        environment = clean_environment(**self.variables)
        devnull = asyncio.subprocess.DEVNULL
        return await asyncio.create_subprocess_exec(*command, cwd="/", env=environment, stdout=devnull, stderr=stderr)

    def file_of(self, *thread_ids: str) -> str:
        path = self.directory / "threads.csv"
        path.write_text("".join(f"{thread_id}\n" for thread_id in thread_ids))
        return str(path)

    @asynccontextmanager
    async def signed_in_at(self, group: str) -> AsyncIterator[UserClient]:
        """Run a gateway over the source (`UPSTREAM`) or the target, where Alice is signed in."""
        dialect = self.variables[f"{group}_DIALECT"]
        users = NamedUsers(UpstreamIdentity(self.emulator.url, dialect=dialect))
        async with running_gateway(
            self.emulator.url,
            upstream_api_key=self.variables[f"{group}_API_KEY"],
            upstream_dialect=dialect,
            gateway_database_url=self.variables["GATEWAY_DATABASE_URL"],
            gateway_ledger_deadline_seconds=20.0,  # which a busy machine keeps
            authenticator=users,
        ) as gateway:
            yield UserClient(gateway, "alice")

    def count_filled_threads(self) -> int:
        """Count the threads of the target that have messages."""
        store, partition = self.emulator.store, partition_from_key(TARGET_KEY)
        if self.family == "assistants":
            return sum(store.messages.count(partition, one.id) > 0 for one in store.threads.list_all(partition, None))
        return sum(store.items.count(partition, one.id) > 0 for one in store.conversations.list_all(partition, None))


async def read_texts(client: UserClient, *thread_ids: str) -> list[list[tuple[str, str]]]:
    """Read the roles and the texts of the messages of threads. A refusal is copied as a text."""
    data = await client.data(READ, {"ids": thread_ids})
    return [
        [(message["role"], _text_of(message)) for message in thread["messages"]["nodes"]]
        for thread in data["threadsByIds"]
    ]


def _text_of(message: Any) -> str:
    return message["text"] or "".join(part.get("refusal", "") for part in message["content"])


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with running_emulator(seed_keys=(KEY,)) as emulator:
        yield emulator


@pytest.fixture(params=long_except(DIALECTS, ["responses"]))
async def mover(
    request: pytest.FixtureRequest, emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Mover]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    store = await open_store(url, UpstreamIdentity(emulator.url))
    await store.adopt_objects(THREAD, dict.fromkeys(DEMO_THREADS, ALICE), 0)
    variables = {
        "GATEWAY_DATABASE_URL": url,
        "UPSTREAM_URL": emulator.url,
        "UPSTREAM_DIALECT": "openai-v2",
        "UPSTREAM_API_KEY": KEY,
        "TARGET_URL": emulator.url,
        "TARGET_DIALECT": DIALECTS[request.param],
        "TARGET_API_KEY": TARGET_KEY,
    }
    yield Mover(emulator, request.param, variables, store, tmp_path, capsys)
    await store.aclose()


async def test_threads_are_copied_once_although_the_copy_is_killed_in_the_middle(mover: Mover) -> None:
    written = "createMessage" if mover.family == "assistants" else "createConversationItems"
    async with mover.signed_in_at("UPSTREAM") as before:
        texts = await read_texts(before, *DEMO_THREADS)
    mover.emulator.counts.reset()
    process = await mover.start()
    async with asyncio.timeout(60):
        while mover.emulator.counts.by_operation[written] < 3:  # noqa: ASYNC110 - another process sends them
            await asyncio.sleep(0.001)
    process.kill()
    await process.wait()
    assert mover.count_filled_threads() < len(DEMO_THREADS)
    status, output, errors = await mover.run()
    assert (status, errors) == (0, "")
    assert "Not at the source: 0." in output
    assert mover.count_filled_threads() == len(DEMO_THREADS)
    async with mover.signed_in_at("TARGET") as after:
        assert await read_texts(after, *DEMO_THREADS) == texts
    mover.emulator.counts.reset()
    status, output, _ = await mover.run()
    assert status == 0
    assert output.startswith("Threads copied: 0, with 0 messages. Files copied: 0. Copied before: 6.")
    assert mover.emulator.counts.total == 0, "what is known to be done costs no call"


async def test_the_old_id_of_a_thread_goes_on_working(mover: Mover) -> None:
    key = RecordKey(ALICE, THREAD_TRIP)
    await mover.store.records.record_sightings([SeenThread(key, 2000, 1000, title=GivenTitle("Lisbon", 2000))])
    await mover.store.records.update_record(key, RecordUpdate(is_archived=True), 3000)
    status, _, errors = await mover.run(mover.file_of(THREAD_TRIP, "thread_none"))
    assert (status, errors) == (0, "")
    old_id = to_global_id(ThreadKey(THREAD_TRIP))
    async with mover.signed_in_at("TARGET") as alice:
        page = "query ($id: ID!, $after: String) { node(id: $id) { id ... on Thread { title isArchived "
        page += "messages(first: 1, after: $after) { nodes { text createdAt } pageInfo { endCursor } } } } }"
        first = (await alice.data(page, {"id": old_id}))["node"]
        assert (first["id"], first["title"], first["isArchived"]) == (old_id, "Lisbon", True)
        cursor = first["messages"]["pageInfo"]["endCursor"]
        second = (await alice.data(page, {"id": old_id, "after": cursor}))["node"]
        assert first["messages"]["nodes"] != second["messages"]["nodes"]
        write = 'mutation ($id: ID!) { createMessage(input: {threadId: $id, content: [{text: "Still here"}]}) '
        write += "{ message { text } userErrors { code } } }"
        written = await alice.data(write, {"id": old_id})
        assert written["createMessage"] == {"message": {"text": "Still here"}, "userErrors": []}
        original = (await mover.emulator.get(f"/threads/{THREAD_TRIP}/messages?order=asc&limit=1"))["data"][0]
        written_at = datetime.fromisoformat(first["messages"]["nodes"][0]["createdAt"]).timestamp()
        assert (written_at == original["created_at"]) is (mover.family == "responses")
        (texts,) = await read_texts(alice, old_id)
        assert texts[-1] == ("USER", "Still here")
        listed = "query { viewer { threads(filter: {}) { nodes { title } } } }"
        data = await alice.data(listed)
        assert data["viewer"]["threads"]["nodes"] == [{"title": "Lisbon"}], "the list has it once"
        bob = UserClient(alice, "bob")
        assert (await bob.data(page, {"id": old_id}))["node"] is None


async def test_files_go_along_where_the_other_account_does_not_see_them(mover: Mover) -> None:
    files = mover.file_of(THREAD_SUPPORT, THREAD_ANALYSIS)
    status, output, errors = await mover.run(files)
    assert (status, errors) == (0, "")
    assert "Files copied: 0" not in output
    store, source, target = mover.emulator.store, partition_from_key(KEY), partition_from_key(TARGET_KEY)
    copied = store.files.list_all(target, None)
    originals = {file.filename: file for file in store.files.list_all(source, None)}
    assert copied
    for file in copied:
        assert file.size == originals[file.filename].size
    again = await mover.run(files)
    assert again[1].startswith("Threads copied: 0")
    assert len(store.files.list_all(target, None)) == len(copied)


async def test_a_look_before_the_copy_says_what_stays_behind(mover: Mover) -> None:
    status, output, errors = await mover.run("--dry-run")
    assert (status, errors) == (0, "")
    assert output.startswith("Threads to copy: 6, with ")
    assert "runs, with their steps and tool calls" in output
    assert ("metadata of messages" in output) is (mover.family == "responses")
    assert mover.count_filled_threads() == 0
    assert not any(name.startswith(("create", "POST")) for name in mover.emulator.counts.by_operation)


@pytest.mark.full
async def test_progress_is_shown_in_a_terminal(mover: Mover) -> None:
    terminal, stderr = pty.openpty()
    try:
        status = await (await mover.start(mover.file_of(THREAD_TRIP, THREAD_SUPPORT), stderr=stderr)).wait()
        shown = os.read(terminal, 10_000).decode()
    finally:
        os.close(terminal)
        os.close(stderr)
    assert status == 0
    assert shown.endswith("\r2 of 2 threads looked at\r\n")


async def test_a_thread_that_fails_is_named_and_the_others_are_copied(mover: Mover) -> None:
    failing = "createMessage" if mover.family == "assistants" else "createConversationItems"
    mover.emulator.misbehave(f"{failing}:html:first=1")
    status, output, errors = await mover.run(mover.file_of(THREAD_TRIP, THREAD_SUPPORT))
    assert status == 1
    assert output.startswith("Threads copied: 1, ")
    assert "threads-gateway: broke off: 1 threads could not be copied (thread_" in errors
    mover.emulator.misbehave("")
    status, output, _ = await mover.run(mover.file_of(THREAD_TRIP, THREAD_SUPPORT))
    assert (status, output.startswith("Threads copied: 1, ")) == (0, True)
    assert mover.count_filled_threads() == 2


@pytest.mark.parametrize(
    ("removed", "added", "expected"),
    [
        ("GATEWAY_DATABASE_URL", {}, "GATEWAY_DATABASE_URL: expected sqlite:"),
        ("TARGET_URL", {}, "TARGET_URL or --target-url: expected an http(s) URL"),
        ("TARGET_API_KEY", {}, "TARGET_API_KEY: expected a key"),
        ("UPSTREAM_API_KEY", {}, "UPSTREAM_API_KEY: expected a key"),
        (
            "TARGET_DIALECT",
            {"TARGET_DIALECT": "openai-v1"},
            "TARGET_DIALECT or --target-dialect: expected one that takes",
        ),
        (
            "TARGET_API_KEY",
            {"TARGET_API_KEY": KEY, "TARGET_DIALECT": "openai-v2"},
            "TARGET_URL: expected another upstream",
        ),
    ],
)
async def test_what_is_missing_is_named(mover: Mover, removed: str, added: dict[str, str], expected: str) -> None:
    mover.variables.pop(removed)
    mover.variables |= added
    status, output, errors = await mover.run()
    assert (status, output) == (2, "")
    assert expected in errors


async def test_a_ledger_without_threads_needs_a_file(mover: Mover) -> None:
    mover.variables["GATEWAY_DATABASE_URL"] = f"sqlite:///{mover.directory}/empty.db"
    status, _, errors = await mover.run()
    assert (status, "FILE: expected a file of ids" in errors) == (2, True)
