from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.emulator.bodies.fields import (
    Body,
    FunctionTool,
    MetadataField,
    ResponseFormatV1,
    ResponseFormatV2,
    ToolResources,
    json_type_name,
)


class OnlyMetadata(Body):
    metadata: MetadataField


@pytest.mark.parametrize(
    "metadata",
    [{}, {f"k{number}": "v" for number in range(16)}, {"k" * 64: "v" * 512}, {"": ""}, {"🎉" * 64: "京" * 512}],
)
def test_metadata_within_the_limits_is_accepted(metadata: dict[str, str]) -> None:
    assert OnlyMetadata(metadata=metadata).metadata == metadata


@pytest.mark.parametrize(
    "metadata",
    [{f"k{number}": "v" for number in range(17)}, {"k" * 65: "v"}, {"k": "v" * 513}, {"k": None}, {"k": 1}, [], "x"],
)
def test_metadata_beyond_the_limits_is_refused(metadata: Any) -> None:
    with pytest.raises(ValidationError):
        OnlyMetadata(metadata=metadata)


def test_null_metadata_is_empty() -> None:
    assert OnlyMetadata.model_validate_json('{"metadata":null}').metadata == {}


@pytest.mark.parametrize(
    ("value", "name"),
    [("", "a string"), (True, "a boolean"), (1, "an integer"), (1.5, "a decimal"), ([], "an array"), (None, "null")],
)
def test_json_type_names_have_their_articles(value: Any, name: str) -> None:
    assert json_type_name(value) == name


def test_a_function_is_stored_with_the_defaults_of_the_api() -> None:
    tool = FunctionTool.model_validate_json('{"type":"function","function":{"name":"f"}}')
    assert tool.to_stored() == {
        "type": "function",
        "function": {"name": "f", "parameters": {"type": "object", "properties": {}}, "strict": False},
    }


def test_a_vector_store_to_create_gets_its_id() -> None:
    body = '{"file_search":{"vector_stores":[{"file_ids":["file-1"]}]},"code_interpreter":{}}'
    assert ToolResources.model_validate_json(body).to_stored("vs_1") == {
        "code_interpreter": {"file_ids": []},
        "file_search": {"vector_store_ids": ["vs_1"]},
    }


def test_version_1_knows_no_json_schema() -> None:
    first, second = TypeAdapter[Any](ResponseFormatV1), TypeAdapter[Any](ResponseFormatV2)
    for form in ('"auto"', '{"type":"text"}', '{"type":"json_object"}'):
        first.validate_json(form)
        second.validate_json(form)
    schema = '{"type":"json_schema","json_schema":{"name":"s","schema":{}}}'
    second.validate_json(schema)
    for form in (schema, '{"type":"text","json_schema":{}}'):
        with pytest.raises(ValidationError):
            first.validate_json(form)
