from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.retry_budget import RetryBudget


def take_all(budget: RetryBudget, caller: str) -> int:
    taken = 0
    while budget.take_retry(caller):
        taken += 1
    return taken


def test_a_caller_has_ten_retries_at_first() -> None:
    assert take_all(RetryBudget(), "a") == 10


def test_ten_answers_pay_for_one_retry() -> None:
    budget = RetryBudget()
    take_all(budget, "a")
    for _ in range(9):
        budget.record_answer("a")
    assert not budget.take_retry("a")
    budget.record_answer("a")
    assert budget.take_retry("a")
    assert not budget.take_retry("a")


def test_all_callers_together_have_ten_retries() -> None:
    budget = RetryBudget()
    assert sum(budget.take_retry(f"caller {number}") for number in range(100)) == 10


def test_an_answer_to_one_caller_pays_for_no_retry_of_another() -> None:
    budget = RetryBudget()
    take_all(budget, "a")
    for _ in range(100):
        budget.record_answer("b")
    assert not budget.take_retry("a")
    assert take_all(budget, "b") == 10


def test_a_budget_holds_ten_retries_at_most() -> None:
    budget = RetryBudget()
    assert budget.take_retry("a")
    for _ in range(1000):
        budget.record_answer("a")
    assert take_all(budget, "a") == 10


def test_callers_beyond_the_bound_are_forgotten_and_still_held_to_the_limit_of_all() -> None:
    budget = RetryBudget(max_callers=2)
    assert sum(budget.take_retry(f"caller {number % 5}") for number in range(100)) == 10


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=400))
def test_retries_never_exceed_ten_and_a_tenth_of_the_answers(steps: list[tuple[str, bool]]) -> None:
    budget = RetryBudget(max_callers=2)
    answers = retries = 0
    for caller, is_answer in steps:
        if is_answer:
            budget.record_answer(caller)
            answers += 1
        else:
            retries += budget.take_retry(caller)
        assert retries <= 10 + answers / 10
