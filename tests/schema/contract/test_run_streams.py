"""Stream events say whether the stream may end after them, and statuses whether they are terminal."""

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_streams import StreamEvent
from schema.contract.statuses import TERMINAL_STATUSES, is_terminal
from schema.graph.enums import RunStatus
from tests.support.wire_samples import message, run, run_step, thread


@pytest.mark.parametrize("status", ["completed", "failed", "cancelled", "expired", "incomplete", "requires_action"])
def test_a_run_that_is_over_or_waits_for_its_caller_ends_the_stream(status: str) -> None:
    assert StreamEvent(name="thread.run.created", wire=run(status=status)).ends_stream


@pytest.mark.parametrize("status", ["queued", "in_progress", "cancelling", "an unknown status"])
def test_an_active_run_does_not_end_the_stream_under_any_event_name(status: str) -> None:
    assert not StreamEvent(name="thread.run.completed", wire=run(status=status)).ends_stream


@pytest.mark.parametrize("wire", [thread(), message(status="completed"), run_step(status="completed")])
def test_no_other_object_ends_the_stream(wire: object) -> None:
    assert not StreamEvent(wire=wire).ends_stream  # type: ignore[arg-type]


def test_an_error_and_the_last_event_end_the_stream() -> None:
    assert StreamEvent(name="error", error=GatewayError(ErrorCode.UPSTREAM_FAILED, "Broken.")).ends_stream
    assert StreamEvent(name="done", is_done=True).ends_stream


def test_a_delta_an_unknown_event_and_an_unreadable_one_do_not_end_the_stream() -> None:
    assert not StreamEvent(decode_error=GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, "Unreadable.")).ends_stream
    assert not StreamEvent(name="thread.message.delta", delta={"id": "msg_1"}).ends_stream
    assert not StreamEvent(name="thread.surprise").ends_stream


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling", "", "paused"])
def test_a_status_that_may_still_change_is_not_terminal(status: str) -> None:
    assert not is_terminal(status)


@pytest.mark.parametrize("status", sorted(TERMINAL_STATUSES))
def test_each_terminal_status_is_known_to_the_graph(status: str) -> None:
    assert is_terminal(status)
    assert RunStatus(status) is not RunStatus.UNRECOGNIZED
