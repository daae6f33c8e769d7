"""Tests that a file is its owner's or nobody's, whichever message to the database is the last."""

import itertools
import json
import re
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from gateway.emulator.http.partitions import partition_from_key
from gateway.ledger.ledger_store import ObjectKind
from schema.contract.keys import from_file_id
from tests.support.emulator import KEY, Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.file_client import upload, uploaded
from tests.support.file_documents import DELETE_FILE
from tests.support.file_samples import CSV
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway
from tests.support.mutations import assistant, succeed
from tests.support.postgresql import PostgreSQL
from tests.support.proxied_database import (
    BUSY_SECONDS,
    DEADLINE_SECONDS,
    Gateways,
    lose_each_message,
    running_gateways,
)
from tests.support.signed_in import UserClient, owner

FILE = ObjectKind.FILE
FILENAME = "query ($file: ID!) { file(id: $file) { filename } }"
MADE_FILES = """query ($thread: ID!) { thread(id: $thread) { messages(last: 5) { nodes { content {
    ... on ImageFileContent { fileId } ... on TextContent { annotations { ... on FilePath { fileId } } } } } } } }"""
FILE_IDS = re.compile(r'"fileId": "([^"]+)"')
KINDS = ("upload", "deleteFile", "cold deleteFile", "read of a message", "cold read of a message")


class Sender(UserClient):
    """A user who sends files too."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(gateway, name)
        self.credential = f"Bearer {name}"


@dataclass
class Scene:
    """The gateways, and an assistant whose runs make files."""

    gateways: Gateways
    assistant_id: str

    @property
    def upstream_files(self) -> set[str]:
        return {file.id for file in self.gateways.emulator.store.files.list_all(partition_from_key(KEY), None)}

    async def prepare(self, kind: str) -> str:
        """Make what an operation needs at the other gateway. Returns its file or thread."""
        ann = Sender(self.gateways.direct, "ann")
        if "delete" in kind:
            file_id = str((await uploaded(ann, CSV, "a.csv"))["id"])
            if "cold" not in kind:
                assert (await self.gateways.ann.execute(FILENAME, {"file": file_id}))["data"]["file"]
            return file_id
        if "read" not in kind:
            return ""
        made = await succeed(ann, "createThread", "thread { id upstreamId }")
        path = f"/threads/{made['thread']['upstreamId']}"
        # No gateway is told of the run, so the message is seen by its first reader.
        emulator = self.gateways.emulator
        await emulator.post(f"{path}/messages", {"role": "user", "content": "Draw a chart and export a CSV file."})
        await emulator.post(f"{path}/runs", {"assistant_id": self.assistant_id})
        emulator.clock.advance(LONG_SECONDS)
        if "cold" not in kind:
            await self.gateways.wait_for_answer(made["thread"]["upstreamId"])
        return str(made["thread"]["id"])

    async def check_readers(self, file_ids: set[str]) -> None:
        """Check who reaches files of Ann's, at a gateway that learned of them from the database alone."""
        for file_id in file_ids:
            found = await UserClient(self.gateways.direct, "ann").execute(FILENAME, {"file": file_id})
            assert found["data"]["file"]
            self.gateways.emulator.counts.reset()
            refused = await UserClient(self.gateways.direct, "bob").execute(FILENAME, {"file": file_id})
            assert refused == {"data": {"file": None}}
            assert self.gateways.emulator.counts.total == 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("kind", "fault"),
    long_except(
        itertools.product(KINDS, ("cut", "swallow")),
        [("upload", "cut"), ("cold deleteFile", "swallow"), ("read of a message", "cut")],
    ),
)
async def test_a_database_lost_at_any_message_leaves_the_right_owner_or_none(
    emulator: Emulator, postgresql: PostgreSQL, request: pytest.FixtureRequest, kind: str, fault: str
) -> None:
    async with running_gateways(emulator, postgresql, gateway_cache=False) as gateways:
        scene = Scene(gateways, await assistant(emulator, tools=[{"type": "code_interpreter"}]))
        is_full = request.config.getoption("full")
        await lose_each_message(gateways, partial(lose_database, scene, kind, fault), is_full=is_full)


async def lose_database(scene: Scene, kind: str, fault: str, chunk: int) -> bool:
    """Lose the database in place of its message with this number. Returns whether the operation has so many."""
    proxy, prepared = scene.gateways.proxy, await scene.prepare(kind)
    begin = {"upload": send_file, "deleteFile": delete_file}.get(kind.rsplit(maxsplit=1)[-1], read_message)
    proxy.arm(chunk, getattr(proxy, fault))
    started = time.monotonic()
    check = await begin(scene, prepared)
    assert time.monotonic() - started < 2 * DEADLINE_SECONDS + BUSY_SECONDS
    is_lost = proxy.disarm()
    await scene.gateways.recover()
    await check()
    return is_lost


def is_unavailable(answer: Any) -> bool:
    """Tell whether an answer is the refusal of a gateway whose database is away, and nothing else."""
    codes = {(error["extensions"]["code"], error["extensions"]["retryable"]) for error in answer.get("errors", ())}
    assert codes <= {("LEDGER_UNAVAILABLE", True)}
    return bool(codes)


async def send_file(scene: Scene, _: str) -> Any:
    before = scene.upstream_files
    reply = await upload(Sender(scene.gateways.proxied, "ann"), CSV, "a.csv")
    made = scene.upstream_files - before

    async def check() -> None:
        if is_unavailable(reply.json):
            assert (reply.status, made) == (503, set())
            return
        assert made == {reply.json["upstreamId"]}
        await scene.gateways.wait_for_owners(FILE, made, dict.fromkeys(made, owner("ann")))
        await scene.check_readers({reply.json["id"]})

    return check


async def delete_file(scene: Scene, file_id: str) -> Any:
    upstream_id = from_file_id(file_id)
    answer = await scene.gateways.ann.execute(DELETE_FILE, {"file": file_id})
    is_deleted = upstream_id not in scene.upstream_files

    async def check() -> None:
        assert is_deleted is not is_unavailable(answer)
        expected = {} if is_deleted else {upstream_id: owner("ann")}
        await scene.gateways.wait_for_owners(FILE, {upstream_id}, expected)

    return check


async def read_message(scene: Scene, thread_id: str) -> Any:
    answer = await scene.gateways.ann.execute(MADE_FILES, {"thread": thread_id})
    file_ids = set(FILE_IDS.findall(json.dumps(answer)))
    for file_id in file_ids:
        # Whether it is stored or not: who sees it may open it, and nobody else.
        opened = await scene.gateways.ann.execute(FILENAME, {"file": file_id})
        assert opened["data"]["file"]
        refused = await UserClient(scene.gateways.proxied, "bob").execute(FILENAME, {"file": file_id})
        assert not refused["data"]["file"]

    async def check() -> None:
        if is_unavailable(answer):
            assert not file_ids
            return
        assert len(file_ids) == 2
        made = set(map(from_file_id, file_ids))
        await scene.gateways.wait_for_owners(FILE, made, dict.fromkeys(made, owner("ann")))
        await scene.check_readers(file_ids)

    return check
