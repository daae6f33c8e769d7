from typing import Any

import pytest

from gateway.upstream import rest_operations
from gateway.upstream.rest_operations import ReadOperation, WriteOperation
from schema.contract.keys import AssistantKey, MessageKey, RunKey, ThreadKey

THREAD, MESSAGE, RUN = ThreadKey("t"), MessageKey("t", "m"), RunKey("t", "r")


def rows(kind: type[Any]) -> dict[str, Any]:
    return {name: row for name, row in vars(rest_operations).items() if isinstance(row, kind)}


@pytest.mark.parametrize(
    ("name", "key", "operation", "call"),
    [
        ("CREATE_THREAD", None, "createThread", "POST /threads"),
        ("UPDATE_THREAD", THREAD, "modifyThread", "POST /threads/t"),
        ("DELETE_THREAD", THREAD, "deleteThread", "DELETE /threads/t"),
        ("CREATE_MESSAGE", THREAD, "createMessage", "POST /threads/t/messages"),
        ("UPDATE_MESSAGE", MESSAGE, "modifyMessage", "POST /threads/t/messages/m"),
        ("DELETE_MESSAGE", MESSAGE, "deleteMessage", "DELETE /threads/t/messages/m"),
        ("CREATE_RUN", THREAD, "createRun", "POST /threads/t/runs"),
        ("CREATE_THREAD_AND_RUN", None, "createThreadAndRun", "POST /threads/runs"),
        ("UPDATE_RUN", RUN, "modifyRun", "POST /threads/t/runs/r"),
        ("CANCEL_RUN", RUN, "cancelRun", "POST /threads/t/runs/r/cancel"),
        ("SUBMIT_TOOL_OUTPUTS", RUN, "submitToolOuputsToRun", "POST /threads/t/runs/r/submit_tool_outputs"),
        ("CREATE_ASSISTANT", None, "createAssistant", "POST /assistants"),
        ("UPDATE_ASSISTANT", AssistantKey("a"), "modifyAssistant", "POST /assistants/a"),
        ("DELETE_ASSISTANT", AssistantKey("a"), "deleteAssistant", "DELETE /assistants/a"),
    ],
)
def test_each_write_builds_its_call(name: str, key: object, operation: str, call: str) -> None:
    request = rows(WriteOperation)[name].request(key)
    assert (request.operation, f"{request.method} {request.target}") == (operation, call)


def test_only_updates_send_nulls() -> None:
    clearing = {name for name, row in rows(WriteOperation).items() if row.send_nulls}
    assert clearing == {"UPDATE_THREAD", "UPDATE_MESSAGE", "UPDATE_RUN", "UPDATE_ASSISTANT"}


def test_every_row_is_a_read_or_a_write() -> None:
    assert len(rows(ReadOperation)) == 11
    assert len(rows(WriteOperation)) == 14
