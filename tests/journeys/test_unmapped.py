"""The list of all that cannot be mapped to conversations and responses, row by row against a gateway."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.upstream.dialects import DIALECTS as ALL_DIALECTS
from schema.contract.keys import MessageFileKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway
from tests.support.mutations import mutate
from tests.support.pages import table
from tests.support.responses_gateway import (
    DIALECTS,
    new_assistant,
    new_thread,
    read_thread,
    running_responses_gateway,
    start_response_run,
)

ROWS = {row[0]: row[1].replace("`", "").split(" ") for row in table("unmapped")}
TEXT = [{"text": "Hi"}]
RESOURCES = {"codeInterpreter": {"fileIds": ["file-abc123"]}}
FILE = to_global_id(MessageFileKey("conv_1", "msg_1", "file-1"))
NEW_STORE = {"fileSearch": {"vectorStores": [{"fileIds": ["file-abc123"]}]}}


@pytest.fixture(params=long_except(DIALECTS, ["openai-responses"]))
async def gateway(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_responses_gateway(emulator, request.param) as gateway:
        yield gateway


def test_the_list_has_all_missing_operations() -> None:
    listed = {name for kind, name in ROWS.values() if kind == "operation"}
    assert [ALL_DIALECTS[name].missing_operations for name in ("openai-responses", "foundry-responses")] == [listed] * 2
    assert ALL_DIALECTS["lenient-responses"].missing_operations == listed


async def test_each_row_is_refused_as_it_says_before_any_call(emulator: Emulator, gateway: Gateway) -> None:
    assistant = await new_assistant(gateway)
    thread = await new_thread(gateway)
    run = await start_response_run(gateway, thread, assistant)
    emulator.clock.advance(LONG_SECONDS)
    message = (await read_thread(gateway, thread, "messages { nodes { id } }"))["messages"]["nodes"][0]["id"]
    emulator.counts.reset()
    search = {"attachments": [{"fileId": "file-abc123", "tools": ["FILE_SEARCH"]}]}
    of_run = {"threadId": thread, "assistantId": assistant}
    newest = {"type": "LAST_MESSAGES", "lastMessages": 1}
    writes: dict[str, list[tuple[str, dict[str, Any]]]] = {
        "`updateMessage`": [("updateMessage", {"messageId": message, "metadata": {"a": "b"}})],
        "`updateRun`": [("updateRun", {"runId": run["id"], "metadata": {"a": "b"}})],
        "metadata of a message, also of a first or an additional one": [
            ("createMessage", {"threadId": thread, "content": TEXT, "metadata": {"a": "b"}}),
            ("createThread", {"messages": [{"content": TEXT, "metadata": {"a": "b"}}]}),
            ("createRun", {**of_run, "additionalMessages": [{"content": TEXT, "metadata": {"a": "b"}}]}),
        ],
        "`fileIds` of a message": [
            ("createMessage", {"threadId": thread, "content": TEXT, "fileIds": ["file-abc123"]})
        ],
        "an attachment for `FILE_SEARCH`": [("createMessage", {"threadId": thread, "content": TEXT, **search})],
        "`toolResources` of a thread": [
            ("createThread", {"toolResources": RESOURCES}),
            ("updateThread", {"threadId": thread, "toolResources": RESOURCES}),
        ],
        "vector stores to create with an assistant or a run": [
            ("createAssistant", {"model": "gpt-4o", "toolResources": NEW_STORE}),
            ("createThreadAndRun", {"assistantId": assistant, "toolResources": NEW_STORE}),
        ],
        "`maxPromptTokens` of a run": [("createRun", {**of_run, "maxPromptTokens": 300})],
        "`truncationStrategy` `LAST_MESSAGES`": [("createRun", {**of_run, "truncationStrategy": newest})],
        "a tool `RETRIEVAL` of a run": [("createRun", {**of_run, "tools": [{"builtIn": "RETRIEVAL"}]})],
    }
    reads = {
        "`Message.files`": f'{{ message(id: "{message}") {{ files {{ nodes {{ id }} }} }} }}',
        "`MessageFile` by its id": f'{{ node(id: "{FILE}") {{ ... on MessageFile {{ createdAt }} }} }}',
    }
    assert writes.keys() | reads.keys() == ROWS.keys()
    for row, mutations in writes.items():
        for mutation, values in mutations:
            (error,) = (await mutate(gateway, mutation, "__typename", **values))["userErrors"]
            assert error["code"] == "UNSUPPORTED_BY_UPSTREAM"
            _check(row, error["message"], error.get("field"))
    for row, query in reads.items():
        (failure,) = (await gateway.execute(query))["errors"]
        assert failure["extensions"]["code"] == "UNSUPPORTED_BY_UPSTREAM"
        _check(row, failure["message"], None)
    assert emulator.counts.by_operation == {}


def _check(row: str, message: str, field: list[str] | None) -> None:
    kind, name = ROWS[row]
    if kind == "operation":
        assert f"no operation {name}" in message
    else:
        assert field is not None
        assert ".".join(field).endswith(name)
