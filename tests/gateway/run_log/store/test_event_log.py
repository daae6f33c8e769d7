from gateway.run_log.store.event_log import LogName, new_epoch
from schema.contract.keys import RunKey, ThreadKey


def test_no_two_epochs_are_alike() -> None:
    assert len({new_epoch() for _ in range(100)}) == 100


def test_the_log_of_a_run_is_not_that_of_its_thread() -> None:
    assert LogName("scope", RunKey("thread_1", "run_1")) != LogName("scope", ThreadKey("thread_1"))
