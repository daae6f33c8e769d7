"""The parser of request bodies. It refuses an invalid body in the API's own words."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.emulator.bodies.api_errors import ApiError, malformed_json, missing_parameter, unsupported_value
from gateway.emulator.bodies.fields import Body, json_type_name

AnyBody = TypeVar("AnyBody", bound=Body)

_EXPECTED_TYPES = {
    "string_type": "a string",
    "int_type": "an integer",
    "float_type": "a decimal",
    "bool_type": "a boolean",
    "tuple_type": "an array",
    "list_type": "an array",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}


def parse_body(model: type[AnyBody], raw: bytes) -> AnyBody:
    """Return the body as its model. An empty body and `null` count as an empty object, as in the API.

    Raises:
        ApiError: The body is invalid. The error names the first problem.
    """
    try:
        return model.model_validate_json(raw if raw.strip() not in {b"", b"null"} else b"{}")
    except ValidationError as error:
        raise _refusal(error.errors(include_url=False)) from None


def _refusal(details: list[ErrorDetails]) -> ApiError:
    # A misspelt name is both unknown and missing. The error for the unknown name says more.
    first = next((detail for detail in details if detail["type"] == "extra_forbidden"), details[0])
    kind, context = first["type"], first.get("ctx", {})
    param = _param(first["loc"])
    if kind == "json_invalid":
        return malformed_json()
    if "words" in context:
        full = param + context["suffix"]
        words: str = context["words"]
        # Replaced, not formatted, since a client's key may hold braces.
        return ApiError(words.replace("{param}", full, 1).replace("{parent}", param, 1), param=full, code=kind)
    if kind == "missing":
        return missing_parameter(param)
    if kind == "extra_forbidden":
        return ApiError(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
    if kind in {"literal_error", "union_tag_invalid"}:
        return _unsupported_value(kind, param, first["input"], context)
    if kind == "union_tag_not_found":
        return _missing_type(param, first["input"])
    if kind in _EXPECTED_TYPES:
        return _wrong_type(param, _EXPECTED_TYPES[kind], first["input"])
    return _beyond_limit(kind, param, first["input"], context)


def _wrong_type(param: str, expected: str, value: Any) -> ApiError:
    where = f"Invalid type for '{param}'" if param else "Invalid type for the request body"
    return ApiError(
        f"{where}: expected {expected}, but got {json_type_name(value)} instead.",
        param=param or None,
        code="invalid_type",
    )


def _unsupported_value(kind: str, param: str, value: Any, context: Mapping[str, Any]) -> ApiError:
    if kind == "literal_error":
        if not isinstance(value, str):
            return _wrong_type(param, "a string", value)
        supported = [part.strip("'") for part in str(context["expected"]).replace(" or ", ", ").split(", ")]
        return unsupported_value(param, str(value), supported)
    tags = [part.strip("' <>") for part in str(context["expected_tags"]).split(", ") if part != "'<string>'"]
    if context["tag"] == "<string>":
        return _wrong_type(param, "an object", value)
    return unsupported_value(f"{param}.type", str(context["tag"]).strip("<>"), tags)


def _missing_type(param: str, value: Any) -> ApiError:
    if isinstance(value, dict):
        if "type" in value:
            return _wrong_type(f"{param}.type", "a string", value["type"])
        return missing_parameter(f"{param}.type")
    expected = "one of a string or array of objects" if param.endswith("content") else "an object"
    return _wrong_type(param, expected, value)


def _beyond_limit(kind: str, param: str, value: Any, context: Mapping[str, Any]) -> ApiError:
    """Return the refusal of a size or number outside its limits (most words assumed from the API's style)."""
    name = "decimal" if isinstance(value, float) else "integer"
    match kind:
        case "string_too_long":
            problem, code = "string too long", "string_above_max_length"
            expected = f"a string with maximum length {context['max_length']}"
            got = f"a string with length {len(value)}"
        case "string_too_short":
            problem, code = "string too short", "string_below_min_length"
            expected, got = f"a string with minimum length {context['min_length']}", "an empty string"
        case "too_long":
            problem, code = "array too long", "array_above_max_length"
            expected = f"an array with maximum length {context['max_length']}"
            got = f"an array with length {len(value)}"
        case "too_short":
            problem, code = "empty array", "empty_array"
            expected, got = f"an array with minimum length {context['min_length']}", "an empty array"
        case "greater_than_equal":
            problem, code = f"{name} below minimum value", f"{name}_below_min_value"
            expected, got = f"a value >= {context['ge']:g}", f"{value}"
        case "less_than_equal":
            problem, code = f"{name} above maximum value", f"{name}_above_max_value"
            expected, got = f"a value <= {context['le']:g}", f"{value}"
        case _:
            return ApiError(f"Invalid value for '{param}'.", param=param or None, code="invalid_value")
    return ApiError(
        f"Invalid '{param}': {problem}. Expected {expected}, but got {got} instead.", param=param, code=code
    )


def _param(location: tuple[int | str, ...]) -> str:
    """Return a path in the body as the API writes it: `messages[0].content`."""
    param = ""
    for step in location:
        if isinstance(step, int):
            param += f"[{step}]"
        elif not (step.startswith("<") and step.endswith(">")):
            # A step in angle brackets is the chosen member of a union, not a key.
            param += f".{step}" if param else step
    return param
