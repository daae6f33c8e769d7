"""Request bodies accept the values that the specification allows, up to its limits, and no others."""

from typing import Any

import pytest
from pydantic import ValidationError

from schema.contract.bodies import (
    AssistantBody,
    AttachmentBody,
    Body,
    MessageBody,
    MetadataUpdateBody,
    RunBody,
    ThreadBody,
    ToolApprovalsBody,
    ToolOutputsBody,
)
from schema.contract.keys import ThreadKey, to_file_id, to_global_id, to_opaque

TEXT = [{"type": "text", "text": "a"}]
MESSAGE = {"role": "user", "content": TEXT}
RUN = {"assistant_id": "asst_a"}


def message(**changes: Any) -> dict[str, Any]:
    return MESSAGE | changes


@pytest.mark.parametrize(
    ("body_type", "value"),
    [
        (MessageBody, message(content=[{"type": "text", "text": "x" * 256_000}])),
        (MessageBody, message(metadata={f"{n:064}": "v" * 512 for n in range(16)})),
        (MessageBody, message(file_ids=["file-a"] * 10)),
        (ThreadBody, {"messages": [MESSAGE] * 32}),
        (ThreadBody, {}),
        (RunBody, RUN | {"temperature": 2, "top_p": 0, "max_prompt_tokens": 256}),
        (RunBody, RUN | {"tool_choice": "none", "response_format": "auto"}),
        (RunBody, RUN | {"tools": [{"type": "code_interpreter"}] * 20}),
        (RunBody, RUN | {"truncation_strategy": {"type": "last_messages", "last_messages": 1}}),
        (AssistantBody, {"model": "m", "name": "n" * 256, "description": "d" * 512}),
        (
            AssistantBody,
            {"model": "m", "tools": [{"type": "file_search", "file_search": {"max_num_results": 50}}] * 128},
        ),
        (ToolOutputsBody, {"tool_outputs": [{"tool_call_id": "call_a", "output": ""}]}),
        (ToolApprovalsBody, {"tool_approvals": [{"tool_call_id": "call_a", "approve": False}]}),
    ],
)
def test_a_body_within_the_limits_is_accepted_and_dumped_unchanged(
    body_type: type[Body], value: dict[str, Any]
) -> None:
    assert body_type.model_validate(value).to_wire() == value


@pytest.mark.parametrize(
    ("body_type", "value", "kind", "path"),
    [
        (MessageBody, message(content=[{"type": "text", "text": "x" * 256_001}]), "string_too_long", "content.0.text"),
        (MessageBody, message(content=[{"type": "text", "text": ""}]), "string_too_short", "content.0.text"),
        (MessageBody, message(content=[]), "too_short", "content"),
        (MessageBody, message(role="system"), "literal_error", "role"),
        (MessageBody, message(file_ids=["file-a"] * 11), "too_long", "file_ids"),
        (MessageBody, message(metadata={str(n): "" for n in range(17)}), "too_long", "metadata"),
        (MessageBody, message(metadata={"k" * 65: ""}), "string_too_long", "metadata"),
        (MessageBody, message(metadata={"k": "v" * 513}), "string_too_long", "metadata.k"),
        (MessageBody, message(surprise=1), "extra_forbidden", "surprise"),
        (ThreadBody, {"messages": [MESSAGE] * 33}, "too_long", "messages"),
        (RunBody, RUN | {"temperature": 2.01}, "less_than_equal", "temperature"),
        (RunBody, RUN | {"top_p": 1.1}, "less_than_equal", "top_p"),
        (RunBody, RUN | {"max_completion_tokens": 255}, "greater_than_equal", "max_completion_tokens"),
        (RunBody, RUN | {"tools": [{"type": "retrieval"}] * 21}, "too_long", "tools"),
        (RunBody, RUN | {"truncation_strategy": {"type": "last_messages"}}, "missing", "truncation_strategy"),
        (RunBody, {}, "missing", "assistant_id"),
        (AssistantBody, {"model": ""}, "string_too_short", "model"),
        (AssistantBody, {"model": "m", "name": "n" * 257}, "string_too_long", "name"),
        (
            AssistantBody,
            {"model": "m", "tools": [{"type": "function", "function": {"name": "a b"}}]},
            "string_pattern_mismatch",
            "tools.0.function.name",
        ),
        (
            AssistantBody,
            {"model": "m", "tool_resources": {"file_search": {"vector_store_ids": ["a", "b"]}}},
            "too_long",
            "tool_resources.file_search.vector_store_ids",
        ),
        (ToolOutputsBody, {"tool_outputs": []}, "too_short", "tool_outputs"),
        (ToolApprovalsBody, {"tool_approvals": []}, "too_short", "tool_approvals"),
        (
            AssistantBody,
            {"model": "m", "tools": [{"type": "function", "function": {"name": "f", "parameters": ["x"]}}]},
            "dict_type",
            "tools.0.function.parameters",
        ),
    ],
)
def test_a_value_beyond_a_limit_is_refused_with_its_path(
    body_type: type[Body], value: dict[str, Any], kind: str, path: str
) -> None:
    with pytest.raises(ValidationError) as error:
        body_type.model_validate(value)
    (fault,) = error.value.errors()
    assert (fault["type"], ".".join(map(str, fault["loc"]))) == (kind, path)


def test_an_overlap_of_more_than_half_a_chunk_is_refused() -> None:
    static = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}
    store = {"chunking_strategy": {"type": "static", "static": static}}
    with pytest.raises(ValidationError, match="at most half"):
        ThreadBody.model_validate({"tool_resources": {"file_search": {"vector_stores": [store]}}})


def test_an_explicit_null_is_dumped_and_an_unset_field_is_not() -> None:
    assert MetadataUpdateBody.model_validate({"metadata": None}).to_wire() == {"metadata": None}
    assert MetadataUpdateBody.model_validate({}).to_wire() == {}


def test_a_nested_json_schema_is_dumped_under_its_own_name() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}, "strict": True}}
    body = RunBody.model_validate(RUN | {"response_format": schema})
    assert body.to_wire()["response_format"] == schema


def test_every_metadata_pair_that_is_too_long_has_its_own_error() -> None:
    with pytest.raises(ValidationError) as error:
        MetadataUpdateBody.model_validate({"metadata": {"a": "v" * 513, "k" * 65: "v" * 513, "b": "", "c": "v" * 600}})
    assert [fault["loc"] for fault in error.value.errors()] == [("metadata", "a"), ("metadata",), ("metadata", "c")]


def test_a_file_is_named_by_its_global_id_or_its_upstream_id() -> None:
    for text in ("file-abc123", "assistant-file", "File:1"):
        for written in (text, to_file_id(text)):
            body = AttachmentBody.model_validate({"file_id": written, "tools": []})
            assert body.file_id == text


@pytest.mark.parametrize(
    "text", [to_global_id(ThreadKey("t")), to_file_id("file-abc123")[:-1], to_opaque("File", "a", "b")]
)
def test_an_id_of_something_else_than_a_file_is_refused(text: str) -> None:
    with pytest.raises(ValidationError) as refused:
        AttachmentBody.model_validate({"file_id": text, "tools": []})
    (fault,) = refused.value.errors()
    assert fault["loc"] == ("file_id",)
    assert fault["msg"] == f'expected the global ID or the upstream id of a File, got "{text}"'
