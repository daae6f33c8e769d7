import pytest

from gateway.upstream.outage_breaker import MIN_FAILURES, TRIAL_SECONDS, WINDOW_SECONDS, OutageBreaker
from tests.support.upstream_client import RecordedSleeps


@pytest.fixture
def clock() -> RecordedSleeps:
    return RecordedSleeps()


@pytest.fixture
def breaker(clock: RecordedSleeps) -> OutageBreaker:
    return OutageBreaker(clock.now, max_callers=5)


def fail(breaker: OutageBreaker, *callers: str, times: int = MIN_FAILURES) -> None:
    for _ in range(times):
        for caller in callers:
            breaker.record_failure(caller)


def admitted(breaker: OutageBreaker, *callers: str) -> list[str]:
    return [caller for caller in callers if not breaker.admit_call(caller)]


def test_a_few_failures_of_one_caller_leave_it_closed(breaker: OutageBreaker) -> None:
    fail(breaker, "a", times=MIN_FAILURES - 1)
    assert admitted(breaker, "a")
    fail(breaker, "a", times=1)
    assert breaker.admit_call("a") == pytest.approx(TRIAL_SECONDS)


def test_an_answer_in_between_takes_the_vote_of_its_caller_back(breaker: OutageBreaker) -> None:
    for _ in range(MIN_FAILURES):
        fail(breaker, "a", times=MIN_FAILURES - 1)
        breaker.record_answer("a")
    assert admitted(breaker, "a")


def test_many_failures_of_one_caller_count_once(breaker: OutageBreaker) -> None:
    breaker.record_answer("b")
    fail(breaker, "a", times=1000)
    assert admitted(breaker, "a", "b") == ["a", "b"]


@pytest.mark.parametrize(
    ("failing", "answered", "opens"),
    [("a", "", True), ("a", "b", False), ("ab", "", True), ("ab", "c", True), ("ab", "cd", True), ("ab", "cde", False)],
)
def test_at_least_half_of_the_callers_and_two_of_several_open_it(
    breaker: OutageBreaker, failing: str, answered: str, opens: bool
) -> None:
    for caller in answered:
        breaker.record_answer(caller)
    fail(breaker, *failing)
    assert bool(breaker.admit_call("a")) is opens


def test_a_lone_caller_opens_it_for_itself_alone(breaker: OutageBreaker) -> None:
    fail(breaker, "attacker")
    assert admitted(breaker, "attacker", "b", "c", "b") == ["b", "c", "b"]
    breaker.record_answer("b")
    fail(breaker, "attacker", times=1000)
    assert admitted(breaker, "attacker", "b", "c") == ["attacker", "b", "c"]


def test_a_second_failing_caller_opens_it_for_all(breaker: OutageBreaker) -> None:
    fail(breaker, "a")
    fail(breaker, "b", times=1)
    assert not admitted(breaker, "a", "b", "c")


def test_failures_of_an_earlier_window_do_not_count(breaker: OutageBreaker, clock: RecordedSleeps) -> None:
    fail(breaker, "a", "b", times=MIN_FAILURES // 2 - 1)
    clock.advance(WINDOW_SECONDS)
    fail(breaker, "a", "b", times=1)
    assert admitted(breaker, "a", "b") == ["a", "b"]


def test_one_call_is_the_trial_and_its_answer_closes_the_breaker(breaker: OutageBreaker, clock: RecordedSleeps) -> None:
    fail(breaker, "a", "b")
    clock.advance(TRIAL_SECONDS)
    assert admitted(breaker, "a", "b", "c") == ["a"]
    breaker.record_answer("a")
    assert admitted(breaker, "a", "b", "c") == ["a", "b", "c"]


def test_a_failed_or_hanging_trial_is_followed_by_one_of_another_caller(
    breaker: OutageBreaker, clock: RecordedSleeps
) -> None:
    fail(breaker, "a", "b")
    trials = []
    for _ in range(6):
        clock.advance(TRIAL_SECONDS)
        trials += admitted(breaker, "a", "a", "b", "c")
    assert trials == ["a", "b", "a", "b", "a", "b"]


def test_a_lone_caller_makes_a_trial_within_a_second(breaker: OutageBreaker, clock: RecordedSleeps) -> None:
    fail(breaker, "a")
    for _ in range(3):
        clock.advance(1.0)
        assert admitted(breaker, "a", "a") == ["a"]
        breaker.record_failure("a")


def test_it_stays_open_beyond_its_window(breaker: OutageBreaker, clock: RecordedSleeps) -> None:
    fail(breaker, "a", "b")
    clock.advance(10 * WINDOW_SECONDS)
    assert admitted(breaker, "a", "b") == ["a"]
    breaker.record_failure("a")
    assert not admitted(breaker, "a", "b")


def test_callers_beyond_the_bound_have_no_vote(breaker: OutageBreaker) -> None:
    for caller in "abcde":
        breaker.record_answer(caller)
    fail(breaker, *"fghijk")
    assert admitted(breaker, "a", "f") == ["a", "f"]
