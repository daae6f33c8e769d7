from gateway.cache.ended_runs import EndedRuns
from schema.contract.keys import RunKey

RUN = RunKey("thread_1", "run_1")


def test_a_run_ended_before_the_reads_that_began_after_its_end_was_known() -> None:
    runs = EndedRuns()
    before = runs.begin_read()
    runs.record_status("ann", RUN, "completed")
    after = runs.begin_read()
    assert not runs.ended_before("ann", RUN, before)
    assert runs.ended_before("ann", RUN, after)


def test_a_run_that_may_change_has_not_ended() -> None:
    runs = EndedRuns()
    runs.record_status("ann", RUN, "cancelling")
    assert not runs.ended_before("ann", RUN, runs.begin_read())


def test_the_runs_of_one_principal_are_unknown_to_another() -> None:
    runs = EndedRuns()
    runs.record_status("ann", RUN, "completed")
    assert not runs.ended_before("bob", RUN, runs.begin_read())


def test_the_oldest_run_is_evicted_first() -> None:
    runs = EndedRuns(max_runs=2)
    for number in range(3):
        runs.record_status("ann", RunKey("thread_1", f"run_{number}"), "failed")
    read_number = runs.begin_read()
    assert [runs.ended_before("ann", RunKey("thread_1", f"run_{number}"), read_number) for number in range(3)] == [
        False,
        True,
        True,
    ]
