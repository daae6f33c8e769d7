"""The times of messages, which items do not have, and pages of items of which few are messages."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from gateway.ledger.memory_kept_records import make_memory_records
from gateway.upstream.responses.kept_records import ItemRecord
from gateway.upstream.responses.message_reads import estimate_times
from gateway.upstream.responses.response_requests import item_batches
from gateway.upstream.responses.response_wire import ListedItemObject
from gateway.upstream.responses.responses_client import ResponsesClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.kinds import MESSAGES, MessagePageKey
from schema.contract.paging import MAX_FURTHER_PAGES, Order, Window
from schema.contract.wire import Page
from tests.support.emulator import AUTHORIZATION, Emulator

NOW = 1_800_000_000.5


def item(item_id: str, created_at: float = 0) -> ListedItemObject:
    return ListedItemObject(id=item_id, created_at=created_at, type="message", role="user")


def test_the_time_of_an_unknown_item_is_its_own_or_in_its_id_or_that_of_its_first_sight() -> None:
    in_id = f"msg_{1_750_000_000:08x}{'0a' * 20}"
    items = [item("msg_old"), item(in_id), item("msg_dated", 1_760_000_000.9), item("msg_new")]
    assert estimate_times(items, {}, NOW) == {
        "msg_old": ItemRecord(1_750_000_000),
        in_id: ItemRecord(1_750_000_000),
        "msg_dated": ItemRecord(1_760_000_000),
        "msg_new": ItemRecord(1_800_000_000),
    }


@pytest.mark.parametrize("item_id", ["msg_00000000" + "0a" * 20, "msg_demo", "68542b3c" + "0a" * 20, "msg_68542b3c"])
def test_other_ids_tell_no_time(item_id: str) -> None:
    assert estimate_times([item(item_id)], {}, NOW) == {item_id: ItemRecord(1_800_000_000)}


@given(st.lists(st.tuples(st.integers(1, 100) | st.none(), st.integers(0, 100))))
def test_times_of_unknown_items_never_lie_behind_those_of_later_ones(facts: list[tuple[int | None, int]]) -> None:
    items = [item(f"msg_{number}", own) for number, (_, own) in enumerate(facts)]
    known = {f"msg_{number}": ItemRecord(time) for number, (time, _) in enumerate(facts) if time is not None}
    estimated = estimate_times(items, known, 50.0)
    assert estimated.keys() == {one.id for one in items} - known.keys()
    for earlier, later in itertools.combinations(items, 2):
        if earlier.id in estimated:
            assert estimated[earlier.id].created_at <= {**known, **estimated}[later.id].created_at


async def fill(emulator: Emulator, items: list[str]) -> str:
    """Create a conversation of messages (`m`) and calls (`c`, with their outputs)."""
    conversation: dict[str, Any] = await emulator.post("/conversations")
    made: list[dict[str, Any]] = []
    for number, kind in enumerate(items):
        call = {"type": "function_call", "call_id": f"call_{number}", "name": "f", "arguments": "{}"}
        output = {"type": "function_call_output", "call_id": f"call_{number}", "output": "x"}
        made += [{"role": "user", "content": str(number)}] if kind == "m" else [call, output]
    for batch in item_batches(made):
        await emulator.post(f"/conversations/{conversation['id']}/items", {"items": batch})
    conversation_id: str = conversation["id"]
    return conversation_id


async def read_texts(api: Any, thread_id: str, limit: int, order: Order) -> list[str]:
    """Read all messages page by page. Returns their texts in the order of the pages."""
    texts: list[str] = []
    window = Window(limit, order)
    while True:
        (page,) = await api.list(MESSAGES, [MessagePageKey(thread_id, None, window)])
        assert isinstance(page, Page), page
        assert len(page.data) <= limit
        texts += [json.decode(message.content[0])["text"]["value"] for message in page.data]
        if not page.has_more:
            return texts
        window = Window(limit, order, page.read_until or page.data[-1].id)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_of_messages_among_other_items_are_complete(emulator: Emulator, order: Order) -> None:
    kinds = list("mcmccmmcccccmcmm")
    thread_id = await fill(emulator, kinds)
    expected = [str(number) for number, kind in enumerate(kinds) if kind == "m"]
    async with ResponsesClient(UpstreamOptions(emulator.url, "openai-responses"), make_memory_records()) as client:
        for limit in (1, 2, 3, 100):
            api = client.bind(AUTHORIZATION)
            found = await read_texts(api, thread_id, limit, order)
            assert found == (expected if order == "asc" else expected[::-1])


async def test_a_page_is_read_on_within_a_bound(emulator: Emulator) -> None:
    thread_id = await fill(emulator, ["m", *"c" * 12, "m"])
    async with ResponsesClient(UpstreamOptions(emulator.url, "openai-responses"), make_memory_records()) as client:
        api = client.bind(AUTHORIZATION)
        emulator.counts.reset()
        (page,) = await api.list(MESSAGES, [MessagePageKey(thread_id, None, Window(2, "asc"))])
        assert isinstance(page, Page)
        assert emulator.counts.by_operation == {"listConversationItems": 1 + MAX_FURTHER_PAGES}
        assert (len(page.data), page.has_more) == (1, True)
        rest = Window(2, "asc", page.read_until)
        (last,) = await api.list(MESSAGES, [MessagePageKey(thread_id, None, rest)])
        assert isinstance(last, Page)
        assert (len(last.data), last.has_more, last.read_until) == (1, False, None)
        assert api.cost.upstream_calls == 3 + MAX_FURTHER_PAGES
