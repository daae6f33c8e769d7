"""Tests that what was written a moment ago is known, and nothing else is."""

from dataclasses import dataclass
from typing import Any

import pytest

from gateway.ledger.sightings import CredentialOwner, RecordKey
from gateway.viewer.known_objects import KNOWN_SECONDS, KnownObjects
from gateway.viewer.seen_objects import PassedObject, fingerprint_from
from tests.support.wire_samples import message, run, thread

ANN, BOB = CredentialOwner("ann"), CredentialOwner("bob")
KEY = RecordKey(ANN, "thread_1")


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def known(clock: Clock) -> KnownObjects:
    return KnownObjects(max_known=100, now_seconds=clock)


def passed(item: Any, *, is_first: bool = False) -> list[PassedObject]:
    return [("thread_1", item, is_first)]


def add(known: KnownObjects, item: Any, *, is_first: bool = False) -> None:
    fingerprint = fingerprint_from(item)
    assert fingerprint is not None
    known.add(KEY, item.id, fingerprint, is_first=is_first)


@pytest.mark.parametrize("item", [thread(), message(content="Hello"), run(status="completed")])
def test_an_object_is_known_to_its_owner_while_it_says_the_same(known: KnownObjects, item: Any) -> None:
    assert not known.has_all(ANN, passed(item))
    add(known, item)
    assert known.has_all(ANN, passed(item))
    assert not known.has_all(BOB, passed(item))
    assert not known.has_all(ANN, [("thread_2", item, False)])
    assert known.has_all(ANN, [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (message(content="Hello"), message(content="Hallo")),
        (message(content="Hello"), message("msg_2", content="Hello")),
        (message(content="Hello"), message(content=None)),
        (message(content="Hello"), message(content="Hello", status="in_progress")),
        (run(status="completed"), run(status="failed")),
        (run(status="completed"), run(status="completed", usage={"prompt_tokens": 1, "completion_tokens": 2})),
        (run(status="completed"), run(status="queued")),
    ],
)
def test_an_object_that_says_something_else_is_not_known(known: KnownObjects, before: Any, after: Any) -> None:
    add(known, before)
    assert not known.has_all(ANN, [*passed(before), *passed(after)])


@pytest.mark.parametrize("item", [run(status="queued"), run(status="requires_action"), message(content=None)])
def test_an_object_that_is_not_in_its_last_state_has_no_fingerprint(item: Any) -> None:
    assert fingerprint_from(item) is None


def test_the_first_message_is_known_only_as_such(known: KnownObjects) -> None:
    hello, there = message(content="Hello"), message("msg_2", content="there")
    add(known, hello)
    add(known, there)
    assert not known.has_all(ANN, passed(hello, is_first=True))
    add(known, hello, is_first=True)
    assert known.has_all(ANN, [*passed(hello, is_first=True), *passed(hello), *passed(there)])
    assert not known.has_all(ANN, passed(there, is_first=True))


def test_nothing_is_known_for_longer_than_it_may_be(known: KnownObjects, clock: Clock) -> None:
    for wait in (0, KNOWN_SECONDS / 2 - 1, KNOWN_SECONDS / 4):
        clock.now += wait
        add(known, thread())
        clock.now += KNOWN_SECONDS / 2 - 1
        assert known.has_all(ANN, passed(thread()))
        clock.now += KNOWN_SECONDS / 2 + 1
        assert not known.has_all(ANN, passed(thread()))


def test_no_more_is_known_than_there_is_room_for(known: KnownObjects) -> None:
    threads = [thread(f"thread_{number}") for number in range(1000)]
    for each in threads:
        known.add(RecordKey(ANN, each.id), each.id, fingerprint_from(each) or 0)
    found = [number for number, each in enumerate(threads) if known.has_all(ANN, [(each.id, each, False)])]
    assert 50 <= len(found) <= 100
    assert found[-1] == 999


def test_a_thread_that_was_dropped_is_not_known(known: KnownObjects) -> None:
    add(known, thread())
    known.drop_thread("thread_1")
    assert not known.has_all(ANN, passed(thread()))
