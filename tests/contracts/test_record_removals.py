"""One contract for every record store: removals, and changes of owners."""

import asyncio

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.ledger_store import LedgerStore
from gateway.ledger.record_store import RecordChanges, RecordStore
from gateway.ledger.removal_marks import MARK_REACH_MS
from gateway.ledger.sightings import GivenTitle, Sighting
from schema.contract.keys import MessageKey
from schema.contract.thread_records import RecordUpdate, ThreadRecord, TokenUsage
from tests.contracts.ledger_stores import ALICE, BOB, THREAD, OpenLedger, create, open_ledger, records, store
from tests.contracts.record_helpers import (
    KEY,
    LATER,
    OTHER_KEY,
    find_record,
    find_title,
    list_waiting,
    record_key,
    rows_of,
    search,
    seen_message,
    seen_run,
    seen_thread,
    usage,
)

__all__ = ["open_ledger", "records", "store"]  # fixtures


async def test_what_was_removed_does_not_come_back(records: RecordStore) -> None:
    sightings: list[Sighting] = [
        seen_thread(opening="secret"),
        seen_message("secret words"),
        seen_run("requires_action"),
    ]
    theirs: list[Sighting] = [seen_message("secret too", owner=OTHER_KEY)]
    await records.record_sightings([*sightings, *theirs, seen_message("secret", thread_id="thread_2")])
    for _ in range(2):
        await records.remove_threads(["thread_1", "thread_3"], 3000)
        assert await records.record_sightings([*sightings, *theirs]) == RecordChanges()
        assert await find_record(records) is None
        assert await search(records, "secret") == {"thread_2"}
        assert await search(records, "secret", OTHER_KEY) == set()
        assert await list_waiting(records) == []
    assert not await records.remove_marks_before(3000)
    assert await records.remove_marks_before(3001)
    assert not await records.remove_marks_before(3001)
    await records.record_sightings(sightings)
    assert await find_record(records) is not None


async def test_the_text_of_a_removed_message_goes_at_once(records: RecordStore) -> None:
    first = seen_message("secret plan", "msg_1")
    await records.record_sightings(
        [first, seen_message("secret too", "msg_2"), seen_message("x", thread_id="thread_2")]
    )
    for expected in ({record_key()}, set()):
        assert await records.remove_messages([MessageKey("thread_1", "msg_1")], 3000) == expected
        assert await find_title(records) is None
        assert await search(records, "plan") == set()
        assert await search(records, "secret") == {"thread_1"}
        assert await records.record_sightings([first]) == RecordChanges()
    # The same id in another thread is another message.
    assert await find_title(records, "thread_2") == "x"
    assert await search(records, "x") == {"thread_2"}
    await records.remove_messages([MessageKey("thread_1", "msg_2"), MessageKey("thread_9", "msg_9")], 3000)
    assert await search(records, "secret") == set()


async def test_a_title_that_may_be_of_a_removed_message_goes_too(records: RecordStore) -> None:
    opened = seen_thread(opening="secret plan")
    await records.record_sightings([opened])
    await records.remove_messages([MessageKey("thread_1", "msg_1")], 3000)
    assert await find_title(records) is None
    await records.record_sightings([opened])
    assert await find_title(records) is None
    assert await search(records, "secret") == set()


async def test_no_message_id_stands_for_a_thread_or_for_all_messages(records: RecordStore) -> None:
    await records.record_sightings([seen_message("plan"), seen_message("odd", ""), seen_message("odd", "*")])
    await records.remove_messages([MessageKey("thread_1", ""), MessageKey("thread_1", "*")], 3000)
    assert await find_title(records) == "plan"
    assert await search(records, "odd") == set()


async def test_a_changed_message_is_found_by_its_new_words_alone(records: RecordStore) -> None:
    old, new = seen_message("old words", seen_at_ms=1500), seen_message("new words", seen_at_ms=1600)
    for order in ([old, new], [new, old]):
        await records.record_sightings(order)
        assert await find_title(records) == "new words"
        assert await search(records, "old") == set()
        assert await search(records, "new") == {"thread_1"}
        await records.remove_threads(["thread_1"], 1)
        await records.remove_marks_before(2)


async def test_records_of_a_user_need_an_owned_thread(store: LedgerStore) -> None:
    mine, theirs = seen_thread("thread_1", ALICE), seen_thread("thread_2", ALICE)
    await create(store, BOB, "thread_2")
    changes = await store.records.record_sightings([mine, theirs])
    assert changes == RecordChanges(unowned=frozenset({mine.key, theirs.key}))
    await create(store, ALICE, "thread_1")
    changes = await store.records.record_sightings([mine, theirs])
    assert changes.new_records == {mine.key}
    assert await rows_of(store.records, ALICE, BOB) == [["thread_1"], []]


async def test_a_thread_that_is_removed_from_the_ledger_takes_its_record_along(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1", "thread_2")
    sightings: list[Sighting] = [
        seen_message("words", thread_id=thread_id, owner=ALICE) for thread_id in ("thread_1", "thread_2")
    ]
    await store.records.record_sightings(sightings)
    await store.remove_objects(THREAD, ["thread_1"])
    assert await rows_of(store.records, ALICE) == [["thread_2"]]
    assert await search(store.records, "words", ALICE) == {"thread_2"}
    await create(store, ALICE, "thread_1")
    assert await store.records.record_sightings(sightings) == RecordChanges(), "it was removed"
    await store.remove_objects(THREAD, ["thread_1"])
    await store.adopt_objects(THREAD, {"thread_1": ALICE}, 1000)
    assert (await store.records.record_sightings(sightings)).new_records == {record_key("thread_1", ALICE)}


async def test_a_reassigned_thread_takes_its_record_along(store: LedgerStore) -> None:
    await create(store, ALICE, "thread_1", "thread_2")
    words = "größe 東京 \\ ' wait"
    seen: list[Sighting] = [
        seen_message(words, owner=ALICE),
        seen_run("requires_action", owner=ALICE),
        seen_run("completed", "run_2", owner=ALICE, usage=usage(1, 2)),
        seen_thread("thread_2", ALICE, title=GivenTitle("wait", 1)),
    ]
    await store.records.record_sightings(seen)
    before = await find_record(store.records, owner=ALICE)
    assert before is not None
    assert (await store.adopt_objects(THREAD, {"thread_1": BOB, "thread_2": BOB}, 1000)).anothers == 2
    await store.adopt_objects(THREAD, {"thread_1": BOB}, 1000, reassign=True)
    assert await rows_of(store.records, ALICE, BOB) == [["thread_2"], ["thread_1"]]
    assert await find_record(store.records, owner=BOB) == before
    for word in ("GROSSE", "東京", "wait", "wa"):
        assert await search(store.records, word, BOB) == {"thread_1"}, word
    assert await search(store.records, "wait", ALICE) == {"thread_2"}
    assert [run for _, run, _ in await list_waiting(store.records, BOB)] == ["run_1"]
    assert await list_waiting(store.records, ALICE) == []
    assert await store.records.get_usage(BOB, None, None) == usage(1, 2)
    assert await store.records.get_usage(ALICE, None, None) == TokenUsage()
    # A late event of the former owner brings nothing back.
    assert (await store.records.record_sightings(seen)).unowned == {record_key(owner=ALICE)}
    await store.records.remove_messages([MessageKey("thread_1", "msg_1")], 1)
    assert await search(store.records, "wait", BOB) == set()


async def test_a_changed_credential_gets_what_it_is_given(records: RecordStore) -> None:
    await records.record_sightings([seen_message("plan"), seen_message("plan", thread_id="thread_2")])
    assert await records.move_records({"thread_1": OTHER_KEY, "thread_9": OTHER_KEY}) == 1
    assert await records.move_records({"thread_1": OTHER_KEY}) == 0
    assert await rows_of(records, KEY, OTHER_KEY) == [["thread_2"], ["thread_1"]]
    assert await search(records, "plan", OTHER_KEY) == {"thread_1"}
    assert await records.move_records({}) == 0


async def test_two_records_of_a_thread_become_one(store: LedgerStore) -> None:
    records = store.records
    await records.record_sightings(
        [
            seen_thread(created_at_ms=900),
            seen_message("mine", "msg_1"),
            seen_run("completed", usage=usage(5, 5)),
            seen_run("requires_action", "run_2"),
            seen_message("theirs", "msg_2", owner=OTHER_KEY, created_at_ms=1400, seen_at_ms=LATER),
            seen_message("newer", "msg_1", owner=OTHER_KEY, seen_at_ms=LATER),
            seen_run("completed", owner=OTHER_KEY, usage=usage(5, 5), ended_at_ms=7000),
            seen_run("completed", "run_2", owner=OTHER_KEY, seen_at_ms=LATER),
        ]
    )
    await records.update_record(record_key(owner=KEY), RecordUpdate(title="Given", is_archived=True), 1)
    assert await records.move_records({"thread_1": OTHER_KEY}) == 1
    assert await rows_of(records, KEY, OTHER_KEY) == [[], ["thread_1"]]
    expected = ThreadRecord("thread_1", 900, 7000, "Given", is_archived=False, usage=usage(5, 5))
    assert await find_record(records, owner=OTHER_KEY) == expected
    assert await list_waiting(records, OTHER_KEY) == []
    for word, found in (("newer", True), ("theirs", True), ("given", True), ("mine", False)):
        assert await search(records, word, OTHER_KEY) == ({"thread_1"} if found else set()), word
    # Adopting takes the records of credentials along.
    await records.record_sightings([seen_message("third", "msg_3")])
    await store.adopt_objects(THREAD, {"thread_1": ALICE}, 1000)
    assert await rows_of(records, ALICE, KEY, OTHER_KEY) == [["thread_1"], [], []]
    assert await search(records, "third", ALICE) == await search(records, "newer", ALICE) == {"thread_1"}
    assert await records.move_records({"thread_1": BOB}) == 0, "it is not his by the ledger"


async def test_another_upstream_sees_nothing_of_it(open_ledger: OpenLedger) -> None:
    here = (await open_ledger()).records
    other = await open_ledger(UpstreamIdentity("https://other.test/v1"))
    there = other.records
    await here.record_sightings([seen_message("plan")])
    await there.remove_threads(["thread_1"], 1)
    await there.remove_messages([MessageKey("thread_1", "msg_1")], 1)
    await other.remove_objects(THREAD, ["thread_1"])
    assert await there.move_records({"thread_1": OTHER_KEY}) == 0
    assert await there.remove_message_texts(10) == 0
    assert not await here.remove_marks_before(LATER)
    assert await search(here, "plan") == {"thread_1"}


async def test_many_gateways_record_the_same_at_once(open_ledger: OpenLedger) -> None:
    stores = [(await open_ledger()).records for _ in range(3)]
    sightings: list[Sighting] = [
        seen_run("completed", f"run_{number % 7}", f"thread_{number % 5}", usage=usage(number % 7, 1))
        for number in range(70)
    ]
    await asyncio.gather(
        *(each.record_sightings(sightings[at::3] + sightings) for at, each in enumerate(stores)),
        *(each.remove_threads(["thread_0"], 1) for each in stores),
        *(each.move_records({"thread_1": OTHER_KEY}) for each in stores),
    )
    found = await stores[0].get_usage(KEY, None, None)
    moved = await stores[0].get_usage(OTHER_KEY, None, None)
    await stores[0].move_records({"thread_1": OTHER_KEY})
    assert (found.prompt_tokens, moved.prompt_tokens) in {(4 * 21, 0), (3 * 21, 21), (4 * 21, 21)}
    assert await stores[0].get_usage(KEY, None, None) == usage(3 * 21, 3 * 7)
    assert await stores[0].get_usage(OTHER_KEY, None, None) == usage(21, 7)


async def test_a_record_that_is_removed_alone_leaves_those_of_others_and_may_come_back(records: RecordStore) -> None:
    await records.record_sightings(
        [seen_thread(opening="mine"), seen_run("requires_action"), seen_message("words"), seen_thread(owner=OTHER_KEY)]
    )
    unknown, too_long = record_key("thread_2"), record_key("x" * 600)
    assert await records.remove_records([record_key(), unknown, too_long]) == frozenset({record_key()})
    assert await records.remove_records([record_key()]) == frozenset()
    assert await records.remove_records([]) == frozenset()
    assert await rows_of(records, KEY, OTHER_KEY) == [[], ["thread_1"]]
    assert await search(records, "words") == set()
    assert await list_waiting(records) == []
    await records.record_sightings([seen_message("again")])
    assert await search(records, "again") == {"thread_1"}


AFTER = MARK_REACH_MS + 5000
"""A time after which a mark of the time 5000 drops nothing any more."""


async def test_what_is_about_to_be_deleted_is_marked_until_it_is_removed_or_withdrawn(records: RecordStore) -> None:
    thread, message = MessageKey("thread_1", ""), MessageKey("thread_1", "msg_1")
    assert not await records.begin_removal(record_key(), "", 5000), "nothing is kept of it"
    first, more = seen_message("first words", "msg_1"), seen_message("more words", "msg_2", created_at_ms=1600)
    await records.record_sightings([first, more])
    assert not await records.begin_removal(record_key(owner=OTHER_KEY), "", 5000), "it is another's record"
    for message_id in ("msg_9", "x" * 600, "*"):
        assert not await records.begin_removal(record_key(), message_id, 5000)
    for mark in (thread, message):
        assert await records.begin_removal(record_key(), mark.message_id, 5000)
        assert await records.find_unfinished_removals(0, 6000) == [mark]
        assert await records.find_unfinished_removals(5000, 6000) == []
        assert await records.find_unfinished_removals(0, 5000) == []
        assert not await records.remove_marks_before(6000), "it is unfinished"
        assert await search(records, "first") == {"thread_1"}
        changed = seen_message("changed words", "msg_1", seen_at_ms=5001)
        assert await records.record_sightings([changed]) == RecordChanges()
        await records.withdraw_removal(mark)
        assert await records.find_unfinished_removals(0, 6000) == []
    assert (await records.record_sightings([changed])).records == {record_key()}
    assert await records.begin_removal(record_key(), "msg_1", 5000)
    await records.remove_messages([message], 5001)
    assert await records.find_unfinished_removals(0, 6000) == []
    assert await records.begin_removal(record_key(), "", 5000)
    assert await records.remove_threads(["thread_1"], 5001) == {record_key()}
    assert await records.remove_threads(["thread_1"], 5001) == frozenset()
    assert await records.find_unfinished_removals(0, 6000) == []
    for mark in (thread, message):
        await records.withdraw_removal(mark)
    assert await records.record_sightings([first, more]) == RecordChanges(), "it was removed before"


async def test_titles_that_may_be_of_a_marked_message_are_unfinished_too(records: RecordStore) -> None:
    await records.record_sightings([seen_thread(opening="secret plan"), seen_thread("thread_2")])
    await records.update_record(record_key(), RecordUpdate(title="Given"), 1)
    assert await records.begin_removal(record_key(), "msg_1", 5000)
    assert not await records.begin_removal(record_key("thread_2"), "msg_1", 5000)
    assert await records.find_unfinished_removals(0, 6000) == [MessageKey("thread_1", "msg_1")]
    await records.remove_messages([MessageKey("thread_1", "msg_1")], 5001)
    assert await records.find_unfinished_removals(0, 6000) == []
    await records.update_record(record_key(), RecordUpdate(title=None), 2)
    assert await find_title(records) is None


async def test_what_is_seen_long_after_a_removal_was_not_deleted(records: RecordStore) -> None:
    await records.record_sightings([seen_message("first", "msg_1"), seen_message("more", "msg_2")])
    await records.remove_messages([MessageKey("thread_1", "msg_1")], 5000)
    for seen_at_ms, found in ((AFTER, set()), (AFTER + 1, {"thread_1"}), (6000, {"thread_1"})):
        await records.record_sightings([seen_message("first", "msg_1", seen_at_ms=seen_at_ms)])
        assert await search(records, "first") == found
    await records.remove_threads(["thread_1"], 5000)
    assert (await records.record_sightings([seen_thread(seen_at_ms=AFTER)])).new_records == set()
    assert (await records.record_sightings([seen_thread(seen_at_ms=AFTER + 1)])).new_records == {record_key()}
    assert await records.find_unfinished_removals(0, AFTER) == []
    # It is deleted after all.
    await records.remove_threads(["thread_1"], AFTER)
    assert (await records.record_sightings([seen_thread(seen_at_ms=AFTER + 1)])).new_records == set()


async def test_messages_that_are_shown_no_more_are_forgotten_until_they_are_seen_again(records: RecordStore) -> None:
    first, more = seen_message("first words", "msg_1"), seen_message("more words", "msg_2", created_at_ms=1600)
    late = seen_message("late words", "msg_3", created_at_ms=1700, seen_at_ms=1900)
    await records.record_sightings([first, more, late, seen_message("first words", "msg_1", owner=OTHER_KEY)])
    await records.record_sightings([seen_thread("thread_2", opening="secret plan")])
    assert await records.find_message_ids(record_key(), 1900) == {"msg_1", "msg_2"}
    assert await records.find_message_ids(record_key(), 1500) == frozenset()
    assert await records.find_message_ids(record_key("thread_2"), 1900) == {""}
    assert await records.find_message_ids(record_key("thread_9"), 1900) == frozenset()
    assert await records.forget_messages(record_key(), ["msg_2", "msg_9"]) is False
    assert await records.forget_messages(record_key(), ["msg_1"]) is True
    assert await records.forget_messages(record_key("thread_2"), [""]) is True
    assert await records.forget_messages(record_key("thread_9"), ["msg_1"]) is False
    assert await find_title(records) is None
    assert await find_title(records, "thread_2") is None
    assert await search(records, "words") == {"thread_1"}
    assert await search(records, "first") == await search(records, "more") == await search(records, "secret") == set()
    assert await search(records, "first", OTHER_KEY) == {"thread_1"}
    await records.record_sightings([more])
    assert await search(records, "more") == {"thread_1"}
