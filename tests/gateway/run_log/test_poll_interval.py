"""The interval is quick after a change, slower without, and never shorter than the upstream asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.run_log.poll_interval import PollIntervals, next_poll_delay_seconds

PACE = PollIntervals()


def test_looks_come_quickly_after_a_change_and_slower_without_one() -> None:
    delays = [next_poll_delay_seconds(PACE, unchanged_polls=count) for count in range(12)]
    assert delays[:4] == [0.25, 0.375, 0.5625, 0.84375]
    assert delays[-1] == 5.0


def test_what_waits_for_its_caller_is_looked_at_slowly() -> None:
    assert next_poll_delay_seconds(PACE, is_waiting=True) == 1.0
    assert next_poll_delay_seconds(PACE, is_waiting=True, unchanged_polls=99) == 10.0


def test_failures_back_off() -> None:
    assert [next_poll_delay_seconds(PACE, failed_polls=count) for count in (1, 2, 3, 99)] == [0.5, 1.0, 2.0, 30.0]


@pytest.mark.parametrize("failed", [0, 1, 5])
def test_the_upstream_is_not_asked_sooner_than_it_says(failed: int) -> None:
    assert next_poll_delay_seconds(PACE, failed_polls=failed, retry_after_ms=90_000) == 90.0


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.booleans(), st.none() | st.integers(0, 10**6))
def test_the_delay_is_bounded_and_never_shrinks(
    unchanged: int, failed: int, is_waiting: bool, retry_after_ms: int | None
) -> None:
    def delay(more: int) -> float:
        return next_poll_delay_seconds(
            PACE,
            unchanged_polls=unchanged + more,
            failed_polls=failed and failed + more,
            is_waiting=is_waiting,
            retry_after_ms=retry_after_ms,
        )

    assert 0.25 <= delay(0) <= delay(1) <= max(30.0, (retry_after_ms or 0) / 1000)
