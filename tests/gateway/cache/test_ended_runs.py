from gateway.cache.ended_runs import EndedRuns
from schema.contract.keys import RunKey

RUN = RunKey("thread_1", "run_1")


def test_only_what_was_asked_for_after_a_run_was_known_to_be_over_is_its_last_word() -> None:
    runs = EndedRuns()
    before = runs.begin_read()
    runs.learn("ann", RUN, "completed")
    after = runs.begin_read()
    assert not runs.was_over("ann", RUN, before)
    assert runs.was_over("ann", RUN, after)


def test_a_run_that_may_change_is_not_over() -> None:
    runs = EndedRuns()
    runs.learn("ann", RUN, "cancelling")
    assert not runs.was_over("ann", RUN, runs.begin_read())


def test_what_one_principal_saw_is_not_known_of_another() -> None:
    runs = EndedRuns()
    runs.learn("ann", RUN, "completed")
    assert not runs.was_over("bob", RUN, runs.begin_read())


def test_it_forgets_the_oldest() -> None:
    runs = EndedRuns(max_runs=2)
    for number in range(3):
        runs.learn("ann", RunKey("thread_1", f"run_{number}"), "failed")
    moment = runs.begin_read()
    assert [runs.was_over("ann", RunKey("thread_1", f"run_{number}"), moment) for number in range(3)] == [
        False,
        True,
        True,
    ]
