import pytest
from pydantic import TypeAdapter

from gateway.emulator.objects import (
    TERMINAL_RUN_STATUSES,
    FileCitation,
    ImageUrlPart,
    Message,
    RefusalPart,
    RunStatus,
    TextPart,
    Usage,
)
from tests.gateway.emulator.api_client import a_run


def test_a_message_with_every_kind_of_part_round_trips_through_json() -> None:
    citation = FileCitation(text="【1】", start_index=0, end_index=3, file_id="file-1")
    message = Message(
        id="msg_1",
        thread_id="thread_1",
        created_at=1,
        role="assistant",
        content=(TextPart(value="【1】", annotations=(citation,)), ImageUrlPart(url="u"), RefusalPart(refusal="no")),
    )
    adapter = TypeAdapter(Message)
    assert adapter.validate_json(adapter.dump_json(message)) == message


def test_usages_add_up() -> None:
    assert Usage(1, 2) + Usage(3, 4) == Usage(4, 6)


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action", "cancelling"])
def test_a_run_that_can_go_on_is_not_terminal(status: RunStatus) -> None:
    assert not a_run(status=status).is_terminal
    assert status not in TERMINAL_RUN_STATUSES
