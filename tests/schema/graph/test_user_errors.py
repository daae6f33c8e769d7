"""Refusals that the client can act on become data, with the path of the argument in GraphQL names."""

import pytest
from pydantic import ValidationError

from schema.contract.bodies import MessageBody, RunBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.graph.inputs import CreateRunInput, DeleteFileInput, DeleteThreadInput
from schema.graph.user_errors import (
    UserErrorCode,
    field_path,
    split_argument,
    user_error_from_gateway_error,
    user_errors_from_validation_error,
)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (ErrorCode.NOT_FOUND, UserErrorCode.NOT_FOUND),
        (ErrorCode.BAD_USER_INPUT, UserErrorCode.INVALID_VALUE),
        (ErrorCode.ACTIVE_RUN, UserErrorCode.ACTIVE_RUN),
        (ErrorCode.WRONG_STATE, UserErrorCode.WRONG_STATE),
        (ErrorCode.CONFLICT, UserErrorCode.WRONG_STATE),
        (ErrorCode.UNSUPPORTED_BY_UPSTREAM, UserErrorCode.UNSUPPORTED_BY_UPSTREAM),
        (ErrorCode.UPSTREAM_REFUSED, UserErrorCode.REFUSED),
    ],
)
def test_an_error_that_the_client_can_act_on_is_a_user_error(code: ErrorCode, expected: UserErrorCode) -> None:
    error = user_error_from_gateway_error(GatewayError(code, "Why."), CreateRunInput)
    assert error is not None
    assert (error.code, error.message, error.field) == (expected, "Why.", None)


@pytest.mark.parametrize(
    "code",
    [
        ErrorCode.UNAUTHENTICATED,
        ErrorCode.FORBIDDEN,
        ErrorCode.RATE_LIMITED,
        ErrorCode.UPSTREAM_FAILED,
        ErrorCode.UPSTREAM_UNREACHABLE,
        ErrorCode.UPSTREAM_TIMEOUT,
        ErrorCode.UPSTREAM_INVALID_RESPONSE,
        ErrorCode.INTERNAL,
    ],
)
def test_any_other_error_is_no_user_error(code: ErrorCode) -> None:
    assert user_error_from_gateway_error(GatewayError(code, "Why."), CreateRunInput, "threadId") is None


@pytest.mark.parametrize(
    ("message", "own_field", "field"),
    [
        ("No assistant found with id 'asst_a'.", "threadId", ["assistantId"]),
        ("No thread found with id 'thread_a'.", "threadId", ["threadId"]),
        ("Assistant a1 not found", "threadId", ["assistantId"]),
        ("No file found with id 'thread-file'.", "threadId", None),
        ("Vector store vs_1 not found", "threadId", None),
        ("The model `gpt-9` does not exist or you do not have access to it.", "threadId", None),
        ("The API deployment for this resource does not exist.", "threadId", None),
        ("No thread found with id 'model'.", "threadId", ["threadId"]),
        ("Resource not found", "threadId", ["threadId"]),
        ("Resource not found", None, None),
    ],
)
def test_not_found_is_reported_for_the_argument_that_names_the_object(
    message: str, own_field: str | None, field: list[str] | None
) -> None:
    error = user_error_from_gateway_error(GatewayError(ErrorCode.NOT_FOUND, message), CreateRunInput, own_field)
    assert error is not None
    assert error.field == field


@pytest.mark.parametrize("message", ["No such File object: file-1", "File file-1 not found", "Resource not found"])
def test_a_file_that_is_not_found_is_that_of_the_input(message: str) -> None:
    error = user_error_from_gateway_error(GatewayError(ErrorCode.NOT_FOUND, message), DeleteFileInput, "fileId")
    assert error is not None
    assert error.field == ["fileId"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Invalid 'content': string too long.", UserErrorCode.TOO_LONG),
        ("Invalid 'metadata': too many properties.", UserErrorCode.TOO_MANY),
        ("Invalid 'x': no.", UserErrorCode.INVALID_VALUE),
    ],
)
def test_the_upstreams_message_distinguishes_limits_from_bad_values(message: str, code: UserErrorCode) -> None:
    refusal = GatewayError(ErrorCode.BAD_USER_INPUT, message, argument="truncation_strategy.last_messages")
    error = user_error_from_gateway_error(refusal, CreateRunInput)
    assert error is not None
    assert (error.code, error.field) == (code, ["truncationStrategy", "lastMessages"])


@pytest.mark.parametrize(
    ("argument", "field"),
    [
        ("prompt", None),
        ("stream", None),
        ("body", None),
        ("None", None),
        ("thread_id", ["threadId"]),
        ("metadata.my_key", ["metadata", "my_key"]),
        ("additional_messages[1].content[0].text", ["additionalMessages", "1", "content", "0", "text"]),
        ("additional_messages.first", ["additionalMessages"]),
        ("tools[0].function.parameters.properties.a", ["tools", "0", "function", "parameters", "properties", "a"]),
        ("tools[0].kind", ["tools", "0"]),
        ("instructions.0", ["instructions"]),
    ],
)
def test_a_path_is_given_as_far_as_it_exists_in_the_input(argument: str, field: list[str] | None) -> None:
    refusal = GatewayError(ErrorCode.BAD_USER_INPUT, "No.", argument=argument)
    error = user_error_from_gateway_error(refusal, CreateRunInput)
    assert error is not None
    assert error.field == field


def test_an_object_that_the_input_does_not_name_is_not_blamed_on_it() -> None:
    refusal = GatewayError(ErrorCode.NOT_FOUND, "No run found with id 'run_1'.")
    error = user_error_from_gateway_error(refusal, DeleteThreadInput, "threadId")
    assert error is not None
    assert error.field is None


def test_a_path_is_converted_to_graphql_names_except_metadata_keys() -> None:
    assert field_path(["additional_messages", "0", "image_url", "url"]) == [
        "additionalMessages",
        "0",
        "imageUrl",
        "url",
    ]
    assert field_path(["metadata", "my_key", "x_y"]) == ["metadata", "my_key", "x_y"]
    assert field_path(["threadId"]) == ["threadId"]


LONG_PAIRS = {"Colour": "v" * 513, "literal[1": "v" * 513, "k" * 65: "", "short": ""}


def body_faults(
    body: type[MessageBody] | type[RunBody], value: object
) -> list[tuple[UserErrorCode, str, list[str] | None]]:
    with pytest.raises(ValidationError) as refused:
        body.model_validate(value)
    return [(error.code, error.message, error.field) for error in user_errors_from_validation_error(refused.value)]


def test_each_invalid_field_is_one_user_error_with_expected_and_actual_value() -> None:
    faults = body_faults(RunBody, {"assistant_id": "a", "temperature": 3, "max_prompt_tokens": 1})
    assert faults == [
        (UserErrorCode.INVALID_VALUE, "expected less than or equal to 2, got 3", ["temperature"]),
        (UserErrorCode.INVALID_VALUE, "expected greater than or equal to 256, got 1", ["maxPromptTokens"]),
    ]


def test_an_invalid_union_is_one_user_error_at_its_path() -> None:
    ((code, _, field),) = body_faults(
        RunBody, {"assistant_id": "a", "tool_choice": {"type": "function", "function": {"name": "!"}}}
    )
    assert (code, field) == (UserErrorCode.INVALID_VALUE, ["toolChoice", "function", "name"])


def test_a_size_error_names_the_size() -> None:
    text = {"type": "text", "text": "a"}
    content = [text | {"text": "x" * 256_001}, text | {"text": ""}]
    files = ["file-a"] * 11
    faults = body_faults(MessageBody, {"role": "user", "content": content, "file_ids": files, "metadata": LONG_PAIRS})
    assert faults == [
        (UserErrorCode.TOO_LONG, "expected at most 256000 characters, got 256001", ["content", "0", "text"]),
        (UserErrorCode.INVALID_VALUE, "expected at least 1 character, got 0", ["content", "1", "text"]),
        (UserErrorCode.TOO_MANY, "expected at most 10 items, got 11", ["fileIds"]),
        (UserErrorCode.TOO_LONG, "expected at most 512 characters, got 513", ["metadata", "Colour"]),
        (UserErrorCode.TOO_LONG, "expected at most 512 characters, got 513", ["metadata", "literal[1"]),
        (UserErrorCode.TOO_LONG, "expected keys of at most 64 characters, got one of 65", ["metadata"]),
    ]
    faults = body_faults(MessageBody, {"role": "user", "content": []})
    assert faults == [(UserErrorCode.INVALID_VALUE, "expected at least 1 item, got 0", ["content"])]
    faults = body_faults(MessageBody, {"role": "user", "content": [text], "metadata": {str(n): "" for n in range(17)}})
    assert faults == [(UserErrorCode.TOO_MANY, "expected at most 16 pairs, got 17", ["metadata"])]


@pytest.mark.parametrize(
    ("given", "message", "field"),
    [
        ({"temperature": {"a": None}}, 'expected a valid number, got {"a": null}', ["temperature"]),
        ({"temperature": ["x" * 100]}, f'expected a valid number, got ["{"x" * 75}...', ["temperature"]),
        (
            {"tools": [{"type": "function", "function": {"name": "no spaces"}}]},
            "expected a string that matches pattern '^[A-Za-z0-9_-]{1,64}$', got \"no spaces\"",
            ["tools", "0", "function", "name"],
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": [True, None]}}]},
            "expected a JSON object, got [true, null]",
            ["tools", "0", "function", "parameters"],
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": "{}"}}},
            'expected a JSON object, got "{}"',
            ["responseFormat", "jsonSchema", "schema"],
        ),
    ],
)
def test_the_actual_value_is_shown_as_json(given: dict[str, object], message: str, field: list[str]) -> None:
    assert body_faults(RunBody, {"assistant_id": "asst_a", **given}) == [(UserErrorCode.INVALID_VALUE, message, field)]


@pytest.mark.parametrize(
    ("argument", "places"),
    [
        ("tools[0].function.parameters", ["tools", "0", "function", "parameters"]),
        ("messages[0].metadata.a.b[1]", ["messages", "0", "metadata", "a.b[1]"]),
        ("metadata.k", ["metadata", "k"]),
        ("content.1.text", ["content", "1", "text"]),
        ("metadata", ["metadata"]),
    ],
)
def test_an_upstream_path_is_split_into_steps(argument: str, places: list[str]) -> None:
    assert split_argument(argument) == places
