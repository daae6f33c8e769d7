from gateway.emulator.bodies import reply_objects
from gateway.emulator.objects import (
    Assistant,
    AttachedFile,
    Attachment,
    Failure,
    FunctionCall,
    Message,
    Step,
    TextPart,
    Thread,
    Usage,
)
from tests.gateway.emulator.api_client import START, a_run

MESSAGE = Message(
    id="msg_1",
    thread_id="thread_1",
    created_at=START,
    role="user",
    content=(TextPart(value="Hi"),),
    attachments=(Attachment("file-1", ("file_search",)),),
)
STEP = Step(id="step_1", run_id="run_1", thread_id="thread_1", assistant_id="asst_1", created_at=1, expires_at=2)
TOOLS = (
    {"type": "file_search"},
    {"type": "code_interpreter"},
    {"type": "function", "function": {"name": "f", "parameters": {}, "strict": False}},
)


def test_an_empty_page_has_null_ids() -> None:
    assert reply_objects.render_page([], has_more=False) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


def test_a_thread_has_tool_resources_in_the_newer_version_only() -> None:
    thread = Thread(id="thread_1", created_at=1)
    assert list(reply_objects.render_thread(thread, "v1")) == ["id", "object", "created_at", "metadata"]
    assert list(reply_objects.render_thread(thread, "v2")) == [
        "id",
        "object",
        "created_at",
        "metadata",
        "tool_resources",
    ]


def test_a_message_has_the_recorded_keys_and_no_status() -> None:
    assert list(reply_objects.render_message(MESSAGE, "v2")) == [
        "id", "object", "created_at", "assistant_id", "thread_id", "run_id", "role", "content", "attachments",
        "metadata",
    ]  # fmt: skip
    assert reply_objects.render_message(MESSAGE, "v2")["attachments"] == [
        {"file_id": "file-1", "tools": [{"type": "file_search"}]}
    ]
    assert reply_objects.render_message(MESSAGE, "v1")["file_ids"] == ["file-1"]
    assert "attachments" not in reply_objects.render_message(MESSAGE, "v1")


def test_the_reply_to_a_modification_shows_file_ids_in_both_versions() -> None:
    for version in ("v1", "v2"):
        modified = reply_objects.render_modified_message(MESSAGE, version)
        assert list(modified)[-2:] == ["file_ids", "metadata"]
        assert "attachments" not in modified


def test_a_run_has_the_recorded_keys() -> None:
    assert list(reply_objects.render_run(a_run(), "v2")) == [
        "id", "object", "created_at", "assistant_id", "thread_id", "status", "started_at", "expires_at",
        "cancelled_at", "failed_at", "completed_at", "required_action", "last_error", "model", "instructions", "tools",
        "tool_resources", "metadata", "temperature", "top_p", "reasoning_effort", "max_completion_tokens",
        "max_prompt_tokens", "truncation_strategy", "incomplete_details", "usage", "response_format", "tool_choice",
        "parallel_tool_calls",
    ]  # fmt: skip
    older = reply_objects.render_run(a_run(file_ids=("file-1",)), "v1")
    assert older["file_ids"] == ["file-1"]
    assert {"tool_resources", "reasoning_effort", "parallel_tool_calls"}.isdisjoint(older)


def test_a_run_loses_its_expiry_when_it_ends_and_a_step_does_not() -> None:
    assert reply_objects.render_run(a_run(), "v2")["expires_at"] == START + 600
    assert reply_objects.render_run(a_run(status="completed"), "v2")["expires_at"] is None
    assert reply_objects.render_step(STEP, "v2")["expires_at"] == 2


def test_awaited_calls_errors_and_reasons_are_objects() -> None:
    run = a_run(
        awaited_calls=(FunctionCall(id="call_1", name="f", arguments="{}"),),
        last_error=Failure("server_error", "No."),
        incomplete_reason="max_prompt_tokens",
    )
    rendered = reply_objects.render_run(run, "v2")
    assert rendered["required_action"] == {
        "type": "submit_tool_outputs",
        "submit_tool_outputs": {
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        },
    }
    assert rendered["last_error"] == {"code": "server_error", "message": "No."}
    assert rendered["incomplete_details"] == {"reason": "max_prompt_tokens"}


def test_usage_has_details_in_the_newer_version_only() -> None:
    run = a_run(usage=Usage(3, 4))
    counters = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert reply_objects.render_run(run, "v1")["usage"] == counters
    assert reply_objects.render_run(run, "v2")["usage"] == {
        **counters,
        "prompt_token_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_a_step_has_the_recorded_keys_without_metadata() -> None:
    assert list(reply_objects.render_step(STEP, "v2")) == [
        "id", "object", "created_at", "run_id", "assistant_id", "thread_id", "type", "status", "cancelled_at",
        "completed_at", "expires_at", "failed_at", "last_error", "step_details", "usage",
    ]  # fmt: skip


def test_tools_have_the_names_of_their_version() -> None:
    assert [reply_objects.render_tool(tool, "v1") for tool in TOOLS] == [
        {"type": "retrieval"},
        {"type": "code_interpreter"},
        {"type": "function", "function": {"name": "f", "parameters": {}}},
    ]
    assert [reply_objects.render_tool(tool, "v2") for tool in TOOLS] == list(TOOLS)
    chosen = a_run(tool_choice={"type": "file_search"})
    assert reply_objects.render_run(chosen, "v1")["tool_choice"] == {"type": "retrieval"}


def test_the_files_of_an_assistant_appear_in_either_version() -> None:
    assistant = Assistant(
        id="asst_1",
        created_at=1,
        model="m",
        tools=TOOLS,
        tool_resources={"code_interpreter": {"file_ids": ["file-2"]}},
        files=(AttachedFile("file-1", 5),),
    )
    assert reply_objects.render_assistant(assistant, "v1")["file_ids"] == ["file-1", "file-2"]
    resources = reply_objects.render_assistant(assistant, "v2")["tool_resources"]
    assert resources["code_interpreter"] == {"file_ids": ["file-1", "file-2"]}
    assert len(resources["file_search"]["vector_store_ids"]) == 1
