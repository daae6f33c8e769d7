"""One contract for what is kept of an upstream with responses: its chains, the items that were seen, its assistants."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
import pytest

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from gateway.ledger.sightings import CredentialOwner, RecordKey, SeenThread
from gateway.upstream.dialects import DIALECTS
from gateway.upstream.responses.assistant_shelf import AssistantShelf
from gateway.upstream.responses.kept_records import AssistantStore, ChainRecord, ChainStore, ItemRecord, KeptRecords
from schema.contract.bodies import AssistantBody, AssistantUpdateBody
from schema.contract.keys import AssistantKey
from schema.contract.paging import Order, Window
from schema.contract.wire import AssistantObject
from tests.contracts.kept_records import kept
from tests.contracts.ledger_stores import ALICE, UPSTREAM, OpenLedger, open_ledger, store

__all__ = ["kept", "open_ledger", "store"]  # fixtures

STRANGE_IDS = ["nul\0", "\ud800 alone", "back\\slash\\0000", "%27; --", "ÄÖ ❄", "x" * 512]


@pytest.fixture
def chains(kept: KeptRecords) -> ChainStore:
    return kept.chains


@pytest.fixture
def assistants(kept: KeptRecords) -> AssistantStore:
    return kept.assistants


def chain_of(run_id: str, thread_id: str = "conv_1", created_at: int = 100, **fields: object) -> ChainRecord:
    chain = ChainRecord(run_id, thread_id, created_at, "asst_1", (run_id,), b'{"model": "m"}')
    return replace(chain, **fields)  # type: ignore[arg-type]


async def find_one(chains: ChainStore, run_id: str) -> ChainRecord | None:
    return (await chains.find_chains([run_id])).get(run_id)


async def test_a_chain_is_found_as_it_was_added(chains: ChainStore) -> None:
    whole = chain_of(
        "resp_1",
        response_ids=("resp_1", "resp_2"),
        request=b'{"model": "m", "instructions": "nul\\u0000 \xc3\xa9"}',
        answers={"call_1": "sunny\0", "call_2": ""},
        status="requires_action",
        waiting_since=123.5,
    )
    bare = chain_of("resp_3", assistant_id=None)
    for chain in (whole, bare):
        await chains.add_chain(chain)
    assert await chains.find_chains(["resp_3", "resp_1", "resp_2"]) == {"resp_1": whole, "resp_3": bare}
    assert await chains.find_chains([]) == {}


async def test_a_chain_that_is_added_again_replaces_the_one_before(chains: ChainStore) -> None:
    await chains.add_chain(chain_of("resp_1"))
    await chains.add_chain(chain_of("resp_1", status="completed", assistant_id="asst_2"))
    assert await find_one(chains, "resp_1") == chain_of("resp_1", status="completed", assistant_id="asst_2")


@pytest.mark.parametrize("strange", STRANGE_IDS, ids=range(len(STRANGE_IDS)))
async def test_ids_may_hold_any_character(kept: KeptRecords, strange: str) -> None:
    await kept.chains.add_chain(chain_of(strange, strange, assistant_id=strange))
    assert await find_one(kept.chains, strange) == chain_of(strange, strange, assistant_id=strange)
    page = await kept.chains.list_chains(strange, Window(5, "asc"))
    assert page is not None
    assert [chain.run_id for chain in page.data] == [strange]
    await kept.chains.add_items(strange, {strange: ItemRecord(5, strange)})
    assert await kept.chains.find_items(strange, [strange]) == {strange: ItemRecord(5, strange)}
    # No text of an assistant has half of a character: its input is checked.
    text = strange.replace("\ud800", "")
    await kept.assistants.add_assistant("shelf", AssistantObject(text, 1, instructions=text))
    found = await kept.assistants.find_assistants("shelf", [text])
    assert found == {text: AssistantObject(text, 1, instructions=text)}


async def test_what_is_longer_than_any_id_is_not_kept(chains: ChainStore) -> None:
    too_long = "x" * 10_000
    await chains.add_chain(chain_of(too_long, "conv_long"))
    await chains.add_chain(chain_of("resp_1", too_long))
    await chains.add_items(too_long, {"msg_1": ItemRecord(1)})
    await chains.add_items("conv_1", {too_long: ItemRecord(1), "msg_2": ItemRecord(2)})
    assert await chains.find_chains([too_long, "resp_1"]) == {}
    assert await chains.find_items("conv_1", [too_long, "msg_2"]) == {"msg_2": ItemRecord(2)}


async def walk(chains: ChainStore, order: Order, limit: int) -> list[str]:
    seen: list[str] = []
    while True:
        page = await chains.list_chains("conv_1", Window(limit, order, seen[-1] if seen else None))
        assert page is not None
        assert len(page.data) <= limit
        seen += [chain.run_id for chain in page.data]
        if not page.has_more:
            return seen
        assert len(page.data) == limit


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_chains_are_listed_by_time_and_as_they_were_added_in_both_orders(chains: ChainStore, limit: int) -> None:
    started = [("resp_c", 10), ("resp_b", 20), ("resp_z", 20), ("resp_a", 20), ("resp_e", 5), ("resp_d", 30)]
    for run_id, created_at in started:
        await chains.add_chain(chain_of(run_id, created_at=created_at))
    await chains.add_chain(chain_of("resp_x", "conv_2", 15))
    # What is added again stays where it is.
    await chains.add_chain(chain_of("resp_b", created_at=20, status="completed"))
    await chains.record_status("resp_z", "completed")
    oldest_first = ["resp_e", "resp_c", "resp_b", "resp_z", "resp_a", "resp_d"]
    assert await walk(chains, "asc", limit) == oldest_first
    assert await walk(chains, "desc", limit) == oldest_first[::-1]


async def test_a_page_after_an_unknown_chain_is_none(chains: ChainStore) -> None:
    await chains.add_chain(chain_of("resp_1", "conv_2"))
    assert await chains.list_chains("conv_1", Window(5, "asc", "resp_1")) is None
    assert await chains.list_chains("conv_1", Window(5, "asc", "resp_9")) is None
    page = await chains.list_chains("conv_1", Window(5, "asc"))
    assert page is not None
    assert (page.data, page.has_more) == ([], False)


async def test_a_further_response_ends_the_waiting(chains: ChainStore) -> None:
    await chains.add_chain(chain_of("resp_1"))
    assert await chains.record_status("resp_1", "requires_action", 500.25)
    for _ in range(2):
        await chains.extend_chain("resp_1", "resp_2", {"call_1": "sunny"})
    await chains.extend_chain("resp_1", "resp_3", {"call_2": "cold"})
    assert await find_one(chains, "resp_1") == chain_of(
        "resp_1",
        response_ids=("resp_1", "resp_2", "resp_3"),
        answers={"call_1": "sunny", "call_2": "cold"},
        status="queued",
    )
    await chains.extend_chain("resp_9", "resp_2", {})
    assert await find_one(chains, "resp_9") is None


async def test_a_status_that_ends_a_run_stays(chains: ChainStore) -> None:
    await chains.add_chain(chain_of("resp_1"))
    assert await chains.record_status("resp_1", "in_progress")
    assert not await chains.record_status("resp_1", "in_progress")
    assert await chains.record_status("resp_1", "expired", 700.0)
    for status in ("in_progress", "completed", "requires_action"):
        assert not await chains.record_status("resp_1", status, 800.0)
    await chains.extend_chain("resp_1", "resp_2", {})
    assert await find_one(chains, "resp_1") == chain_of(
        "resp_1", response_ids=("resp_1", "resp_2"), status="expired", waiting_since=None
    )
    assert not await chains.record_status("resp_9", "completed")


async def test_a_run_that_is_to_be_cancelled_stays_so_until_it_ends(chains: ChainStore) -> None:
    await chains.add_chain(chain_of("resp_1"))
    assert await chains.record_status("resp_1", "cancelling")
    for status in ("in_progress", "queued"):
        assert not await chains.record_status("resp_1", status)
    assert await chains.record_status("resp_1", "failed")


async def test_a_run_that_is_to_be_cancelled_and_waits_is_cancelled(chains: ChainStore) -> None:
    news = {"resp_1": ("cancelling", "requires_action"), "resp_2": ("requires_action", "cancelling")}
    for run_id, statuses in news.items():
        await chains.add_chain(chain_of(run_id))
        for status in statuses:
            assert await chains.record_status(run_id, status, 500.0 if status == "requires_action" else None)
        assert await find_one(chains, run_id) == chain_of(run_id, status="cancelled")


async def test_an_ended_run_is_kept_with_its_status_or_later_and_stays(chains: ChainStore) -> None:
    await chains.add_chain(chain_of("resp_1"))
    await chains.add_chain(chain_of("resp_2"))
    assert await chains.record_status("resp_1", "completed", ended_run=b'{"id":"resp_1"}')
    assert await chains.record_status("resp_2", "completed")
    assert not await chains.record_status("resp_2", "failed", ended_run=b"other")
    assert await chains.record_status("resp_2", "completed", ended_run=b'{"id":"resp_2"}')
    assert not await chains.record_status("resp_2", "completed", ended_run=b"later")
    for run_id in ("resp_1", "resp_2"):
        expected = chain_of(run_id, status="completed", ended_run=b'{"id":"%s"}' % run_id.encode())
        assert await find_one(chains, run_id) == expected


async def test_a_run_that_waits_already_keeps_its_time(chains: ChainStore) -> None:
    await chains.add_chain(chain_of("resp_1"))
    assert await chains.record_status("resp_1", "requires_action", 500.0)
    assert not await chains.record_status("resp_1", "requires_action", 900.0)
    assert await find_one(chains, "resp_1") == chain_of("resp_1", status="requires_action", waiting_since=500.0)


async def test_chains_that_wait_are_listed_the_longest_first(chains: ChainStore) -> None:
    for run_id, since in (("resp_1", 300.0), ("resp_2", 100.5), ("resp_3", 200.0), ("resp_4", None)):
        status = "in_progress" if since is None else "requires_action"
        await chains.add_chain(chain_of(run_id, f"conv_{run_id}", status=status, waiting_since=since))
    assert [chain.run_id for chain in await chains.list_waiting(301.0, 10)] == ["resp_2", "resp_3", "resp_1"]
    assert [chain.run_id for chain in await chains.list_waiting(300.0, 10)] == ["resp_2", "resp_3"]
    assert [chain.run_id for chain in await chains.list_waiting(301.0, 1)] == ["resp_2"]
    assert await chains.record_status("resp_2", "expired")
    await chains.extend_chain("resp_3", "resp_9", {})
    assert [chain.run_id for chain in await chains.list_waiting(301.0, 10)] == ["resp_1"]


async def test_an_item_keeps_its_first_time_and_gets_its_run(chains: ChainStore) -> None:
    await chains.add_items("conv_1", {"msg_1": ItemRecord(10), "msg_2": ItemRecord(20, "resp_1")})
    await chains.add_items("conv_1", {"msg_1": ItemRecord(15, "resp_2"), "msg_2": ItemRecord(5, "resp_3")})
    await chains.add_items("conv_2", {"msg_1": ItemRecord(99)})
    await chains.add_items("conv_1", {})
    assert await chains.find_items("conv_1", ["msg_2", "msg_1", "msg_3"]) == {
        "msg_1": ItemRecord(10, "resp_2"),
        "msg_2": ItemRecord(20, "resp_1"),
    }
    assert await chains.find_items("conv_1", []) == {}


async def test_what_is_removed_does_not_come_back_late(kept: KeptRecords) -> None:
    chains = kept.chains
    for thread_id, run_id in (("conv_1", "resp_1"), ("conv_2", "resp_2")):
        await chains.add_chain(chain_of(run_id, thread_id))
        await chains.add_items(thread_id, {"msg_1": ItemRecord(10)})
        assert await kept.locks.acquire(thread_id, run_id, 60)
    for _ in range(2):
        await chains.remove_thread("conv_1")
    await chains.add_chain(chain_of("resp_1"))
    await chains.add_chain(chain_of("resp_3"))
    await chains.extend_chain("resp_1", "resp_4", {})
    assert not await chains.record_status("resp_1", "completed")
    await chains.add_items("conv_1", {"msg_1": ItemRecord(10), "msg_2": ItemRecord(20)})
    assert await chains.find_chains(["resp_1", "resp_3"]) == {}
    assert await chains.find_items("conv_1", ["msg_1", "msg_2"]) == {}
    assert await find_one(chains, "resp_2") == chain_of("resp_2", "conv_2")
    assert await chains.find_items("conv_2", ["msg_1"]) == {"msg_1": ItemRecord(10)}


Removal = Callable[[LedgerStore], Awaitable[object]]
REMOVALS: dict[str, Removal] = {
    "by its owner": lambda store: store.remove_objects(ObjectKind.THREAD, ["conv_1"]),
    "with its records": lambda store: store.records.remove_threads(["conv_1"], 1_000_000),
}


@pytest.mark.parametrize("removal", REMOVALS.values(), ids=REMOVALS)
async def test_chains_go_with_their_thread_and_come_back_only_if_it_is_adopted(
    store: LedgerStore, kept: KeptRecords, removal: Removal
) -> None:
    await kept.chains.add_chain(chain_of("resp_1"))
    await kept.chains.add_items("conv_1", {"msg_1": ItemRecord(10)})
    assert await kept.locks.acquire("conv_1", "resp_1", 60)
    await removal(store)
    # An object of a removed thread that is seen much later shows that it exists, but brings no chain back.
    thread = RecordKey(CredentialOwner("digest"), "conv_1")
    await store.records.record_sightings([SeenThread(thread, 1, 10**15)])
    await kept.chains.add_chain(chain_of("resp_1"))
    assert await kept.chains.find_chains(["resp_1"]) == {}
    assert await kept.chains.find_items("conv_1", ["msg_1"]) == {}
    assert await kept.locks.find_holder("conv_1") is None
    assert not await kept.locks.acquire("conv_1", "resp_1", 60)
    await store.adopt_objects(ObjectKind.THREAD, {"conv_1": ALICE}, 1000)
    await kept.chains.add_chain(chain_of("resp_1"))
    assert await find_one(kept.chains, "resp_1") == chain_of("resp_1")
    assert await kept.locks.acquire("conv_1", "resp_1", 60)


async def test_another_upstream_sees_none_of_it(open_ledger: OpenLedger) -> None:
    here, there = await open_ledger(UPSTREAM), await open_ledger(UpstreamIdentity("https://other.test/v1"))
    await here.kept.chains.add_chain(chain_of("resp_1", status="requires_action", waiting_since=1.0))
    await here.kept.chains.add_items("conv_1", {"msg_1": ItemRecord(10)})
    await here.kept.assistants.add_assistant("shelf", assistant("asst_1"))
    assert await here.kept.locks.acquire("conv_1", "resp_1", 60)
    assert await there.kept.chains.find_chains(["resp_1"]) == {}
    assert await there.kept.chains.list_waiting(5.0, 5) == []
    assert await there.kept.chains.find_items("conv_1", ["msg_1"]) == {}
    assert await there.kept.assistants.find_assistants("shelf", ["asst_1"]) == {}
    await there.kept.chains.remove_thread("conv_1")
    assert await there.kept.locks.find_holder("conv_1") is None
    assert await find_one(here.kept.chains, "resp_1") is not None
    assert await here.kept.locks.find_holder("conv_1") == "resp_1"


async def test_leases_that_ended_long_ago_are_removed(store: LedgerStore) -> None:
    now = time.time()
    assert await store.kept.locks.acquire("conv_1", "resp_1", -100)
    assert await store.kept.locks.acquire("conv_2", "resp_2", -10)
    assert await store.kept.locks.acquire("conv_3", "resp_3", 100)
    assert [await store.remove_locks_before(now - 50) for _ in range(2)] == [1, 0]
    assert await store.kept.locks.find_holder("conv_3") == "resp_3"


async def test_changes_of_one_chain_at_once_are_all_kept(open_ledger: OpenLedger) -> None:
    stores = [(await open_ledger()).kept.chains for _ in range(2)]
    await stores[0].add_chain(chain_of("resp_1"))
    await asyncio.gather(
        *(stores[n % 2].extend_chain("resp_1", f"resp_{n}", {f"call_{n}": str(n)}) for n in range(2, 10)),
        *(store.record_status("resp_1", "in_progress") for store in stores),
    )
    chain = await find_one(stores[1], "resp_1")
    assert chain is not None
    assert sorted(chain.response_ids) == [f"resp_{n}" for n in range(1, 10)]
    assert chain.answers == {f"call_{n}": str(n) for n in range(2, 10)}


def assistant(assistant_id: str, created_at: float = 1, **fields: object) -> AssistantObject:
    return msgspec.convert({"id": assistant_id, "created_at": created_at, **fields}, AssistantObject)


async def test_an_assistant_is_found_as_it_was_added_and_replaced_by_a_later_one(assistants: AssistantStore) -> None:
    raw = (
        b'{"id": "asst_1", "object": "assistant", "created_at": 12.5, "name": "N\\u0000", "tools": [{"type": "x"}],'
        b' "tool_resources": {"file_search": {}}, "response_format": {"type": "json"}, "metadata": {"a": "b"}}'
    )
    whole = msgspec.json.decode(raw, type=AssistantObject)
    await assistants.add_assistant("shelf", assistant("asst_1", name="before"))
    await assistants.add_assistant("shelf", whole)
    assert await assistants.find_assistants("shelf", ["asst_1", "asst_2"]) == {"asst_1": whole}
    assert await assistants.find_assistants("shelf", []) == {}


async def test_changes_of_one_assistant_at_once_are_all_kept(open_ledger: OpenLedger) -> None:
    stores = [(await open_ledger()).kept.assistants for _ in range(2)]
    await stores[0].add_assistant("shelf", assistant("asst_1", name=""))
    await stores[0].add_assistant("other", assistant("asst_1", name=""))

    def add_letter(letter: str) -> Callable[[AssistantObject], AssistantObject]:
        return lambda kept: msgspec.structs.replace(kept, name=f"{kept.name}{letter}")

    changed = await asyncio.gather(
        *(stores[n % 2].change_assistant("shelf", "asst_1", add_letter(letter)) for n, letter in enumerate("abcdefgh"))
    )
    names = sorted((one.name or "" for one in changed if one is not None), key=len)
    assert [len(name) for name in names] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert "".join(sorted(names[-1])) == "abcdefgh"
    assert await stores[1].find_assistants("shelf", ["asst_1"]) == {"asst_1": assistant("asst_1", name=names[-1])}
    assert await stores[1].find_assistants("other", ["asst_1"]) == {"asst_1": assistant("asst_1", name="")}


async def test_updates_of_one_assistant_at_once_lose_nothing(open_ledger: OpenLedger) -> None:
    async def accept() -> None:
        pass

    dialect = DIALECTS["openai-responses"]
    shelves = [AssistantShelf((await open_ledger()).kept.assistants, "shelf", dialect, accept) for _ in range(2)]
    made = await shelves[0].create(AssistantBody(model="m"))
    fields = {"name": "N", "description": "D", "instructions": "I", "temperature": 0.5, "top_p": 0.25, "model": "n"}
    key = AssistantKey(made.id)
    updates = [AssistantUpdateBody.model_validate({name: value}) for name, value in fields.items()]
    await asyncio.gather(*(shelves[n % 2].update(key, update) for n, update in enumerate(updates)))
    assert await shelves[1].find(made.id) == msgspec.structs.replace(made, **fields)


async def test_an_unknown_assistant_is_not_changed(assistants: AssistantStore) -> None:
    assert await assistants.change_assistant("shelf", "asst_1", lambda kept: kept) is None
    assert await assistants.find_assistants("shelf", ["asst_1"]) == {}


async def test_shelves_see_nothing_of_each_other(assistants: AssistantStore) -> None:
    await assistants.add_assistant("one", assistant("asst_1", name="one"))
    await assistants.add_assistant("two", assistant("asst_1", name="two"))
    assert await assistants.find_assistants("one", ["asst_1"]) == {"asst_1": assistant("asst_1", name="one")}
    assert not await assistants.remove_assistant("three", "asst_1")
    assert await assistants.remove_assistant("one", "asst_1")
    assert not await assistants.remove_assistant("one", "asst_1")
    assert await assistants.find_assistants("one", ["asst_1"]) == {}
    assert await assistants.find_assistants("two", ["asst_1"]) == {"asst_1": assistant("asst_1", name="two")}


async def test_assistants_move_to_a_shelf_that_keeps_its_own(store: LedgerStore, open_ledger: OpenLedger) -> None:
    assistants = store.kept.assistants
    for assistant_id in ("asst_1", "asst_2"):
        await assistants.add_assistant("old", assistant(assistant_id, name="old"))
    await assistants.add_assistant("new", assistant("asst_2", name="new"))
    await assistants.add_assistant("third", assistant("asst_3"))
    elsewhere = (await open_ledger(UpstreamIdentity("https://other.test/v1"))).kept.assistants
    await elsewhere.add_assistant("old", assistant("asst_1"))
    assert [await store.move_assistants("old", "new") for _ in range(2)] == [1, 0]
    found = await assistants.find_assistants("new", ["asst_1", "asst_2", "asst_3"])
    assert found == {"asst_1": assistant("asst_1", name="old"), "asst_2": assistant("asst_2", name="new")}
    assert await assistants.find_assistants("old", ["asst_1", "asst_2"]) == {}
    assert await elsewhere.find_assistants("old", ["asst_1"]) == {"asst_1": assistant("asst_1")}


@pytest.mark.parametrize(("order", "expected"), [("asc", "cbza"), ("desc", "azbc")])
async def test_assistants_are_listed_by_time_and_as_they_were_added(
    assistants: AssistantStore, order: Order, expected: str
) -> None:
    for assistant_id, created_at in (("b", 20.5), ("z", 20.9), ("a", 20), ("c", 10), ("b", 20.9)):
        await assistants.add_assistant("shelf", assistant(assistant_id, created_at))
    await assistants.add_assistant("other", assistant("d", 15))
    seen: list[str] = []
    while (page := await assistants.list_assistants("shelf", Window(2, order, seen[-1] if seen else None))) is not None:
        seen += [one.id for one in page.data]
        if not page.has_more:
            break
    assert seen == list(expected)
    assert await assistants.list_assistants("shelf", Window(2, order, "d")) is None
