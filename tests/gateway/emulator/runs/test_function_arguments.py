from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.runs.function_arguments import arguments_from_schema


def value_for(schema: Any, question: str = "What should I eat on Thursday?") -> Any:
    return arguments_from_schema({"type": "object", "properties": {"value": schema}}, question)["value"]


def test_free_text_is_taken_from_the_question() -> None:
    assert value_for({"type": "string"}) == "Thursday"
    assert value_for({"type": "string"}, "hello there") == "hello there"
    assert value_for({"type": "string"}, "") == "value"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 7}, 7),
        ({"type": "string", "default": "x"}, "x"),
        ({"enum": ["only"]}, "only"),
        ({"type": "string", "format": "date"}, "2026-05-17"),
        ({"type": "string", "maxLength": 3}, "Thu"),
        ({"type": "string", "minLength": 10}, "Thursday.."),
        ({"type": "integer", "minimum": 50}, 50),
        ({"type": "integer", "maximum": 0}, 0),
        ({"type": ["null", "string"]}, "Thursday"),
        ({"type": "null"}, None),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "Thursday"),
        ({"type": "array", "items": {"const": 1}, "minItems": 2}, [1, 1]),
        ({"type": "object"}, {}),
        ({"properties": {"a": {"const": 1}, "b": {"const": 2}}, "required": ["b"]}, {"b": 2}),
        ({"type": "strange"}, None),
    ],
)
def test_a_value_follows_its_schema(schema: Any, value: Any) -> None:
    assert value_for(schema) == value


def test_numbers_and_booleans_have_their_types() -> None:
    assert isinstance(value_for({"type": "integer"}), int)
    assert isinstance(value_for({"type": "number"}), float)
    assert isinstance(value_for({"type": "boolean"}), bool)


def test_a_reference_is_resolved_and_a_cycle_ends() -> None:
    schema = {
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/node"}, "lost": {"$ref": "#/$defs/none"}},
        "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["next"]}},
    }
    made = arguments_from_schema(schema, "Hello")
    assert made["lost"] == "Hello"
    assert made["node"]["next"]["next"]["next"]["next"] == {"next": {}}


def test_the_same_question_makes_the_same_arguments() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "c": {"enum": ["a", "b", "c"]}}}
    assert arguments_from_schema(schema, "Why?") == arguments_from_schema(schema, "Why?")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYWORDS = (
    "type",
    "properties",
    "items",
    "enum",
    "anyOf",
    "minItems",
    "maxLength",
    "minimum",
    "format",
    "$ref",
    "required",
)


@given(st.dictionaries(st.sampled_from(KEYWORDS), JSON))
def test_a_schema_that_is_nonsense_still_makes_an_object(schema: dict[str, Any]) -> None:
    assert isinstance(arguments_from_schema(schema, "Hello"), dict)
    assert isinstance(arguments_from_schema({"type": "object", "properties": {"x": schema}}, "Hello"), dict)
