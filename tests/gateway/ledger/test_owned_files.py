"""Tests of files at the port of signed-in users: their owners, and those of files that runs make."""

import asyncio
from collections.abc import AsyncIterator, Collection
from typing import Any

import pytest

from gateway.identity.permissions import NamedObject
from gateway.ledger.ledger_store import MadeFile
from schema.contract.bodies import MessageBody, MetadataUpdateBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import FileKey, MessageKey, RunStepKey
from schema.contract.kinds import FILES, MESSAGES, RUN_STEPS, MessagePageKey, RunStepPageKey
from schema.contract.paging import Window
from schema.contract.writes import CREATE_MESSAGE, DELETE_FILE, UPDATE_MESSAGE
from tests.gateway.cache.cached_queries import response_key
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import ACTIVE, FILE, OPEN, OTHER_THREAD, THREAD, T, Upstream, until
from tests.gateway.ledger.owned_ports import GATEWAY, Ports, scope_of
from tests.support.fake_ownership import FakeOwnership
from tests.support.signed_in import owner
from tests.support.wire_samples import file, message, run_step

CHART, TABLE = FileKey("file-chart"), FileKey("file-table")
ANSWER = MessageKey(T, "msg_answer")
CONTENT = [
    {"type": "image_file", "image_file": {"file_id": "file-chart"}},
    {
        "type": "text",
        "text": {
            "value": "See the table and the book.",
            "annotations": [
                {"type": "file_path", "text": "the table", "file_path": {"file_id": "file-table"}},
                {"type": "file_citation", "text": "the book", "file_citation": {"file_id": "file-1"}},
            ],
        },
    },
]
MADE = [MadeFile("file-chart", T, owner("ann")), MadeFile("file-table", T, owner("ann"))]
STEP_WITH_IMAGE = {
    "type": "tool_calls",
    "tool_calls": [
        {
            "id": "call_1",
            "type": "code_interpreter",
            "code_interpreter": {
                "input": "draw()",
                "outputs": [{"type": "logs", "logs": "file_id"}, {"type": "image", "image": {"file_id": "file-chart"}}],
            },
        }
    ],
}
PAGE = MessagePageKey(T, None, OPEN)


class HeldOwnership(FakeOwnership):
    """Owners whose first try to store files that runs made lasts until a test ends it."""

    def __init__(self, **owners: Any) -> None:
        super().__init__(**owners)
        self.first_try: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def record_made_files(self, files: Collection[MadeFile]) -> asyncio.Future[None] | None:
        super().record_made_files(files)
        return None if self.first_try.done() else self.first_try


@pytest.fixture
def upstream() -> Upstream:
    upstream = Upstream()
    upstream.messages[ANSWER] = message("msg_answer", role="assistant", run_id="run_1", content=CONTENT)
    upstream.files |= {CHART: file("file-chart"), TABLE: file("file-table")}
    return upstream


@pytest.fixture
def ownership() -> FakeOwnership:
    return FakeOwnership({T: owner("ann"), OTHER_THREAD.thread_id: owner("bob"), "file-1": owner("bob")})


@pytest.fixture
async def ports(upstream: Upstream, ownership: FakeOwnership) -> AsyncIterator[Ports]:
    async with processes(1, None) as (shared,):
        yield Ports(upstream, ownership, shared)


def outcome(result: object) -> str:
    return result.message if isinstance(result, GatewayError) else "found"


async def find_files(ports: Ports, name: str) -> list[str]:
    return [outcome(result) for result in await ports.bind(name).get(FILES, [CHART, TABLE, FILE])]


@pytest.mark.parametrize("reader", ["ann", "root"])
async def test_a_read_records_what_runs_made_as_the_owners_of_the_thread(
    ports: Ports, ownership: FakeOwnership, reader: str
) -> None:
    await ports.bind(reader).get(MESSAGES, [ANSWER])
    assert ownership.made_files == MADE
    refused = [f"No such File object: file-{name}" for name in ("chart", "table", "1")]
    assert await find_files(ports, "ann") == ["found", "found", refused[2]]
    assert await find_files(ports, "bob") == [refused[0], refused[1], "found"]
    assert await find_files(ports, "root") == ["found"] * 3


async def test_what_a_person_put_into_a_message_was_not_made(ports: Ports, upstream: Upstream) -> None:
    upstream.messages[ANSWER] = message("msg_answer", role="user", content=CONTENT)
    await ports.bind("ann").get(MESSAGES, [ANSWER])
    await ports.bind("ann").list(MESSAGES, [PAGE])
    assert isinstance(ports.ownership, FakeOwnership)
    assert ports.ownership.made_files == []


async def test_what_is_made_in_a_thread_of_nobody_stays_nobodys(ports: Ports, ownership: FakeOwnership) -> None:
    del ownership.owners[T]
    await ports.bind("root").get(MESSAGES, [ANSWER])
    assert ownership.made_files == []


async def test_a_step_names_the_images_that_its_code_made(ports: Ports, upstream: Upstream) -> None:
    key = RunStepKey(T, "run_1", "step_1")
    upstream.run_steps[key] = run_step("step_1", step_details=STEP_WITH_IMAGE)
    for read in (
        lambda: ports.bind("ann").get(RUN_STEPS, [key]),
        lambda: ports.bind("ann").list(RUN_STEPS, [RunStepPageKey(T, "run_1", OPEN)]),
    ):
        ports.ownership.made_files.clear()
        await read()
        assert ports.ownership.made_files == MADE[:1]


async def test_the_result_of_a_write_names_files_too(ports: Ports, ownership: FakeOwnership) -> None:
    await ports.bind("ann").write(UPDATE_MESSAGE, ANSWER, MetadataUpdateBody(metadata={}))
    assert ownership.made_files == MADE


async def test_a_page_with_new_files_is_reported_once_they_are_recorded(upstream: Upstream) -> None:
    """A client may open a file at another gateway, which knows the ledger alone."""
    ownership = HeldOwnership(owners={T: owner("ann")})
    plain = MessagePageKey(T, "run_2", OPEN)
    early: list[Any] = []
    async with processes(1, None) as (shared,):
        ports = Ports(upstream, ownership, shared)
        listing = asyncio.create_task(
            ports.bind("ann").list(MESSAGES, [PAGE, plain], on_result=lambda key, _: early.append(key))
        )
        await until(lambda: bool(ownership.made_files))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not listing.done()
        assert PAGE not in early
        assert ownership.owners["file-chart"] == owner("ann"), "this process knows at once"
        ownership.first_try.set_result(None)
        results = await listing
        assert [outcome(result) for result in results] == ["found", "found"]
        assert len(ownership.made_files) == len(MADE), "once for each result"
        # From now on nothing is new, so nobody waits.
        again = MessagePageKey(T, None, Window(10, "asc"))
        await ports.bind("ann").list(MESSAGES, [again], on_result=lambda key, _: early.append(key))
        assert again in early


async def test_a_cited_file_is_found_by_the_operation_that_shows_what_cites_it(
    ports: Ports, upstream: Upstream
) -> None:
    ann = ports.bind("ann")
    ann.record_cited(["file-1"])
    assert outcome((await ann.get(FILES, [FILE]))[0]) == "found"
    assert ports.opened == [scope_of("bob")]
    await ports.bind("bob").get(FILES, [FILE])
    assert len(upstream.calls) == 1, "all who cite it share its entry with its owner"
    with pytest.raises(GatewayError, match="No such File object: file-1"):
        await ports.bind("ann").write(DELETE_FILE, FILE, None)
    await ports.bind("bob").write(DELETE_FILE, FILE, None)
    ann = ports.bind("ann")
    ann.record_cited(["file-1"])
    assert outcome((await ann.get(FILES, [FILE]))[0]) != "found", "its deletion is seen by all who cite it"


async def test_a_deletion_takes_the_file_from_its_owner(ports: Ports, ownership: FakeOwnership) -> None:
    for name in ("ann", "eve"):
        with pytest.raises(GatewayError, match="No such File object: file-1"):
            await ports.bind(name).write(DELETE_FILE, FILE, None)
    api = ports.bind("bob")
    await api.write(DELETE_FILE, FILE, None)
    assert ownership.deleted == ["file-1"]
    assert outcome((await api.get(FILES, [FILE]))[0]) == "No such File object: file-1"


async def test_an_admin_deletes_a_file_of_anybody_in_its_owners_scope(ports: Ports, ownership: FakeOwnership) -> None:
    await ports.bind("root").write(DELETE_FILE, FILE, None)
    await ports.bind("root").write(DELETE_FILE, CHART, None)
    assert ports.opened == [scope_of("bob"), GATEWAY]
    assert ownership.deleted == ["file-1", "file-chart"]


async def test_a_body_may_name_the_users_own_files(ports: Ports, ownership: FakeOwnership, upstream: Upstream) -> None:
    ownership.owners["file-chart"] = owner("ann")
    del upstream.runs[ACTIVE]
    own, theirs = [
        MessageBody.model_validate({"role": "user", "content": [{"type": "text", "text": "?"}], "file_ids": [file_id]})
        for file_id in ("file-chart", "file-1")
    ]
    await ports.bind("ann").write(CREATE_MESSAGE, THREAD, own)
    upstream.calls.clear()
    with pytest.raises(GatewayError) as refused:
        await ports.bind("ann").write(CREATE_MESSAGE, THREAD, theirs)
    named = NamedObject("file_id", "file-1", "file_ids.0")
    assert (refused.value.code, refused.value.argument) == (ErrorCode.NOT_FOUND, named.path)
    ownership.unknown = {"file-chart"}
    with pytest.raises(GatewayError, match="The ledger does not answer"):
        await ports.bind("ann").write(CREATE_MESSAGE, THREAD, own)
    assert upstream.calls == []


async def test_a_stored_response_is_not_used_once_a_file_has_another_owner(
    ports: Ports, ownership: FakeOwnership
) -> None:
    key, data = response_key(), b'{"a":1}'
    api = ports.bind("bob")
    await api.get(FILES, [FILE])
    api.store_response(key, data)
    assert await ports.bind("bob").find_response(key) == data
    ownership.owners["file-1"] = owner("ann")
    assert await ports.bind("bob").find_response(key) is None
