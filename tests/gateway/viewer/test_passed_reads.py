"""Tests which objects of a read say more than the ledger has."""

from typing import Any

import pytest

from gateway.ledger.record_store import WrittenRecord
from gateway.ledger.search_words import to_text_digest
from gateway.ledger.sightings import CredentialOwner, RecordKey
from gateway.viewer.passed_reads import PassedRead, messages_in_reads, new_in_read
from gateway.viewer.pending_sightings import object_id_from
from gateway.viewer.seen_objects import PassedObject, fingerprint_from
from schema.contract.keys import ThreadKey
from schema.contract.kinds import THREADS, MessagePageKey, RunPageKey
from schema.contract.paging import Window
from schema.contract.wire import Page
from tests.support.wire_samples import CREATED_AT, message, run, thread

ANN = CredentialOwner("ann")
KEY = RecordKey(ANN, "thread_1")
MESSAGES_KEY, RUNS_KEY = (
    MessagePageKey("thread_1", None, Window(10, "asc")),
    RunPageKey("thread_1", Window(10, "desc")),
)
AT_MS = CREATED_AT * 1000
HELLO, THERE = message(content="Hello"), message("msg_2", content="there")
DIGESTS = {"msg_1": to_text_digest("Hello"), "msg_2": to_text_digest("there")}


def read(key: Any, *items: Any) -> PassedRead:
    return PassedRead(ANN, key, items[0] if isinstance(key, ThreadKey) else Page(list(items)), 7)


def new(passed: PassedRead, record: WrittenRecord | None, known: frozenset[str] = frozenset()) -> list[str]:
    """Return the ids of the objects that are new, and check that each is new, known or written."""
    written: list[str] = []

    def is_known(key: RecordKey, passed: PassedObject) -> bool:
        assert key == KEY
        return passed[1].id in known

    def on_written(key: RecordKey, object_id: str, fingerprint: int, *, is_first: bool) -> None:
        assert (object_id, fingerprint, is_first) in found_in_read
        written.append(object_id)

    found_in_read = [(item.id, fingerprint_from(item), is_first) for _, item, is_first in passed.objects]
    seen = new_in_read(passed, {} if record is None else {KEY: record}, is_known, on_written)
    found = [object_id_from(each.sighting) for each in seen]
    assert sorted([*found, *written, *(known if record is not None else ())]) == sorted(
        item.id for _, item, _ in passed.objects
    )
    return found


def test_what_the_ledger_has_is_not_new() -> None:
    record = WrittenRecord(AT_MS, AT_MS, "msg_1", DIGESTS)
    assert new(read(ThreadKey("thread_1"), thread()), record) == []
    assert new(read(MESSAGES_KEY, HELLO, THERE), record) == []


def test_all_is_new_of_a_thread_without_a_record() -> None:
    assert new(read(ThreadKey("thread_1"), thread()), None) == ["thread_1"]
    assert new(read(MESSAGES_KEY, HELLO, THERE), None) == ["msg_1", "msg_2"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (WrittenRecord(AT_MS, AT_MS, "msg_1", {"msg_1": DIGESTS["msg_1"]}), ["msg_2"]),
        (WrittenRecord(AT_MS, AT_MS, "msg_1", DIGESTS | {"msg_2": None}), ["msg_2"]),
        (WrittenRecord(AT_MS, AT_MS, "msg_1", DIGESTS | {"msg_2": to_text_digest("then")}), ["msg_2"]),
        (WrittenRecord(AT_MS, AT_MS, "msg_0", DIGESTS), ["msg_1"]),
        (WrittenRecord(AT_MS, AT_MS, None, DIGESTS), ["msg_1", "msg_2"]),
        (WrittenRecord(AT_MS + 1, AT_MS + 1, "msg_1", DIGESTS), ["msg_1", "msg_2"]),
        (WrittenRecord(AT_MS - 1, AT_MS - 1, "msg_1", DIGESTS), ["msg_1", "msg_2"]),
        (WrittenRecord(AT_MS, AT_MS, "msg_1", None), ["msg_1"]),
    ],
)
def test_a_message_is_new_if_its_text_or_its_thread_is_not_as_it_says(
    record: WrittenRecord, expected: list[str]
) -> None:
    assert new(read(MESSAGES_KEY, HELLO, THERE), record) == expected


def test_what_is_not_in_its_last_state_is_new_and_runs_are_unless_they_are_known() -> None:
    record = WrittenRecord(0, 2 * AT_MS, "msg_1", {"msg_2": to_text_digest("Half")})
    assert new(read(MESSAGES_KEY, message("msg_2", content="Half", status="in_progress")), record) == ["msg_2"]
    page = read(RUNS_KEY, run("run_1"), run("run_2", status="queued"))
    assert new(page, record) == ["run_1", "run_2"]
    assert new(page, record, frozenset({"run_1"})) == ["run_2"]


def test_the_messages_of_many_reads_are_looked_up_together() -> None:
    reads = [read(ThreadKey("thread_1"), thread()), read(MESSAGES_KEY, HELLO), read(MESSAGES_KEY, THERE)]
    assert messages_in_reads(reads) == {KEY: {"msg_1", "msg_2"}}
    assert messages_in_reads([PassedRead(ANN, THREADS, "something else", 7)]) == {}
