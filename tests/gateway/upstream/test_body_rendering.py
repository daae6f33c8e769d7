import json
from typing import Any

import pytest

from gateway.upstream.body_rendering import render_body
from gateway.upstream.dialects import DIALECTS
from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    Body,
    MessageBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
    ThreadUpdateBody,
)
from schema.contract.errors import ErrorCode, GatewayError

TEXT = {"type": "text", "text": "Hi"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://host/cat.png"}}
MESSAGE: dict[str, Any] = {"role": "user", "content": [TEXT]}
ASSISTANT: dict[str, Any] = {"model": "m"}
RUN: dict[str, Any] = {"assistant_id": "asst_1"}


def rendered(kind: type[Body], body: dict[str, Any], version: str = "v2", *, send_nulls: bool = False) -> Any:
    dialect = DIALECTS["openai-v1" if version == "v1" else "openai-v2"]
    return json.loads(render_body(kind.model_validate(body), dialect, send_nulls=send_nulls))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_single_text_part_is_sent_as_a_plain_string(version: str) -> None:
    sent = {"role": "user", "content": "Hi"}
    assert rendered(MessageBody, MESSAGE, version) == sent
    assert rendered(ThreadBody, {"messages": [MESSAGE, MESSAGE]}, version) == {"messages": [sent, sent]}
    assert rendered(RunBody, RUN | {"additional_messages": [MESSAGE]}, version) == RUN | {"additional_messages": [sent]}
    whole = RUN | {"thread": {"messages": [MESSAGE]}}
    assert rendered(ThreadAndRunBody, whole, version) == RUN | {"thread": {"messages": [sent]}}


@pytest.mark.parametrize("content", [[TEXT, TEXT], [IMAGE], [TEXT, IMAGE]])
def test_several_parts_are_sent_unchanged(content: list[Any]) -> None:
    assert rendered(MessageBody, MESSAGE | {"content": content})["content"] == content


def test_an_empty_body_is_an_empty_object() -> None:
    assert rendered(ThreadBody, {}) == {}


def test_only_updates_send_nulls() -> None:
    changes = {"name": None, "instructions": "x", "tool_resources": {"code_interpreter": None}}
    assert rendered(AssistantUpdateBody, changes, send_nulls=True) == changes | {"tool_resources": {}}
    assert rendered(AssistantBody, ASSISTANT | changes) == ASSISTANT | {"instructions": "x", "tool_resources": {}}


def test_free_form_fields_are_sent_unchanged() -> None:
    function = {"name": "f", "parameters": {"default": None, "attachments": 1, "file_ids": [{"type": "retrieval"}]}}
    tools = [{"type": "function", "function": function}]
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"default": None, "file_ids": 1}}}
    body = ASSISTANT | {"tools": tools, "response_format": schema, "metadata": {"file_ids": "x", "attachments": "y"}}
    for version in ("v1", "v2"):
        assert rendered(AssistantBody, body, version) == body


def test_file_ids_inside_tool_resources_are_allowed() -> None:
    resources = {
        "code_interpreter": {"file_ids": ["file-1"]},
        "file_search": {"vector_stores": [{"file_ids": ["file-2"], "chunking_strategy": {"type": "auto"}}]},
    }
    assert rendered(ThreadBody, {"tool_resources": resources}) == {"tool_resources": resources}


ATTACHED = MESSAGE | {"attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}]}
CODE, SEARCH, RETRIEVAL = ({"type": kind} for kind in ("code_interpreter", "file_search", "retrieval"))


@pytest.mark.parametrize(
    ("version", "kind", "body", "path"),
    [
        ("v1", MessageBody, MESSAGE | {"content": [TEXT, TEXT]}, "content"),
        ("v1", MessageBody, MESSAGE | {"content": [TEXT, IMAGE]}, "content.1"),
        ("v1", MessageBody, MESSAGE | {"content": [IMAGE]}, "content.0"),
        ("v1", MessageBody, ATTACHED, "attachments"),
        ("v1", ThreadBody, {"messages": [MESSAGE, ATTACHED]}, "messages.1.attachments"),
        ("v1", ThreadBody, {"tool_resources": {}}, "tool_resources"),
        ("v1", ThreadUpdateBody, {"tool_resources": {}}, "tool_resources"),
        ("v1", RunBody, RUN | {"additional_messages": [ATTACHED]}, "additional_messages.0.attachments"),
        ("v1", RunBody, RUN | {"tools": [CODE, SEARCH]}, "tools.1"),
        ("v1", RunBody, RUN | {"tool_choice": SEARCH}, "tool_choice"),
        ("v1", ThreadAndRunBody, RUN | {"thread": {"messages": [ATTACHED]}}, "thread.messages.0.attachments"),
        ("v1", ThreadAndRunBody, RUN | {"tool_resources": {}}, "tool_resources"),
        ("v1", AssistantBody, ASSISTANT | {"tools": [SEARCH]}, "tools.0"),
        ("v2", MessageBody, MESSAGE | {"file_ids": ["file-1"]}, "file_ids"),
        ("v2", ThreadBody, {"messages": [MESSAGE | {"file_ids": ["file-1"]}]}, "messages.0.file_ids"),
        ("v2", AssistantBody, ASSISTANT | {"file_ids": []}, "file_ids"),
        ("v2", AssistantBody, ASSISTANT | {"tools": [CODE, RETRIEVAL]}, "tools.1"),
        ("v2", RunBody, RUN | {"tool_choice": RETRIEVAL}, "tool_choice"),
    ],
)
def test_a_part_that_the_version_does_not_have_is_refused(
    version: str, kind: type[Body], body: dict[str, Any], path: str
) -> None:
    with pytest.raises(GatewayError) as caught:
        rendered(kind, body, version, send_nulls=kind is ThreadUpdateBody)
    assert (caught.value.code, caught.value.argument) == (ErrorCode.UNSUPPORTED_BY_UPSTREAM, path)
    assert f"dialect openai-{version}" in caught.value.message
    other = "v2" if version == "v1" else "v1"
    rendered(kind, body, other, send_nulls=kind is ThreadUpdateBody)


@pytest.mark.parametrize(
    ("version", "kind", "body", "named"),
    [
        ("v2", MessageBody, MESSAGE | {"file_ids": ["file-1"]}, "'fileIds'"),
        ("v1", ThreadBody, {"tool_resources": {}}, "'toolResources'"),
        ("v1", RunBody, RUN | {"tools": [SEARCH]}, "a tool 'FILE_SEARCH'"),
        ("v2", RunBody, RUN | {"tool_choice": RETRIEVAL}, "a tool 'RETRIEVAL'"),
        ("v1", MessageBody, MESSAGE | {"content": [TEXT, IMAGE]}, "a part 'imageUrl'"),
    ],
)
def test_a_refusal_uses_the_graphql_names(version: str, kind: type[Body], body: dict[str, Any], named: str) -> None:
    with pytest.raises(GatewayError, match=f"has no place for {named}"):
        rendered(kind, body, version)


@pytest.mark.parametrize(
    ("body", "named"), [({"file_ids": []}, "'fileIds'"), ({"tools": [CODE, RETRIEVAL]}, "a tool 'RETRIEVAL'")]
)
def test_an_assistant_of_the_successor_has_no_parts_of_version_1(body: dict[str, Any], named: str) -> None:
    assistant = AssistantBody.model_validate(ASSISTANT | body)
    with pytest.raises(GatewayError, match=rf"^Conversations and responses, .* have no place for {named}\.$"):
        render_body(assistant, DIALECTS["openai-responses"], send_nulls=False)


@pytest.mark.parametrize("default", [2**70, "\ud800", "é", 1.5])
def test_any_json_of_a_caller_is_sent(default: object) -> None:
    function = {"name": "f", "parameters": {"default": default}}
    body = ASSISTANT | {"tools": [{"type": "function", "function": function}]}
    assert rendered(AssistantBody, body) == body


def test_only_top_level_nulls_are_sent_and_nulls_of_unknown_fields_are_dropped() -> None:
    body = {"name": None, "tool_resources": {"code_interpreter": None, "file_search": {"vector_store_ids": None}}}
    cleared: dict[str, Any] = {"name": None, "tool_resources": {"file_search": {}}}
    assert rendered(AssistantUpdateBody, body, send_nulls=True) == cleared
    assert rendered(AssistantUpdateBody, {"file_ids": None}, send_nulls=True) == {}
    assert rendered(AssistantUpdateBody, {"tool_resources": None}, "v1", send_nulls=True) == {}


@pytest.mark.parametrize("field", ["reasoning_effort", "parallel_tool_calls"])
def test_a_run_option_that_version_1_does_not_have_is_refused(field: str) -> None:
    with pytest.raises(GatewayError) as refused:
        rendered(RunBody, RUN | {field: "low" if field == "reasoning_effort" else True}, "v1")
    assert (refused.value.code, refused.value.argument) == (ErrorCode.UNSUPPORTED_BY_UPSTREAM, field)


def test_the_body_can_ask_for_a_stream() -> None:
    body = RunBody.model_validate(RUN)
    assert json.loads(render_body(body, DIALECTS["openai-v2"], send_nulls=False, stream=True)) == RUN | {"stream": True}
