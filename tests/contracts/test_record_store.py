"""One contract for every record store: what sightings become. Removals, owners and lists have files of their own."""

from itertools import permutations
from typing import Any

import pytest

from gateway.ledger.record_store import MAX_SIGHTINGS, RecordChanges, RecordStore, WrittenRecord
from gateway.ledger.search_words import to_text_digest
from gateway.ledger.sightings import GivenTitle, RunRecordKey, Sighting
from schema.contract.keys import MessageKey
from schema.contract.thread_records import RecordUpdate, ThreadRecord, TokenUsage
from tests.contracts.ledger_stores import open_ledger, records, store
from tests.contracts.record_helpers import (
    KEY,
    LATER,
    OTHER_KEY,
    find_record,
    find_title,
    list_ids,
    list_waiting,
    record_key,
    seen_message,
    seen_run,
    seen_thread,
    usage,
)

__all__ = ["open_ledger", "records", "store"]  # fixtures


async def test_a_thread_that_was_seen_has_a_record(records: RecordStore) -> None:
    changes = await records.record_sightings([seen_thread(created_at_ms=1234)])
    assert changes == RecordChanges(frozenset({record_key()}), frozenset({record_key()}))
    assert await find_record(records) == ThreadRecord("thread_1", 1234, 1234)
    assert await find_record(records, "thread_2") is None
    assert await find_record(records, owner=OTHER_KEY) is None
    assert await records.get_records([]) == {}
    assert await records.record_sightings([]) == RecordChanges()


async def test_a_sighting_without_news_changes_nothing(records: RecordStore) -> None:
    sightings: list[Sighting] = [
        seen_thread(title=GivenTitle("Plans", 1000), opening="hello"),
        seen_run("completed", usage=usage(1, 2)),
        seen_message("hello there"),
    ]
    await records.record_sightings(sightings)
    assert await records.record_sightings(sightings) == RecordChanges()
    again: list[Sighting] = [seen_thread(seen_at_ms=LATER), seen_run("completed", seen_at_ms=LATER)]
    assert await records.record_sightings(again) == RecordChanges()


async def test_changes_name_what_the_graph_shows_in_another_way(records: RecordStore) -> None:
    run_key = RunRecordKey(record_key(), "run_1")
    assert (await records.record_sightings([seen_thread(), seen_run("queued")])).runs == {run_key: None}
    steps = [seen_run("in_progress", seen_at_ms=2001), seen_run("requires_action", seen_at_ms=2002)]
    assert await records.record_sightings(steps) == RecordChanges(runs={run_key: "queued"})
    changes = await records.record_sightings([seen_run("completed", ended_at_ms=2000, usage=usage(3, 4))])
    assert changes.records == {record_key()}, "its usage"
    assert changes.new_records == frozenset()


async def test_activity_is_the_latest_message_run_or_end_of_a_run(records: RecordStore) -> None:
    steps: list[tuple[Sighting, int]] = [
        (seen_thread(created_at_ms=1000), 1000),
        (seen_message("a", created_at_ms=3000), 3000),
        (seen_message("b", "msg_0", created_at_ms=2000), 3000),
        (seen_run("in_progress", created_at_ms=4000, ended_at_ms=9000), 4000),
        (seen_run("completed", created_at_ms=4000, ended_at_ms=5000), 5000),
        (seen_thread(created_at_ms=1000, seen_at_ms=LATER), 5000),
    ]
    for seen, expected in steps:
        await records.record_sightings([seen])
        record = await find_record(records)
        assert record is not None
        assert (record.created_at_ms, record.last_activity_at_ms) == (1000, expected), seen


async def test_times_that_are_not_known_are_those_of_seeing(records: RecordStore) -> None:
    await records.record_sightings([seen_message("a", seen_at_ms=700, created_at_ms=None)])
    assert await find_record(records) == ThreadRecord("thread_1", 700, 700, "a")
    await records.record_sightings([seen_run("completed", seen_at_ms=900, created_at_ms=None)])
    record = await find_record(records)
    assert record is not None
    assert record.created_at_ms == 700
    assert await records.get_usage(KEY, 900, 901) == TokenUsage()


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["queued", "in_progress", "completed"], None),
        (["requires_action", "queued", "in_progress"], None),
        (["queued", "in_progress", "requires_action"], 2002),
        (["in_progress", "requires_action", "something new"], None),
        (["requires_action", "cancelling"], None),
        (["requires_action", "expired"], None),
    ],
)
async def test_the_latest_status_stays_in_whatever_order_they_come(
    records: RecordStore, statuses: list[str], expected: int | None
) -> None:
    for number, order in enumerate(permutations(enumerate(statuses))):
        thread_id = f"thread_{number}"
        await records.record_sightings(
            [seen_run(word, thread_id=thread_id, seen_at_ms=2000 + at) for at, word in order]
        )
    waiting = await list_waiting(records)
    assert [since for _, _, since in waiting] == [expected] * (number + 1 if expected else 0)


async def test_an_end_stays_whatever_is_seen_later(records: RecordStore) -> None:
    await records.record_sightings([seen_run("completed", seen_at_ms=2000)])
    changes = await records.record_sightings([seen_run("requires_action", seen_at_ms=LATER)])
    assert changes == RecordChanges()
    assert await list_waiting(records) == []


async def test_a_run_waits_since_it_was_first_seen_waiting(records: RecordStore) -> None:
    for seen_at_ms in (2000, 3000):
        await records.record_sightings([seen_run("requires_action", seen_at_ms=seen_at_ms)])
    assert await list_waiting(records) == [("thread_1", "run_1", 2000)]
    await records.record_sightings([seen_run("in_progress", seen_at_ms=4000)])
    assert await list_waiting(records) == []
    await records.record_sightings([seen_run("requires_action", seen_at_ms=5000)])
    assert await list_waiting(records) == [("thread_1", "run_1", 5000)]


async def test_a_run_that_expired_waits_no_longer(records: RecordStore) -> None:
    await records.record_sightings([seen_run("requires_action", expires_at_ms=600_000)])
    assert len(await list_waiting(records, now_ms=599_999)) == 1
    assert await list_waiting(records, now_ms=600_000) == []


async def test_waiting_runs_are_the_owners_own(records: RecordStore) -> None:
    await records.record_sightings(
        [
            seen_run("requires_action", "run_2", seen_at_ms=3000),
            seen_run("requires_action", "run_1", "thread_2", seen_at_ms=3000),
            seen_run("requires_action", "run_3", "thread_3", seen_at_ms=2000),
            seen_run("requires_action", "run_4", owner=OTHER_KEY),
        ]
    )
    assert await list_waiting(records) == [
        ("thread_3", "run_3", 2000),
        ("thread_1", "run_2", 3000),
        ("thread_2", "run_1", 3000),
    ]


async def test_usage_of_a_run_counts_once_and_when_it_ended(records: RecordStore) -> None:
    ended: Any = {"ended_at_ms": 5000}
    sightings: list[Sighting] = [
        seen_run("in_progress", "run_1", usage=usage(1, 0)),
        seen_run("completed", "run_1", usage=usage(10, 5, cached=4), **ended),
        seen_run("completed", "run_1", **ended),
        seen_run("failed", "run_2", "thread_2", usage=usage(7, 1, reasoning=3), ended_at_ms=6000),
        seen_run("in_progress", "run_3", usage=usage(100, 100)),
        seen_run("completed", "run_4", "thread_3", usage=usage(50, 50), owner=OTHER_KEY),
    ]
    for _ in range(2):
        await records.record_sightings(sightings)
        await records.record_sightings(sightings[::-1])
    first, second = await find_record(records), await find_record(records, "thread_2")
    assert first is not None
    assert second is not None
    assert first.usage == usage(10, 5, cached=4)
    assert second.usage == usage(7, 1, reasoning=3)
    assert await records.get_usage(KEY, None, None) == usage(17, 6, cached=4, reasoning=3)
    assert await records.get_usage(KEY, 5000, 6000) == usage(10, 5, cached=4)
    assert await records.get_usage(KEY, 5001, None) == usage(7, 1, reasoning=3)
    assert await records.get_usage(KEY, None, 5000) == TokenUsage()


async def test_a_count_without_measure_is_bounded(records: RecordStore) -> None:
    await records.record_sightings(
        [seen_run("completed", f"run_{number}", usage=usage(-5, 10**30)) for number in range(20)]
    )
    assert await records.get_usage(KEY, None, None) == TokenUsage(0, 20 * 10**12, 20 * 10**12)


async def test_an_untitled_thread_has_the_first_words_of_its_first_message(records: RecordStore) -> None:
    await records.record_sightings([seen_message("The second", "msg_2", created_at_ms=1600)])
    assert await find_title(records) == "The second"
    await records.record_sightings([seen_message("The  first\nof all", "msg_1", created_at_ms=1500)])
    assert await find_title(records) == "The first of all"
    await records.record_sightings([seen_message("The third", "msg_3", created_at_ms=1700)])
    assert await find_title(records) == "The first of all"


async def test_a_message_that_is_known_to_be_the_first_gives_the_title(records: RecordStore) -> None:
    await records.record_sightings([seen_message("second", "msg_1"), seen_message("first", "msg_2", is_first=True)])
    assert await find_title(records) == "first"
    await records.record_sightings([seen_message("second", "msg_1", seen_at_ms=LATER)])
    assert await find_title(records) == "first"


async def test_the_opening_gives_the_title_until_the_message_is_seen(records: RecordStore) -> None:
    await records.record_sightings([seen_thread(opening="hello world"), seen_message("hi", created_at_ms=1000)])
    assert await find_title(records) == "hello world"
    await records.record_sightings([seen_message("hello there", "msg_2", is_first=True)])
    assert await find_title(records) == "hello there"


async def test_a_message_without_text_gives_no_title(records: RecordStore) -> None:
    await records.record_sightings([seen_message(None), seen_message(" \n", "msg_2")])
    assert await find_title(records) is None
    await records.record_sightings([seen_message("words", "msg_3", created_at_ms=LATER)])
    assert await find_title(records) == "words"


async def test_a_given_title_stands_before_the_first_words(records: RecordStore) -> None:
    await records.record_sightings([seen_thread(title=GivenTitle("Plans", 1000)), seen_message("hello")])
    assert await find_title(records) == "Plans"
    updated = await records.update_record(record_key(), RecordUpdate(title=None), 2000)
    assert updated is not None
    assert updated.title == await find_title(records) == "hello"


async def test_the_title_of_a_late_create_does_not_undo_an_update(records: RecordStore) -> None:
    await records.record_sightings([seen_thread()])
    await records.update_record(record_key(), RecordUpdate(title="New"), 2000)
    await records.record_sightings([seen_thread(title=GivenTitle("Old", 1000))])
    assert await find_title(records) == "New"
    # The clock of this gateway is behind.
    await records.update_record(record_key(), RecordUpdate(title="Newest"), 500)
    assert await find_title(records) == "Newest"


async def test_an_update_leaves_the_rest_as_it_is(records: RecordStore) -> None:
    await records.record_sightings(
        [seen_thread(title=GivenTitle("Plans", 1)), seen_run("completed", usage=usage(1, 2), ended_at_ms=2000)]
    )
    archived = await records.update_record(record_key(), RecordUpdate(is_archived=True), 3000)
    expected = ThreadRecord("thread_1", 1000, 2000, "Plans", is_archived=True, usage=usage(1, 2))
    assert archived == expected == await find_record(records)
    for _ in range(2):
        await records.update_record(record_key(), RecordUpdate(title="Other"), 3000)
    await records.update_record(record_key(), RecordUpdate(is_archived=False), 3000)
    assert await find_record(records) == ThreadRecord("thread_1", 1000, 2000, "Other", usage=usage(1, 2))
    assert await records.update_record(record_key("thread_2"), RecordUpdate(title="x"), 1) is None
    assert await records.update_record(record_key(owner=OTHER_KEY), RecordUpdate(title="x"), 1) is None


async def test_records_may_be_many_at_once(records: RecordStore) -> None:
    sightings: list[Sighting] = [seen_message("plan", thread_id=f"thread_{number}") for number in range(MAX_SIGHTINGS)]
    assert len((await records.record_sightings(sightings)).new_records) == MAX_SIGHTINGS
    keys = [record_key(f"thread_{number}") for number in range(3 * MAX_SIGHTINGS)]
    assert len(await records.get_records(keys)) == MAX_SIGHTINGS
    await records.remove_threads([key.thread_id for key in keys], 1)
    assert await list_ids(records) == []


async def test_what_is_written_of_records_and_their_messages_is_found(records: RecordStore) -> None:
    first = seen_message("Plan a trip", created_at_ms=1200, is_first=True)
    await records.record_sightings(
        [
            seen_thread(),
            first,
            seen_message("To\0 Rome", "msg_\0"),
            seen_message(None, "msg_3"),
            seen_thread("thread_2"),
        ]
    )
    await records.record_sightings([seen_message("Another's", owner=OTHER_KEY)])
    wanted = {record_key(f"thread_{number}"): ["msg_1", "msg_\0", "msg_3", "x" * 600] for number in (1, 2, 3)}
    digests = {"msg_1": to_text_digest("Plan a trip"), "msg_\0": to_text_digest("To\0 Rome")}
    assert await records.find_written(wanted) == {
        record_key(): WrittenRecord(1000, 1500, "msg_1", digests),
        record_key("thread_2"): WrittenRecord(1000, 1000, None, {}),
    }
    assert await records.find_written({record_key(): ["msg_1"]}) == {
        record_key(): WrittenRecord(1000, 1500, "msg_1", {"msg_1": digests["msg_1"]})
    }
    assert await records.find_written({}) == await records.find_written({record_key("x" * 600): []}) == {}


async def test_a_text_is_written_again_if_it_changed(records: RecordStore) -> None:
    for at_ms, text in ((1, "Rome"), (3, "Paris"), (2, "Oslo"), (4, "Paris")):
        await records.record_sightings([seen_message(text, seen_at_ms=at_ms)])
    (written,) = (await records.find_written({record_key(): ["msg_1"]})).values()
    assert written.text_digests == {"msg_1": to_text_digest("Paris")}
    assert await list_ids(records, text="paris") == ["thread_1"]
    assert await list_ids(records, text="oslo") == []


async def test_more_sightings_than_allowed_are_refused(records: RecordStore) -> None:
    sightings: list[Sighting] = [seen_thread(f"thread_{number}") for number in range(MAX_SIGHTINGS + 1)]
    with pytest.raises(ValueError, match=f"expected at most {MAX_SIGHTINGS} sightings, got {MAX_SIGHTINGS + 1}"):
        await records.record_sightings(sightings)


async def test_an_id_of_no_use_costs_only_itself(records: RecordStore) -> None:
    long = "x" * 513
    sightings: list[Sighting] = [
        seen_thread(long),
        seen_message("a", long),
        seen_run("completed", long),
        seen_run("completed", assistant_id=long),
        seen_thread("thread_2"),
    ]
    await records.record_sightings(sightings)
    await records.remove_threads([long], 1)
    await records.remove_messages([MessageKey(long, "msg_1"), MessageKey("thread_1", long)], 1)
    assert await list_ids(records) == ["thread_2"]


@pytest.mark.parametrize("text", ["nul\0 b", "\ud800 alone", "back\\slash\\0000", "%27; --", "ÄÖ ❄"])
async def test_texts_may_hold_any_character(records: RecordStore, text: str) -> None:
    await records.record_sightings(
        [
            seen_thread(text, title=GivenTitle(text, 1)),
            seen_run(text, text, text, assistant_id=text),
            seen_message(text, text, text, is_first=True),
        ]
    )
    record = await find_record(records, text)
    assert record is not None
    assert record.title == text
    assert await list_ids(records, assistant_id=text) == [text]
    updated = await records.update_record(record_key(text), RecordUpdate(title=None), 2)
    assert updated is not None
    assert updated.title == text
    assert await records.remove_messages([MessageKey(text, text)], 1) == {record_key(text)}
