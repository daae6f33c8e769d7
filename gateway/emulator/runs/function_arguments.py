"""Function arguments made from a JSON schema: always the same for the same schema and question. Pure."""

import hashlib
from typing import Any

from gateway.emulator.objects import JsonObject

# A schema may refer to itself. Below this depth only the simplest value is made.
_MAX_DEPTH = 6
# The greatest length of a text or an array, even if the schema requires more.
_MAX_SIZE = 200
_TEXT_FORMATS = {
    "date": "2026-05-17",
    "date-time": "2026-05-17T09:30:00Z",
    "time": "09:30:00Z",
    "email": "ada@example.com",
    "uri": "https://example.com/",
    "uuid": "6f1d2c3b-4a59-4e68-8777-9a8b7c6d5e4f",
}


def arguments_from_schema(parameters: JsonObject, question: str) -> JsonObject:
    """Return an object that the schema accepts. Free text is taken from the question."""
    value = _value(parameters, parameters, "", question, 0)
    return value if isinstance(value, dict) else {}


def _value(schema: Any, root: JsonObject, name: str, question: str, depth: int) -> Any:
    schema = _resolved(schema, root)
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    for keyword in ("enum", "examples"):
        if choices := _listed(schema, keyword):
            return choices[_number(name, question, len(choices))]
    for keyword in ("anyOf", "oneOf", "allOf"):
        if choices := _listed(schema, keyword):
            return _value(choices[0], root, name, question, depth + 1) if depth < _MAX_DEPTH else None
    match _kind(schema):
        case "object":
            return _object(schema, root, question, depth)
        case "array":
            return _array(schema, root, name, question, depth)
        case kind:
            return _simple(kind, schema, name, question)


def _kind(schema: JsonObject) -> Any:
    """Return the type of a schema. If it allows several, return the first one that is not null."""
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return next((one for one in kind if one != "null"), "null") if isinstance(kind, list) else kind


def _simple(kind: Any, schema: JsonObject, name: str, question: str) -> str | float | bool | None:
    match kind:
        case "string":
            return _text(schema, name, question)
        case "integer":
            return int(_bounded(schema, _number(name, question, 10) + 1))
        case "number":
            return _bounded(schema, _number(name, question, 100) / 4 + 1)
        case "boolean":
            return _number(name, question, 2) == 1
        case _:
            return None


def _resolved(schema: Any, root: JsonObject) -> JsonObject:
    if not isinstance(schema, dict):
        return {}
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return schema
    target: Any = root
    for key in reference.removeprefix("#/").split("/"):
        target = target.get(key, {}) if isinstance(target, dict) else {}
    return target if isinstance(target, dict) else {}


def _object(schema: JsonObject, root: JsonObject, question: str, depth: int) -> JsonObject:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return {}
    required = _listed(schema, "required")
    wanted = properties if depth == 0 else {name: part for name, part in properties.items() if name in required}
    if depth >= _MAX_DEPTH:
        return {}
    return {name: _value(part, root, name, question, depth + 1) for name, part in wanted.items()}


def _array(schema: JsonObject, root: JsonObject, name: str, question: str, depth: int) -> list[Any]:
    count = int(_limit(schema, "minItems", 1))
    if depth >= _MAX_DEPTH:
        return []
    return [_value(schema.get("items", {}), root, f"{name}{index}", question, depth + 1) for index in range(count)]


def _text(schema: JsonObject, name: str, question: str) -> str:
    known = _TEXT_FORMATS.get(str(schema.get("format")))
    if known is not None:
        return known
    text = _subject(question) or name or "value"
    return text[: int(_limit(schema, "maxLength", 60))].ljust(int(_limit(schema, "minLength", 0)), ".")


def _subject(question: str) -> str:
    """Return the last capitalised word after the first one, often the subject. Without one, return the question."""
    words = [word.strip("?!.,;:\"'()") for word in question.split()]
    capitals = [word for word in words[1:] if word[:1].isupper() and word != "I"]
    return capitals[-1] if capitals else question.strip()


def _bounded(schema: JsonObject, number: float) -> float:
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(low, int | float) and number < low:
        return low
    if isinstance(high, int | float) and number > high:
        return high
    return number


def _listed(schema: JsonObject, keyword: str) -> list[Any]:
    """Return the list under a keyword. A value of another type counts as an empty list."""
    listed = schema.get(keyword)
    return listed if isinstance(listed, list) else []


def _limit(schema: JsonObject, keyword: str, default: int) -> float:
    """Return the size under a keyword, at least 0 and at most `_MAX_SIZE`."""
    size = schema.get(keyword, default)
    return min(max(size, 0), _MAX_SIZE) if isinstance(size, int | float) else default


def _number(name: str, question: str, below: int) -> int:
    digest = hashlib.sha256(f"{name}:{question}".encode(errors="surrogatepass")).digest()
    return digest[0] % below
