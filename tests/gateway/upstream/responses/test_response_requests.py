"""The requests that messages and runs become. The emulator's own models check that they are requests of that API."""

from typing import Any

import pytest
from msgspec import Raw, json

from gateway.emulator.bodies.parse import parse_body
from gateway.emulator.bodies.response_bodies import CreateItems, CreateResponse
from gateway.upstream.responses.response_requests import (
    continued_response,
    item_batches,
    item_from_message,
    items_for_open_calls,
    items_from_outputs,
    response_from_run,
)
from gateway.upstream.responses.response_wire import ItemObject
from schema.contract.bodies import MessageBody, RunBody, ThreadAndRunBody, ToolApprovalsBody, ToolOutputsBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.wire import AssistantObject

PLAIN = AssistantObject(id="asst_1", model="gpt-5-mini")
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "description": None}}
ASSISTANT = AssistantObject(
    id="asst_1",
    model="gpt-5-mini",
    instructions="Be brief.",
    temperature=0.5,
    reasoning_effort="low",
    response_format={"type": "json_object"},
    tools=[Raw(json.encode(tool)) for tool in (FUNCTION, {"type": "file_search"}, {"type": "code_interpreter"})],
    tool_resources=Raw(
        json.encode(
            {"file_search": {"vector_store_ids": ["vs_1"]}, "code_interpreter": {"file_ids": ["file-1"]}},
        )
    ),
)


def request_for(assistant: AssistantObject = PLAIN, *, background: bool = True, **fields: Any) -> Any:
    run = RunBody.model_validate({"assistant_id": "asst_1", **fields})
    request = response_from_run(run, assistant, "conv_1", background=background)
    parse_body(CreateResponse, json.encode(request))
    return request


def message(**fields: Any) -> MessageBody:
    content = [{"type": "text", "text": "Hi"}]
    return MessageBody.model_validate({"role": "user", "content": content, **fields})


def test_a_plain_run_asks_for_what_every_run_needs() -> None:
    assert request_for() == {
        "model": "gpt-5-mini",
        "conversation": "conv_1",
        "input": [],
        "truncation": "auto",
        "store": True,
        "background": True,
        "stream": True,
        "include": ["file_search_call.results", "code_interpreter_call.outputs"],
    }
    assert request_for(background=False)["background"] is False


def test_what_a_run_leaves_open_comes_from_its_assistant() -> None:
    request = request_for(ASSISTANT, additional_instructions="In French.", model="gpt-5")
    assert (request["model"], request["instructions"]) == ("gpt-5", "Be brief.\nIn French.")
    assert (request["temperature"], request["reasoning"]) == (0.5, {"effort": "low"})
    assert request["text"] == {"format": {"type": "json_object"}}
    assert request["tools"] == [
        {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False},
        {"type": "file_search", "vector_store_ids": ["vs_1"]},
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}},
    ]


def test_a_runs_own_options_go_before_those_of_its_assistant() -> None:
    schema = {"name": "n", "schema": {"type": "object"}, "strict": True, "description": None}
    request = request_for(
        ASSISTANT,
        instructions="",
        temperature=1.0,
        top_p=0.25,
        max_completion_tokens=300,
        parallel_tool_calls=False,
        metadata={"a": "b"},
        reasoning_effort="high",
        tools=[{"type": "file_search", "file_search": {"max_num_results": 3}}],
        tool_choice={"type": "function", "function": {"name": "f"}},
        response_format={"type": "json_schema", "json_schema": schema},
        truncation_strategy={"type": "auto"},
    )
    assert "instructions" not in request
    assert (request["temperature"], request["top_p"], request["max_output_tokens"]) == (1.0, 0.25, 300)
    assert (request["parallel_tool_calls"], request["metadata"]) == (False, {"a": "b"})
    assert request["tools"] == [{"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 3}]
    assert request["tool_choice"] == {"type": "function", "name": "f"}
    assert request["reasoning"] == {"effort": "high"}
    assert request["text"] == {
        "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    }


def test_a_thread_and_its_run_bring_resources() -> None:
    run = ThreadAndRunBody.model_validate(
        {
            "assistant_id": "asst_1",
            "tools": [{"type": "code_interpreter"}],
            "tool_choice": "required",
            "tool_resources": {"code_interpreter": {"file_ids": ["file-2"]}},
        }
    )
    request = response_from_run(run, ASSISTANT, "conv_1", background=True)
    assert request["tools"] == [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-2"]}}]
    assert request["tool_choice"] == "required"


def test_additional_messages_are_the_input() -> None:
    request = request_for(additional_messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}])
    assert request["input"] == [
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
    ]


@pytest.mark.parametrize(
    ("fields", "argument"),
    [
        ({"max_prompt_tokens": 300}, "maxPromptTokens"),
        ({"truncation_strategy": {"type": "last_messages", "last_messages": 3}}, "truncationStrategy"),
        ({"tools": [{"type": "retrieval"}]}, "tools.0"),
        (
            {
                "additional_messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Hi"}], "metadata": {"a": "b"}},
                ]
            },
            "additionalMessages.0.metadata",
        ),
    ],
)
def test_an_option_without_a_place_is_refused(fields: Any, argument: str) -> None:
    with pytest.raises(GatewayError) as refused:
        request_for(**fields)
    assert (refused.value.code, refused.value.argument) == (ErrorCode.UNSUPPORTED_BY_UPSTREAM, argument)


def test_a_vector_store_cannot_be_created_on_the_way() -> None:
    resources = {"file_search": {"vector_stores": [{"file_ids": ["file-1"]}]}}
    run = ThreadAndRunBody.model_validate({"assistant_id": "asst_1", "tool_resources": resources})
    with pytest.raises(GatewayError, match="a vector store to create"):
        response_from_run(run, PLAIN, "conv_1", background=True)


def test_a_message_is_an_item_with_its_images_and_files() -> None:
    item = item_from_message(
        message(
            content=[
                {"type": "text", "text": "Hi"},
                {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a"}},
            ],
            attachments=[{"file_id": "file-2", "tools": [{"type": "code_interpreter"}]}],
        )
    )
    parse_body(CreateItems, json.encode({"items": [item]}))
    assert item["content"] == [
        {"type": "input_text", "text": "Hi"},
        {"type": "input_image", "file_id": "file-1", "detail": "low"},
        {"type": "input_image", "image_url": "https://example.com/a", "detail": "auto"},
        {"type": "input_file", "file_id": "file-2"},
    ]
    answer = item_from_message(message(role="assistant"))
    parse_body(CreateItems, json.encode({"items": [answer]}))
    assert answer["content"] == [{"type": "output_text", "text": "Hi"}]


@pytest.mark.parametrize(
    ("fields", "argument"),
    [
        ({"metadata": {"a": "b"}}, "metadata"),
        ({"file_ids": ["file-1"]}, "fileIds"),
        ({"attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]}, "attachments.0.tools"),
    ],
)
def test_a_message_with_more_than_an_item_holds_is_refused(fields: Any, argument: str) -> None:
    with pytest.raises(GatewayError) as refused:
        item_from_message(message(**fields))
    assert (refused.value.code, refused.value.argument) == (ErrorCode.UNSUPPORTED_BY_UPSTREAM, argument)


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (1, [1]), (20, [20]), (21, [20, 1]), (32, [20, 12])])
def test_items_go_in_batches_of_twenty(count: int, sizes: list[int]) -> None:
    batches = item_batches([{"type": "message", "number": number} for number in range(count)])
    assert [len(batch) for batch in batches] == sizes
    assert [item["number"] for batch in batches for item in batch] == list(range(count))


def test_outputs_and_approvals_continue_a_chain_with_its_options() -> None:
    started = request_for(ASSISTANT)
    outputs = items_from_outputs(
        ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": "c", "output": ""}]})
    )
    assert outputs == [{"type": "function_call_output", "call_id": "c", "output": ""}]
    request = continued_response(started, outputs)
    parse_body(CreateResponse, json.encode(request))
    assert request == {**started, "input": outputs}
    approvals = {"tool_approvals": [{"tool_call_id": "mcpr_1", "approve": True}]}
    assert items_from_outputs(ToolApprovalsBody.model_validate(approvals)) == [
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
    ]


def test_what_a_cancelled_run_asked_is_answered() -> None:
    asked = [
        ItemObject(type="function_call", call_id="call_1"),
        ItemObject(type="mcp_approval_request", id="mcpr_1"),
        ItemObject(type="custom_tool_call", call_id="call_2"),
        ItemObject(type="function_call"),
    ]
    items = items_for_open_calls(asked)
    parse_body(CreateItems, json.encode({"items": items}))
    assert items == [
        {"type": "function_call_output", "call_id": "call_1", "output": "cancelled"},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": False},
        {"type": "custom_tool_call_output", "call_id": "call_2", "output": "cancelled"},
    ]


def test_the_output_of_a_custom_tool_is_an_item_of_its_own_type() -> None:
    body = ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": one, "output": "x"} for one in "ab"]})
    items = items_from_outputs(body, [ItemObject(type="custom_tool_call", call_id="b")])
    assert [item["type"] for item in items] == ["function_call_output", "custom_tool_call_output"]
