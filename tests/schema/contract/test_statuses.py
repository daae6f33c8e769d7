import pytest

from schema.contract.statuses import TERMINAL_STATUSES, is_terminal
from schema.graph.enums import RunStatus


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling", "", "paused"])
def test_a_status_that_may_still_change_is_not_terminal(status: str) -> None:
    assert not is_terminal(status)


@pytest.mark.parametrize("status", sorted(TERMINAL_STATUSES))
def test_each_terminal_status_is_known_to_the_graph(status: str) -> None:
    assert is_terminal(status)
    assert RunStatus(status) is not RunStatus.UNRECOGNIZED
