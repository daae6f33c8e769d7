"""The contract of the writes of `ThreadsApi`: later reads return them, and an impossible write is refused."""

from collections.abc import Awaitable
from typing import Any

import msgspec
import pytest

from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
    ToolOutputsBody,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, ThreadKey
from schema.contract.kinds import ASSISTANTS, FILES, MESSAGE_FILES, MESSAGES, RUNS, THREADS, MessagePageKey
from schema.contract.paging import Window
from schema.contract.ports import ThreadsApi
from schema.contract.wire import Page, RunObject, ThreadObject
from schema.contract.writes import (
    CANCEL_RUN,
    CREATE_ASSISTANT,
    CREATE_MESSAGE,
    CREATE_RUN,
    CREATE_THREAD,
    CREATE_THREAD_AND_RUN,
    DELETE_ASSISTANT,
    DELETE_FILE,
    DELETE_MESSAGE,
    DELETE_THREAD,
    SUBMIT_TOOL_OUTPUTS,
    UPDATE_ASSISTANT,
    UPDATE_MESSAGE,
    UPDATE_RUN,
    UPDATE_THREAD,
)
from tests.contracts.world import World

UNKNOWN = "x" * 24
HELLO: dict[str, Any] = {"role": "user", "content": [{"type": "text", "text": "Hello?"}]}
TAGGED = MetadataUpdateBody(metadata={"tag": "é"})


def to_text(content: Any) -> str:
    (part,) = msgspec.json.decode(msgspec.json.encode(content))
    return str(part["text"]["value"])


async def get_refusal(writing: Awaitable[object]) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await writing
    assert not caught.value.retryable
    return caught.value


async def get_refusal_code(writing: Awaitable[object]) -> ErrorCode:
    return (await get_refusal(writing)).code


async def create_thread(api: ThreadsApi, **body: Any) -> ThreadKey:
    return ThreadKey((await api.write(CREATE_THREAD, None, ThreadBody.model_validate({"messages": [HELLO]} | body))).id)


async def create_run(api: ThreadsApi, world: World) -> RunKey:
    thread = await create_thread(api)
    run = await api.write(CREATE_RUN, thread, RunBody(assistant_id=next(iter(world.assistants)).assistant_id))
    return RunKey(thread.thread_id, run.id)


def find_waiting_run(world: World) -> tuple[RunKey, list[str]]:
    """Return a run that waits for tool outputs, and the ids of its tool calls."""
    key, run = next((key, run) for key, run in world.runs.items() if run.status == "requires_action")
    action = msgspec.json.decode(run.required_action)
    return key, [call["id"] for call in action["submit_tool_outputs"]["tool_calls"]]


def outputs(call_ids: list[str]) -> ToolOutputsBody:
    items = [{"tool_call_id": call_id, "output": "done"} for call_id in call_ids]
    return ToolOutputsBody.model_validate({"tool_outputs": items})


async def test_a_thread_is_created_with_its_messages_in_order(api: ThreadsApi) -> None:
    answer = HELLO | {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]}
    key = await create_thread(api, messages=[HELLO, answer], metadata={"title": "New"})
    (thread,) = await api.get(THREADS, [key])
    assert isinstance(thread, ThreadObject)
    assert (thread.object, thread.metadata) == ("thread", {"title": "New"})
    (page,) = await api.list(MESSAGES, [MessagePageKey(key.thread_id, None, Window(10, "asc"))])
    assert isinstance(page, Page)
    assert [(item.role, to_text(item.content)) for item in page.data] == [("user", "Hello?"), ("assistant", "Hi.")]


async def test_an_empty_body_creates_an_empty_thread(api: ThreadsApi) -> None:
    created = await api.write(CREATE_THREAD, None, ThreadBody())
    assert created.metadata == {}
    (page,) = await api.list(MESSAGES, [MessagePageKey(created.id, None, Window(10, "asc"))])
    assert page == Page(data=[])


async def test_an_update_changes_only_the_fields_it_has(api: ThreadsApi) -> None:
    key = await create_thread(api, metadata={"title": "Old"})
    assert (await api.write(UPDATE_THREAD, key, ThreadUpdateBody())).metadata == {"title": "Old"}
    assert (await api.write(UPDATE_THREAD, key, ThreadUpdateBody(metadata={"title": "New"}))).metadata == {
        "title": "New"
    }
    (read,) = await api.get(THREADS, [key])
    assert isinstance(read, ThreadObject)
    assert read.metadata == {"title": "New"}


async def test_a_null_clears_a_field_in_an_update_and_is_ignored_in_a_creation(api: ThreadsApi) -> None:
    created = await api.write(CREATE_ASSISTANT, None, AssistantBody(model="gpt-4o", name="Ann", instructions=None))
    assert (created.name, created.instructions) == ("Ann", None)
    changed = await api.write(
        UPDATE_ASSISTANT, AssistantKey(created.id), AssistantUpdateBody(name=None, instructions="Be kind.")
    )
    assert (changed.id, changed.name, changed.instructions, changed.model) == (created.id, None, "Be kind.", "gpt-4o")


async def test_a_new_message_is_the_last_of_its_thread(api: ThreadsApi) -> None:
    key = await create_thread(api)
    created = await api.write(CREATE_MESSAGE, key, MessageBody.model_validate(HELLO | {"metadata": {"a": "b"}}))
    assert (created.role, to_text(created.content), created.metadata) == ("user", "Hello?", {"a": "b"})
    (page,) = await api.list(MESSAGES, [MessagePageKey(key.thread_id, None, Window(1, "desc"))])
    assert isinstance(page, Page)
    assert [item.id for item in page.data] == [created.id]


async def test_the_metadata_of_messages_and_runs_can_be_updated_at_any_time(api: ThreadsApi, world: World) -> None:
    for key in (next(iter(world.messages)), next(reversed(world.messages))):
        changed = await api.write(UPDATE_MESSAGE, key, TAGGED)
        assert (changed.id, changed.metadata) == (key.message_id, {"tag": "é"})
    for run_key in world.runs:
        run = await api.write(UPDATE_RUN, run_key, TAGGED)
        assert (run.id, run.metadata) == (run_key.run_id, {"tag": "é"})


async def test_a_new_run_is_queued_and_locks_its_thread(api: ThreadsApi, world: World) -> None:
    key = await create_run(api, world)
    assistant_id, assistant = next(iter(world.assistants.items()))
    (run,) = await api.get(RUNS, [key])
    assert isinstance(run, RunObject)
    assert (run.status, run.thread_id, run.model) == ("queued", key.thread_id, assistant.model)
    thread = ThreadKey(key.thread_id)
    second = await get_refusal(api.write(CREATE_RUN, thread, RunBody(assistant_id=assistant_id.assistant_id)))
    assert second.code is ErrorCode.ACTIVE_RUN
    assert key.run_id in second.message
    message = await get_refusal(api.write(CREATE_MESSAGE, thread, MessageBody.model_validate(HELLO)))
    assert message.code is ErrorCode.ACTIVE_RUN


async def test_a_run_can_be_created_with_its_messages_and_its_thread(api: ThreadsApi, world: World) -> None:
    assistant_id = next(iter(world.assistants)).assistant_id
    thread = ThreadKey((await api.write(CREATE_THREAD, None, ThreadBody())).id)
    await api.write(
        CREATE_RUN,
        thread,
        RunBody.model_validate({"assistant_id": assistant_id, "additional_messages": [HELLO, HELLO]}),
    )
    body = {"assistant_id": assistant_id, "thread": {"messages": [HELLO]}, "temperature": 0.5, "metadata": {"a": "b"}}
    run = await api.write(CREATE_THREAD_AND_RUN, None, ThreadAndRunBody.model_validate(body))
    assert (run.temperature, run.metadata, run.status) == (0.5, {"a": "b"}, "queued")
    assert run.thread_id
    pages = await api.list(
        MESSAGES, [MessagePageKey(thread_id, None, Window(5, "asc")) for thread_id in (thread.thread_id, run.thread_id)]
    )
    assert [len(page.data) for page in pages if isinstance(page, Page)] == [2, 1]


async def test_a_run_needs_messages_or_instructions(api: ThreadsApi) -> None:
    assistant = await api.write(CREATE_ASSISTANT, None, AssistantBody(model="gpt-4o"))
    thread = ThreadKey((await api.write(CREATE_THREAD, None, ThreadBody())).id)
    assert (
        await get_refusal_code(api.write(CREATE_RUN, thread, RunBody(assistant_id=assistant.id)))
        is ErrorCode.BAD_USER_INPUT
    )
    body = ThreadAndRunBody(assistant_id=assistant.id)
    assert await get_refusal_code(api.write(CREATE_THREAD_AND_RUN, None, body)) is ErrorCode.BAD_USER_INPUT
    run = await api.write(CREATE_RUN, thread, RunBody(assistant_id=assistant.id, instructions="Say something."))
    assert run.instructions == "Say something."


async def test_a_run_can_be_cancelled_once(api: ThreadsApi, world: World) -> None:
    key = await create_run(api, world)
    assert (await api.write(CANCEL_RUN, key, None)).status == "cancelling"
    assert await get_refusal_code(api.write(CANCEL_RUN, key, None)) is ErrorCode.WRONG_STATE
    finished = next(key for key, run in world.runs.items() if run.status == "completed")
    refused = await get_refusal(api.write(CANCEL_RUN, finished, None))
    assert (refused.code, refused.message) == (ErrorCode.WRONG_STATE, "Cannot cancel run with status 'completed'.")


async def test_tool_outputs_are_accepted_once_and_only_if_complete(api: ThreadsApi, world: World) -> None:
    key, call_ids = find_waiting_run(world)
    incomplete = await get_refusal(api.write(SUBMIT_TOOL_OUTPUTS, key, outputs(["call_unknown"])))
    assert (incomplete.code, incomplete.argument) == (ErrorCode.BAD_USER_INPUT, "tool_outputs")
    run = await api.write(SUBMIT_TOOL_OUTPUTS, key, outputs(call_ids))
    assert (run.status, bytes(run.required_action)) == ("queued", b"null")
    again = await get_refusal(api.write(SUBMIT_TOOL_OUTPUTS, key, outputs(call_ids)))
    assert (again.code, again.message) == (
        ErrorCode.WRONG_STATE,
        'Runs in status "queued" do not accept tool outputs.',
    )


async def test_a_deleted_object_is_not_found(api: ThreadsApi, world: World) -> None:
    thread = await create_thread(api)
    assistant = AssistantKey((await api.write(CREATE_ASSISTANT, None, AssistantBody(model="gpt-4o"))).id)
    await api.write(DELETE_THREAD, thread, None)
    await api.write(DELETE_ASSISTANT, assistant, None)
    file = next(iter(world.files))
    (found,) = await api.get(FILES, [file])
    assert not isinstance(found, GatewayError)
    await api.write(DELETE_FILE, file, None)
    gone = await api.get(THREADS, [thread]), await api.get(ASSISTANTS, [assistant]), await api.get(FILES, [file])
    for (error,) in gone:
        assert isinstance(error, GatewayError)
        assert error.code is ErrorCode.NOT_FOUND
    assert await get_refusal_code(api.write(DELETE_THREAD, thread, None)) is ErrorCode.NOT_FOUND
    assert await get_refusal_code(api.write(DELETE_ASSISTANT, assistant, None)) is ErrorCode.NOT_FOUND
    assert await get_refusal_code(api.write(DELETE_FILE, file, None)) is ErrorCode.NOT_FOUND


async def test_deleting_a_thread_deletes_its_messages(api: ThreadsApi, world: World) -> None:
    key = next(iter(world.messages))
    await api.write(DELETE_THREAD, ThreadKey(key.thread_id), None)
    (gone,) = await api.get(MESSAGES, [key])
    assert isinstance(gone, GatewayError)


async def test_messages_can_be_deleted_in_version_2_only(api: ThreadsApi, world: World, version: str) -> None:
    key = next(iter(world.messages))
    if version == "v1":
        refused = await get_refusal(api.write(DELETE_MESSAGE, key, None))
        assert refused.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM
        assert "deleteMessage" in refused.message
        assert "openai-v1" in refused.message
        return
    await api.write(DELETE_MESSAGE, key, None)
    assert await get_refusal_code(api.write(DELETE_MESSAGE, key, None)) is ErrorCode.NOT_FOUND


async def test_a_write_to_a_missing_object_is_not_found(api: ThreadsApi, world: World) -> None:
    thread, run_id = ThreadKey(f"thread_{UNKNOWN}"), next(iter(world.runs)).run_id
    elsewhere = next(key.thread_id for key in world.threads if RunKey(key.thread_id, run_id) not in world.runs)
    run, message = RunKey(elsewhere, run_id), MessageKey(elsewhere, f"msg_{UNKNOWN}")
    assistant = AssistantKey(f"asst_{UNKNOWN}")
    new_message, a_run = MessageBody.model_validate(HELLO), RunBody(assistant_id=assistant.assistant_id)
    writings: list[Awaitable[object]] = [
        api.write(UPDATE_THREAD, thread, ThreadUpdateBody(metadata={})),
        api.write(DELETE_THREAD, thread, None),
        api.write(CREATE_MESSAGE, thread, new_message),
        api.write(UPDATE_MESSAGE, message, TAGGED),
        api.write(CREATE_RUN, thread, a_run),
        api.write(CREATE_RUN, next(iter(world.threads)), a_run),
        api.write(CREATE_THREAD_AND_RUN, None, ThreadAndRunBody(assistant_id=assistant.assistant_id)),
        api.write(UPDATE_RUN, run, TAGGED),
        api.write(CANCEL_RUN, run, None),
        api.write(SUBMIT_TOOL_OUTPUTS, run, outputs(["call_1"])),
        api.write(UPDATE_ASSISTANT, assistant, AssistantUpdateBody(name="x")),
        api.write(DELETE_ASSISTANT, assistant, None),
    ]
    for writing in writings:
        assert await get_refusal_code(writing) is ErrorCode.NOT_FOUND


TWO_TEXTS = HELLO | {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
ATTACHED = HELLO | {"attachments": [{"file_id": "file-1", "tools": [{"type": "code_interpreter"}]}]}
WITH_FILES = HELLO | {"file_ids": ["file-1"]}


async def test_a_field_of_the_other_version_is_refused_with_its_path(
    api: ThreadsApi, world: World, version: str
) -> None:
    thread = next(iter(world.threads))
    cases: list[tuple[str, str, Awaitable[object]]] = [
        ("v1", "content", api.write(CREATE_MESSAGE, thread, MessageBody.model_validate(TWO_TEXTS))),
        (
            "v1",
            "messages.1.attachments",
            api.write(CREATE_THREAD, None, ThreadBody.model_validate({"messages": [HELLO, ATTACHED]})),
        ),
        (
            "v1",
            "tool_resources",
            api.write(UPDATE_THREAD, thread, ThreadUpdateBody.model_validate({"tool_resources": {}})),
        ),
        (
            "v1",
            "tools.0",
            api.write(
                CREATE_ASSISTANT, None, AssistantBody.model_validate({"model": "m", "tools": [{"type": "file_search"}]})
            ),
        ),
        (
            "v2",
            "messages.0.file_ids",
            api.write(CREATE_THREAD, None, ThreadBody.model_validate({"messages": [WITH_FILES]})),
        ),
        (
            "v2",
            "tools.1",
            api.write(
                CREATE_ASSISTANT,
                None,
                AssistantBody.model_validate(
                    {"model": "m", "tools": [{"type": "code_interpreter"}, {"type": "retrieval"}]}
                ),
            ),
        ),
    ]
    for foreign_to, path, writing in cases:
        if foreign_to != version:
            await writing
            continue
        refused = await get_refusal(writing)
        assert (refused.code, refused.argument) == (ErrorCode.UNSUPPORTED_BY_UPSTREAM, path)


async def test_a_message_has_files_in_the_form_of_its_version(api: ThreadsApi, version: str) -> None:
    thread = await create_thread(api)
    body = WITH_FILES if version == "v1" else ATTACHED
    message = await api.write(CREATE_MESSAGE, thread, MessageBody.model_validate(body))
    if version == "v1":
        assert message.file_ids == ["file-1"]
        (file,) = await api.get(MESSAGE_FILES, [MessageFileKey(thread.thread_id, message.id, "file-1")])
        assert not isinstance(file, GatewayError)
        return
    assert [msgspec.json.decode(raw)["file_id"] for raw in message.attachments or ()] == ["file-1"]
