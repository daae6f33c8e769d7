import pytest

from gateway.upstream.rest_operations import WRITES
from schema.contract import writes
from schema.contract.keys import AssistantKey, FileKey, MessageKey, RunKey, ThreadKey
from schema.contract.writes import AnyWrite

THREAD, MESSAGE, RUN = ThreadKey("t"), MessageKey("t", "m"), RunKey("t", "r")


@pytest.mark.parametrize(
    ("write", "key", "operation", "call"),
    [
        (writes.CREATE_THREAD, None, "createThread", "POST /threads"),
        (writes.UPDATE_THREAD, THREAD, "modifyThread", "POST /threads/t"),
        (writes.DELETE_THREAD, THREAD, "deleteThread", "DELETE /threads/t"),
        (writes.CREATE_MESSAGE, THREAD, "createMessage", "POST /threads/t/messages"),
        (writes.UPDATE_MESSAGE, MESSAGE, "modifyMessage", "POST /threads/t/messages/m"),
        (writes.DELETE_MESSAGE, MESSAGE, "deleteMessage", "DELETE /threads/t/messages/m"),
        (writes.CREATE_RUN, THREAD, "createRun", "POST /threads/t/runs"),
        (writes.CREATE_THREAD_AND_RUN, None, "createThreadAndRun", "POST /threads/runs"),
        (writes.UPDATE_RUN, RUN, "modifyRun", "POST /threads/t/runs/r"),
        (writes.CANCEL_RUN, RUN, "cancelRun", "POST /threads/t/runs/r/cancel"),
        (writes.SUBMIT_TOOL_OUTPUTS, RUN, "submitToolOuputsToRun", "POST /threads/t/runs/r/submit_tool_outputs"),
        (writes.SUBMIT_TOOL_APPROVALS, RUN, "submitToolOuputsToRun", "POST /threads/t/runs/r/submit_tool_outputs"),
        (writes.CREATE_ASSISTANT, None, "createAssistant", "POST /assistants"),
        (writes.UPDATE_ASSISTANT, AssistantKey("a"), "modifyAssistant", "POST /assistants/a"),
        (writes.DELETE_ASSISTANT, AssistantKey("a"), "deleteAssistant", "DELETE /assistants/a"),
        (writes.DELETE_FILE, FileKey("f"), "deleteFile", "DELETE /files/f"),
    ],
)
def test_each_write_builds_its_call(write: AnyWrite, key: object, operation: str, call: str) -> None:
    request = WRITES[write].request(key)
    assert (request.operation, f"{request.method} {request.target}") == (operation, call)


def test_only_updates_send_nulls() -> None:
    clearing = {write for write, row in WRITES.items() if row.send_nulls}
    assert clearing == {writes.UPDATE_THREAD, writes.UPDATE_MESSAGE, writes.UPDATE_RUN, writes.UPDATE_ASSISTANT}


def test_a_write_starts_a_run_if_it_can_ask_for_its_events() -> None:
    starting = {write for write, row in WRITES.items() if row.starts_run}
    submitting = {writes.SUBMIT_TOOL_OUTPUTS, writes.SUBMIT_TOOL_APPROVALS}
    assert starting == {writes.CREATE_RUN, writes.CREATE_THREAD_AND_RUN, *submitting}
