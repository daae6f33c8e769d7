"""One contract for every record store: lists, page by page both ways, and the texts that they are searched by."""

import pytest

from gateway.ledger.record_store import KeptTexts, RecordStore
from gateway.ledger.sightings import GivenTitle, Sighting
from schema.contract.thread_records import (
    MAX_SEARCH_LENGTH,
    RecordFilter,
    RecordOrder,
    RecordPosition,
    RecordUpdate,
    RecordWindow,
    WaitingRunPosition,
    WaitingRunWindow,
)
from tests.contracts.ledger_stores import OpenLedger, open_ledger, records, store
from tests.contracts.record_helpers import (
    KEY,
    OTHER_KEY,
    find_title,
    list_ids,
    record_key,
    record_position,
    search,
    seen_message,
    seen_run,
    seen_thread,
    walk_records,
    walk_waiting,
)

__all__ = ["open_ledger", "records", "store"]  # fixtures

IDS = ["thread_b", "thread_B", "thread_a", "thread_-", "thread_~", "thread_1", "thread_10", "thread_9", "thread_.", "t"]


@pytest.mark.parametrize("order", RecordOrder)
@pytest.mark.parametrize("limit", [1, 3, 10, 11])
async def test_pages_both_ways_make_the_whole_list(records: RecordStore, order: RecordOrder, limit: int) -> None:
    # Several have the same times, and the two orders differ.
    sightings: list[Sighting] = [
        seen_thread(thread_id, created_at_ms=1000 + number // 3) for number, thread_id in enumerate(IDS)
    ]
    sightings += [
        seen_message("x", thread_id=thread_id, created_at_ms=5000 - number // 4) for number, thread_id in enumerate(IDS)
    ]
    await records.record_sightings([*sightings, seen_thread("thread_c", OTHER_KEY)])
    forwards = await walk_records(records, order, limit)
    assert sorted(record.thread_id for record in forwards) == sorted(IDS)
    positions = [record_position(record, order) for record in forwards]
    assert positions == sorted(positions, reverse=True), "of equal times, the larger id by code points comes first"
    assert await walk_records(records, order, limit, backwards=True) == forwards


async def test_a_position_need_not_exist(records: RecordStore) -> None:
    await records.record_sightings([seen_thread(f"thread_{number}", created_at_ms=number) for number in (1, 3, 5)])
    window = RecordWindow(10, RecordPosition(3, "thread_4"))
    page = await records.list_records(KEY, RecordFilter(), RecordOrder.CREATED, window)
    assert [record.thread_id for record in page.items] == ["thread_3", "thread_1"]
    page = await records.list_records(KEY, RecordFilter(), RecordOrder.CREATED, window._replace(backwards=True))
    assert [record.thread_id for record in page.items] == ["thread_5"]
    assert not page.has_more


async def test_conditions_must_all_be_met(records: RecordStore) -> None:
    await records.record_sightings(
        [
            seen_message("plan a", thread_id="thread_1", created_at_ms=1000),
            seen_message("plan b", thread_id="thread_2", created_at_ms=2000),
            seen_message("other", thread_id="thread_3", created_at_ms=3000),
            seen_run("queued", thread_id="thread_1", assistant_id="asst_1", created_at_ms=1),
            seen_run("queued", "run_2", "thread_1", assistant_id="asst_2", created_at_ms=1),
            seen_run("queued", thread_id="thread_3", assistant_id="asst_2", created_at_ms=1),
        ]
    )
    await records.update_record(record_key("thread_2"), RecordUpdate(is_archived=True), 1)
    assert await list_ids(records) == ["thread_3", "thread_2", "thread_1"]
    assert await list_ids(records, is_archived=False) == ["thread_3", "thread_1"]
    assert await list_ids(records, is_archived=True) == ["thread_2"]
    assert await list_ids(records, active_since_ms=2000) == ["thread_3", "thread_2"]
    assert await list_ids(records, assistant_id="asst_2") == ["thread_3", "thread_1"]
    assert await list_ids(records, assistant_id="asst_3") == []
    assert await list_ids(records, text="plan") == ["thread_2", "thread_1"]
    assert await list_ids(records, text="plan", is_archived=False, assistant_id="asst_1") == ["thread_1"]
    assert await list_ids(records, text="plan", is_archived=False, active_since_ms=1001) == []
    conditions = RecordFilter(text="plan", is_archived=None)
    for order in RecordOrder:
        listed = await walk_records(records, order, 1, conditions=conditions)
        assert listed == await walk_records(records, order, 1, conditions=conditions, backwards=True)
        assert {record.thread_id for record in listed} == {"thread_1", "thread_2"}


@pytest.mark.parametrize("limit", [1, 2, 5, 6])
async def test_pages_of_waiting_runs_both_ways_make_the_whole_list(records: RecordStore, limit: int) -> None:
    waiting = [
        WaitingRunPosition(since_ms, thread_id, run_id)
        for since_ms, thread_id, run_id in [
            (1000, "thread_2", "run_1"),
            (2000, "thread_1", "run_B"),
            (2000, "thread_1", "run_a"),
            (2000, "thread_3", "run_0"),
            (3000, "thread_2", "run_2"),
        ]
    ]
    await records.record_sightings(
        [seen_run("requires_action", run.run_id, run.thread_id, seen_at_ms=run.time_ms) for run in waiting[::-1]]
    )
    assert await walk_waiting(records, limit) == waiting
    assert await walk_waiting(records, limit, backwards=True) == waiting
    window = WaitingRunWindow(10, WaitingRunPosition(2000, "thread_2", ""))
    page = await records.list_waiting_runs(KEY, window, 0)
    assert [run.since_ms for run in page.items] == [2000, 3000]


@pytest.mark.parametrize(
    ("text", "found", "lost"),
    [
        ("Hello World", ["hello", "WORLD", "world hello", "wor", "hello wor"], ["hell world", "orld", "helloworld"]),
        ("Größe École İstanbul", ["grosse", "GRÖSSE", "ecole", "École", "istanbul", "gro"], ["grosze"]),
        ("ΣΊΣΥΦΟΣ ﬁne", ["σίσυφος", "σισυφοσ", "fine", "ﬁ"], ["five"]),
        ("東京タワー and 2024", ["東京", "京", "タワ", "2024", "20", "東京 and"], ["大阪", "24"]),
        ("Straße-Nr. 12/3 (neu)", ["strasse", "nr", "12 3", "12/3", "neu)"], ["123"]),
        ("it's a_b O'Neil", ["it's", "a b", "a_b", "o'neil", "neil"], ["ab"]),
        ('"quoted" OR NOT NEAR(x) AND* ^col:y', ['"quoted"', "or not", "NEAR", "and*", "col", "x y"], ["z"]),
        ("a & b | !c <-> d:*", ["a", "b c d", "a & b", "!c", "d:*"], ["e"]),
        ("50% of C++ \\ back; DROP TABLE x --", ["50%", "c++", "drop table", "back\\"], ["60"]),
        ("nul\0byte and \ud800 surrogate", ["nul", "byte", "nul\0byte", "surrogate"], ["nulbyte"]),
        ("हिन्दी में", ["हिन्दी"], ["मराठी"]),
        ("👍 emoji only here", ["emoji"], ["👍", "", " ", "...", "\0"]),
    ],
)
async def test_a_search_finds_words(records: RecordStore, text: str, found: list[str], lost: list[str]) -> None:
    await records.record_sightings(
        [
            seen_thread("thread_title", title=GivenTitle(text, 1)),
            seen_thread("thread_message", title=GivenTitle("other", 1)),
            seen_message(text, thread_id="thread_message"),
            seen_message("nothing of it", thread_id="thread_3"),
        ]
    )
    for words in found:
        assert await search(records, words) == {"thread_title", "thread_message"}, words
    for words in lost:
        assert await search(records, words) == set(), words
    assert await search(records, found[0], OTHER_KEY) == set()


async def test_all_words_must_be_in_one_text(records: RecordStore) -> None:
    await records.record_sightings(
        [
            seen_thread(title=GivenTitle("alpha", 1)),
            seen_message("beta gamma"),
            seen_message("gamma delta", "msg_2"),
        ]
    )
    for words, is_found in {"beta gamma": True, "delta gamma": True, "alpha beta": False, "beta delta": False}.items():
        assert await search(records, words) == ({"thread_1"} if is_found else set()), words


async def test_a_title_is_found_as_it_is_now(records: RecordStore) -> None:
    await records.record_sightings([seen_message("first words of it")])
    await records.update_record(record_key(), RecordUpdate(title="Given"), 1)
    assert await search(records, "given") == await search(records, "first") == {"thread_1"}
    await records.update_record(record_key(), RecordUpdate(title="Changed"), 1)
    assert await search(records, "given") == set()
    await records.update_record(record_key(), RecordUpdate(title=None), 1)
    assert await search(records, "changed") == set()


async def test_very_long_texts_are_found_by_their_first_words(records: RecordStore) -> None:
    texts = {
        "thread_1": "begin " + "x" * 300_000,
        "thread_2": "begin " + " ".join(f"w{number}" for number in range(20_000)),
        "thread_3": "begin " + " ".join(chr(0x10400 + number % 40) * 30 + str(number) for number in range(3000)),
        "thread_4": "begin " + "\U0001f600\0\ud800 " * 50_000 + "end",
        "thread_5": "",
    }
    await records.record_sightings([seen_message(text, thread_id=thread_id) for thread_id, text in texts.items()])
    assert await search(records, "begin") == set(texts) - {"thread_5"}
    assert await search(records, "w17") == {"thread_2"}
    assert await search(records, "end") == set()
    # Both are cut off at the same length.
    assert await search(records, "x" * MAX_SEARCH_LENGTH) == {"thread_1"}
    assert await search(records, "w " * (MAX_SEARCH_LENGTH // 2)) == set()


async def test_owners_of_the_same_words_find_their_own(records: RecordStore) -> None:
    # Owners whose marks are the same.
    owners = [KEY, OTHER_KEY, KEY._replace(digest=KEY.digest[:60] + "0000")]
    for number, owner in enumerate(owners):
        await records.record_sightings([seen_message("same words", thread_id=f"thread_{number}", owner=owner)])
    for number, owner in enumerate(owners):
        assert await search(records, "same wor", owner) == {f"thread_{number}"}


async def test_a_store_of_titles_keeps_no_words_of_messages(open_ledger: OpenLedger) -> None:
    records = (await open_ledger(kept_texts=KeptTexts.TITLES)).records
    await records.record_sightings([seen_message("first"), seen_message("second", "msg_2", created_at_ms=1600)])
    assert await search(records, "second") == set()
    assert await search(records, "first") == {"thread_1"}, "the title"
    assert await find_title(records) == "first"
    assert await records.remove_message_texts(10) == 0


async def test_the_words_of_all_messages_can_be_removed(records: RecordStore) -> None:
    await records.record_sightings(
        [seen_message("plan", f"msg_{number}", owner=owner) for number in range(5) for owner in (KEY, OTHER_KEY)]
    )
    assert await records.remove_message_texts(6) == 6
    assert await records.remove_message_texts(6) == 4
    assert await records.remove_message_texts(6) == 0
    assert await search(records, "plan") == {"thread_1"}, "the title"
    await records.update_record(record_key(), RecordUpdate(title="Other"), 1)
    assert await search(records, "plan") == set()
