from gateway.run_log.store.event_log import LogName, new_epoch
from schema.contract.keys import RunKey, ThreadKey


def test_epochs_are_unique() -> None:
    assert len({new_epoch() for _ in range(100)}) == 100


def test_a_run_and_its_thread_have_different_logs() -> None:
    assert LogName("scope", RunKey("thread_1", "run_1")) != LogName("scope", ThreadKey("thread_1"))
