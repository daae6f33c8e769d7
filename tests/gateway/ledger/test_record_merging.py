"""The rules by which sightings become records. The contract of record stores has the rest."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.record_merging import (
    MAX_FIRST_WORDS_LENGTH,
    RunState,
    ThreadState,
    merge_runs,
    merge_threads,
    run_from_sighting,
    to_first_words,
    update_thread,
)
from gateway.ledger.sightings import CredentialOwner, RecordKey, SeenRun
from schema.contract.statuses import TERMINAL_STATUSES
from schema.contract.thread_records import RecordUpdate, TokenUsage

KEY = RecordKey(CredentialOwner("digest"), "thread_1")

_NUMBER = st.none() | st.integers(0, 5)
_USAGE = st.none() | st.builds(
    TokenUsage, st.integers(0, 5), st.integers(0, 5), st.integers(0, 5), cached_tokens=_NUMBER, reasoning_tokens=_NUMBER
)
_RUNS = st.builds(
    SeenRun,
    st.just(KEY),
    st.just("run_1"),
    st.sampled_from([*sorted(TERMINAL_STATUSES), "queued", "in_progress", "cancelling", "something new"]),
    st.integers(0, 9),
    created_at_ms=_NUMBER,
    ended_at_ms=_NUMBER,
    expires_at_ms=_NUMBER,
    assistant_id=st.just("asst_1"),
    usage=_USAGE,
)


def merge_all(seen: tuple[SeenRun, ...]) -> RunState | None:
    state = None
    for each in seen:
        state = merge_runs(state, run_from_sighting(each))
    return state


@given(seen=st.lists(_RUNS, min_size=1, max_size=4))
def test_sightings_of_a_run_make_one_state_in_any_order(seen: list[SeenRun]) -> None:
    states = {merge_all(order) for order in permutations(seen)}
    assert len(states) == 1
    assert {merge_all((*order, *order[::-1])) for order in permutations(seen)} == states


@pytest.mark.parametrize("first", sorted(TERMINAL_STATUSES))
def test_of_two_ends_the_one_seen_later_stays(first: str) -> None:
    for second in TERMINAL_STATUSES:
        runs = tuple(SeenRun(KEY, "run_1", status, at) for at, status in enumerate([first, second]))
        state = merge_all(runs[::-1])
        assert state is not None
        assert (state.status, state.ended_at_ms) == (second, 0)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (" \n\t ", ""),
        ("  Plan \n a\ttrip ", "Plan a trip"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "…"),
        ("word " * 16 + "next", ("word " * 16).strip() + "…"),
        ("a " + "x" * 500, "a " + "x" * 77 + "…"),
        ("é" * 10**6, "é" * 79 + "…"),
        (" " * 1000 + "late", ""),
    ],
)
def test_first_words_are_whole_words_if_they_can_be(text: str, expected: str) -> None:
    assert to_first_words(text) == expected
    assert len(to_first_words(text)) <= MAX_FIRST_WORDS_LENGTH


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [("mine", "theirs", "mine"), (None, "theirs", "theirs"), ("mine", None, "mine"), (None, None, None)],
)
def test_a_merged_record_keeps_its_own_title(mine: str | None, theirs: str | None, expected: str | None) -> None:
    own, other = (ThreadState(at, at, given_title=title, titled_at_ms=at) for at, title in ((5, mine), (3, theirs)))
    merged = merge_threads(own, other)
    assert (merged.title, merged.created_at_ms, merged.last_activity_at_ms) == (expected, 3, 5)


@pytest.mark.parametrize("update", [RecordUpdate(), RecordUpdate(is_archived=False), RecordUpdate(title=None)])
def test_an_update_to_what_is_there_shows_the_same(update: Any) -> None:
    state = ThreadState(1, 2)
    assert update_thread(state, update, 3).shown == state.shown
