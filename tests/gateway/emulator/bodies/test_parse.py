import json
from typing import Any

import pytest

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.bodies.parse import parse_body
from gateway.emulator.bodies.run_bodies import RunV2
from gateway.emulator.bodies.thread_bodies import ThreadV2

RUN = b'{"assistant_id":"asst_1",'


def test_no_body_and_null_are_an_empty_object() -> None:
    assert parse_body(ThreadV2, b"") == parse_body(ThreadV2, b" null ") == parse_body(ThreadV2, b"{}")


@pytest.mark.parametrize(
    ("model", "raw", "message", "param", "code"),
    [
        (ThreadV2, b"[", "We could not parse the JSON body", None, None),
        (ThreadV2, b"[]", "Invalid type for the request body: expected an object, but got an array", None,
         "invalid_type"),
        (ThreadV2, b'{"messages":[{"role":"user"}]}', "Missing required parameter: 'messages[0].content'.",
         "messages[0].content", "missing_required_parameter"),
        (ThreadV2, b'{"messages":[{"role":"user","contents":"x"}]}', "Unknown parameter: 'messages[0].contents'.",
         "messages[0].contents", "unknown_parameter"),
        (ThreadV2, b'{"messages":[{"role":"bob","content":"x"}]}',
         "Invalid value: 'bob'. Supported values are: 'user' and 'assistant'.", "messages[0].role", "invalid_value"),
        (ThreadV2, b'{"messages":[{"role":5,"content":"x"}]}',
         "Invalid type for 'messages[0].role': expected a string, but got an integer instead.", "messages[0].role",
         "invalid_type"),
        (ThreadV2, b'{"messages":[{"role":"user","content":[{"type":"video"}]}]}',
         "Invalid value: 'video'. Supported values are: 'text', 'image_file', and 'image_url'.",
         "messages[0].content[0].type", "invalid_value"),
        (ThreadV2, b'{"messages":[{"role":"user","content":[{}]}]}',
         "Missing required parameter: 'messages[0].content[0].type'.", "messages[0].content[0].type",
         "missing_required_parameter"),
        (ThreadV2, b'{"messages":[{"role":"user","content":[{"type":1}]}]}',
         "Invalid type for 'messages[0].content[0].type': expected a string, but got an integer instead.",
         "messages[0].content[0].type", "invalid_type"),
        (ThreadV2, b'{"messages":[{"role":"user","content":["x"]}]}',
         "Invalid type for 'messages[0].content[0]': expected an object, but got a string instead.",
         "messages[0].content[0]", "invalid_type"),
        (ThreadV2, b'{"messages":[{"role":"user","content":null}]}',
         "Invalid type for 'messages[0].content': expected one of a string or array of objects, but got null instead.",
         "messages[0].content", "invalid_type"),
        (ThreadV2, b'{"messages":[{"role":"user","content":""}]}', "Invalid 'messages[0].content': string too short.",
         "messages[0].content", "string_below_min_length"),
        (ThreadV2, b'{"messages":[{"role":"user","content":[]}]}', "Invalid 'messages[0].content': empty array.",
         "messages[0].content", "empty_array"),
        (ThreadV2, b'{"metadata":5}', "Invalid type for 'metadata': expected an object, but got an integer instead.",
         "metadata", "invalid_type"),
        (ThreadV2, b'{"metadata":{"{x}":1.5}}',
         "Invalid type for 'metadata.{x}': expected a string, but got a decimal instead.", "metadata.{x}",
         "invalid_type"),
        (ThreadV2, b'{"messages":[' + b",".join([b'{"role":"user","content":"x"}'] * 33) + b"]}",
         "Invalid 'messages': array too long. Expected an array with maximum length 32, but got an array with",
         "messages", "array_above_max_length"),
        (RunV2, RUN + b'"temperature":2.5}',
         "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 2.5 instead.",
         "temperature", "decimal_above_max_value"),
        (RunV2, RUN + b'"max_prompt_tokens":3}',
         "Invalid 'max_prompt_tokens': integer below minimum value. Expected a value >= 256, but got 3 instead.",
         "max_prompt_tokens", "integer_below_min_value"),
        (RunV2, RUN + b'"tool_choice":"maybe"}',
         "Invalid value: 'maybe'. Supported values are: 'none', 'auto', and 'required'.", "tool_choice",
         "invalid_value"),
        (RunV2, RUN + b'"tool_choice":{"type":"x"}}',
         "Invalid value: 'x'. Supported values are: 'function', 'code_interpreter', and 'file_search'.",
         "tool_choice.type", "invalid_value"),
        (RunV2, RUN + b'"tools":[{"type":"function","function":"s"}]}',
         "Invalid type for 'tools[0].function': expected an object, but got a string instead.", "tools[0].function",
         "invalid_type"),
        (RunV2, RUN + b'"parallel_tool_calls":"yes"}',
         "Invalid type for 'parallel_tool_calls': expected a boolean, but got a string instead.",
         "parallel_tool_calls", "invalid_type"),
        (RunV2, RUN + b'"temperature":NaN}', "Invalid ", "temperature", None),
    ],
)  # fmt: skip
def test_an_invalid_body_is_refused_with_its_first_problem(
    model: Any, raw: bytes, message: str, param: str | None, code: str | None
) -> None:
    with pytest.raises(ApiError) as refused:
        parse_body(model, raw)
    assert refused.value.message.startswith(message)
    assert (refused.value.status, refused.value.param) == (400, param)
    assert code is None or refused.value.code == code


@pytest.mark.parametrize(
    ("field", "param"),
    [
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": None}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "s"}}},
            "response_format.json_schema.schema",
        ),
        ({"truncation_strategy": {"type": "last_messages"}}, "truncation_strategy.last_messages"),
        (
            {"truncation_strategy": {"type": "last_messages", "last_messages": None}},
            "truncation_strategy.last_messages",
        ),
        ({"tool_choice": {"type": "function"}}, "tool_choice.function"),
        (
            {"tools": [{"type": "file_search", "file_search": {"ranking_options": {"ranker": "auto"}}}]},
            "tools[0].file_search.ranking_options.score_threshold",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
    ],
)
def test_an_option_without_the_value_that_it_needs_is_refused(field: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_body(RunV2, json.dumps({"assistant_id": "asst_1", **field}).encode())
    assert refused.value.message == f"Missing required parameter: '{param}'."
    assert (refused.value.param, refused.value.code) == (param, "missing_required_parameter")


def test_a_schema_of_another_type_is_refused() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": "{}"}}
    with pytest.raises(ApiError, match="expected an object, but got a string instead") as refused:
        parse_body(RunV2, json.dumps({"assistant_id": "asst_1", "response_format": form}).encode())
    assert refused.value.param == "response_format.json_schema.schema"


@pytest.mark.parametrize(
    "options",
    [{"max_num_results": 51}, {"max_num_results": 0}, {"ranking_options": {"score_threshold": 1.1}}, {"other": 1}],
)
def test_options_of_a_search_are_held_to_their_limits(options: dict[str, Any]) -> None:
    tools = [{"type": "file_search", "file_search": options}]
    with pytest.raises(ApiError):
        parse_body(RunV2, json.dumps({"assistant_id": "asst_1", "tools": tools}).encode())
