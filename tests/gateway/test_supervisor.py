"""Tests of the pauses before a worker is replaced, and of the link that workers get."""

import pytest

from gateway.supervisor import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, STABLE_SECONDS, pause_before_restart
from gateway.worker_link import VARIABLE, WorkerLink


def test_a_worker_that_lived_long_is_replaced_at_once() -> None:
    assert pause_before_restart(STABLE_SECONDS, 8.0) == 0


def test_a_worker_that_ends_again_and_again_is_replaced_ever_later() -> None:
    pauses = [0.0]
    while pauses[-1] < MAX_PAUSE_SECONDS:
        pauses.append(pause_before_restart(0.1, pauses[-1]))
    assert pauses == [0.0, FIRST_PAUSE_SECONDS, 1, 2, 4, 8, 16, MAX_PAUSE_SECONDS]
    assert pause_before_restart(0.1, MAX_PAUSE_SECONDS) == MAX_PAUSE_SECONDS


@pytest.mark.parametrize("link", [WorkerLink([5], 6, 7), WorkerLink([5, 8], 6, 7, "/run/metrics-0")])
def test_a_link_is_taken_out_of_the_environment(link: WorkerLink) -> None:
    environment = {"OTHER": "x", **link.to_environment()}
    assert WorkerLink.from_environment(environment) == link
    assert environment == {"OTHER": "x"}
    assert WorkerLink.from_environment({VARIABLE[:-1]: "x"}) is None
