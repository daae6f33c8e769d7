"""Threads by their ids of before a move, over the ports of one operation."""

from collections.abc import Collection
from typing import Any

import pytest

from gateway.ledger.aliased_ports import AliasedRunEvents, AliasedThreadsApi, AliasedViewer
from gateway.ledger.copy_store import ObjectCopy
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import LedgerUnavailableError, ObjectKind
from gateway.ledger.memory_copy_store import MemoryCopyStore
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.thread_aliases import KNOWN_SECONDS, ThreadAliases
from schema.contract.bodies import ContentPartBody, MessageBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, RunKey, ThreadKey
from schema.contract.kinds import ASSISTANTS, MESSAGES, THREADS, MessagePageKey
from schema.contract.paging import Window
from schema.contract.thread_records import RecordUpdate
from schema.contract.writes import CREATE_MESSAGE
from tests.support.fake_run_events import FakeRunEvents
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.wire_samples import message, thread

FAMILY = "responses"
OLD, NEW = ThreadKey("thread_old"), ThreadKey("conv_new")
HELLO = MessageBody(role="user", content=[ContentPartBody(type="text", text="Hello")])


class CountedCopies(MemoryCopyStore):
    """Copies that fail while the database is away, and count how often they are asked."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = False
        self.calls = 0

    async def has_done_copies(self, family: str) -> bool:
        self._pass()
        return await super().has_done_copies(family)

    async def find_copies(self, family: str, kind: str, old_ids: Collection[str]) -> dict[str, ObjectCopy]:
        self._pass()
        return await super().find_copies(family, kind, old_ids)

    def _pass(self) -> None:
        self.calls += 1
        if self.is_away:
            raise LedgerUnavailableError("away")


class World:
    """A ledger with the copy of one thread, an upstream that knows its new id alone, and a clock."""

    def __init__(self) -> None:
        store: Any = MemoryStore()
        self.copies = store._copies = CountedCopies()
        self.now = 0.0
        self.link = LedgerLink(store, deadline_seconds=10, now_seconds=lambda: self.now)
        self.aliases = ThreadAliases(self.link, FAMILY, now_seconds=lambda: self.now)
        self.upstream = FakeThreadsApi(
            threads={NEW: thread(NEW.thread_id)},
            messages={MessageKey(NEW.thread_id, name): message(name) for name in ("msg_1", "msg_2")},
        )
        self.port = AliasedThreadsApi(self.upstream, self.aliases)

    async def add_copy(self, *, is_done: bool = True) -> None:
        copy = ObjectCopy(OLD.thread_id, NEW.thread_id, is_done=is_done)
        await self.copies.put_copy(FAMILY, ObjectKind.THREAD, copy, 0)


@pytest.fixture
async def world() -> World:
    return World()


async def test_an_old_id_reads_and_writes_the_thread_that_it_became(world: World) -> None:
    await world.add_copy()
    found, missing = await world.port.get(THREADS, [OLD, ThreadKey("thread_none")])
    assert getattr(found, "id", None) == NEW.thread_id
    assert isinstance(missing, GatewayError)
    (one,) = await world.port.get(MESSAGES, [MessageKey(OLD.thread_id, "msg_1")])
    assert getattr(one, "id", None) == "msg_1"
    await world.port.write(CREATE_MESSAGE, OLD, HELLO)
    assert world.upstream.calls[-1][1] == (NEW,)


async def test_a_page_by_an_old_id_is_reported_under_it(world: World) -> None:
    await world.add_copy()
    keys = [MessagePageKey(each.thread_id, None, Window(20, "asc", None)) for each in (OLD, NEW)]
    reported: list[Any] = []
    pages = await world.port.list(MESSAGES, keys, on_result=lambda key, _: reported.append(key))
    assert [[each.id for each in getattr(page, "data", ())] for page in pages] == [["msg_1", "msg_2"]] * 2
    assert set(reported) <= set(keys)
    assert len(world.upstream.calls) == 1, "the same page is read once"


async def test_a_copy_that_is_not_done_stands_for_nothing(world: World) -> None:
    await world.add_copy(is_done=False)
    (missing,) = await world.port.get(THREADS, [OLD])
    assert isinstance(missing, GatewayError)
    assert missing.code is ErrorCode.NOT_FOUND


async def test_without_copies_the_ledger_is_asked_once_a_minute(world: World) -> None:
    for _ in range(5):
        await world.port.get(THREADS, [NEW])
    assert world.copies.calls == 1
    assert world.aliases.has_none
    await world.add_copy()
    world.now += KNOWN_SECONDS
    (found,) = await world.port.get(THREADS, [OLD])
    assert getattr(found, "id", None) == NEW.thread_id


async def test_what_is_of_no_thread_asks_nobody(world: World) -> None:
    await world.add_copy()
    await world.port.get(ASSISTANTS, [AssistantKey("asst_1")])
    assert world.copies.calls == 0


async def test_an_outage_of_the_ledger_costs_old_ids_alone(world: World) -> None:
    await world.add_copy()
    await world.port.get(THREADS, [NEW])
    world.copies.is_away = True
    world.now += KNOWN_SECONDS
    found, unknown = await world.port.get(THREADS, [NEW, OLD])
    assert getattr(found, "id", None) == NEW.thread_id
    assert isinstance(unknown, GatewayError)
    assert unknown.code is ErrorCode.LEDGER_UNAVAILABLE, "nobody knows whether it is there"
    with pytest.raises(GatewayError) as raised:
        await world.port.write(CREATE_MESSAGE, OLD, HELLO)
    assert raised.value.code is ErrorCode.LEDGER_UNAVAILABLE


async def test_an_outage_is_not_noticed_where_nothing_was_copied(world: World) -> None:
    await world.port.get(THREADS, [NEW])
    world.copies.is_away = True
    world.now += KNOWN_SECONDS
    (missing,) = await world.port.get(THREADS, [OLD])
    assert isinstance(missing, GatewayError)
    assert missing.code is ErrorCode.NOT_FOUND


async def test_runs_and_threads_are_followed_by_an_old_id(world: World) -> None:
    await world.add_copy()
    inner = FakeRunEvents()
    events = AliasedRunEvents(inner, world.aliases)
    await events.follow_thread(OLD, after="cursor")
    await events.follow_run(RunKey(OLD.thread_id, "run_1"))
    await events.follow_status(RunKey(OLD.thread_id, "run_1"))
    assert [key for _, key, _ in inner.followed] == [NEW, *[RunKey(NEW.thread_id, "run_1")] * 2]


async def test_records_are_read_and_written_by_an_old_id(world: World) -> None:
    await world.add_copy()
    viewer = FakeViewerApi()
    viewer.add(NEW.thread_id, 1, title="Trip")
    port = AliasedViewer(viewer, world.aliases)
    (record,) = await port.get_records([OLD])
    assert getattr(record, "title", None) == "Trip"
    updated = await port.update_record(OLD, RecordUpdate(title="Journey"))
    assert (updated.thread_id, updated.title) == (NEW.thread_id, "Journey")
