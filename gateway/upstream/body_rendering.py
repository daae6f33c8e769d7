"""Renders a request body as the JSON that one version of the API takes. Pure.

A part that the version does not have is refused, with its path in the body; leaving it out would change the meaning of
the request. The author of the GraphQL input reads the error, so it uses the GraphQL names.

Source: the request schemas of the specification, versions 1 and 2, such as `CreateRunRequest`.
"""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
from pydantic.alias_generators import to_camel

from gateway.upstream.dialects import Dialect
from schema.contract.bodies import Body
from schema.contract.errors import ErrorCode, GatewayError

_FOREIGN_FIELDS: Mapping[str, frozenset[str]] = {
    "v1": frozenset({"attachments", "tool_resources", "reasoning_effort", "parallel_tool_calls"}),
    "v2": frozenset({"file_ids"}),
    "responses": frozenset({"file_ids"}),
}
_FOREIGN_TOOLS: Mapping[str, str] = {"v1": "file_search", "v2": "retrieval", "responses": "retrieval"}
_SPOKEN = {
    "v1": "Version 1 of the API, which the upstream speaks (dialect {}), has",
    "v2": "Version 2 of the API, which the upstream speaks (dialect {}), has",
    "responses": "Conversations and responses, which the upstream speaks (dialect {}), have",
}
# The caller decides what is inside these fields; a null inside them stays a null.
_FREE_FORM_FIELDS = frozenset({"metadata", "parameters", "schema"})


def render_body(body: Body, dialect: Dialect, *, send_nulls: bool, stream: bool = False) -> bytes:
    """Render a body as JSON.

    An update sends nulls, since they clear a value. All other requests leave nulls out, since servers treat them
    differently. `stream` asks for the run's events instead of the run.

    Raises:
        GatewayError: the body has a part that the dialect's version does not have.
    """
    rendered = _BodyRenderer(dialect, send_nulls).render_object((), body.to_wire())
    if stream:
        rendered["stream"] = True
    try:
        return msgspec.json.encode(rendered)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or an integer of more than 64 bits
        return json.dumps(rendered).encode()


class _BodyRenderer:
    def __init__(self, dialect: Dialect, send_nulls: bool) -> None:
        self._dialect = dialect
        self._keep_nulls = send_nulls

    def render_object(self, path: tuple[str, ...], wire: Mapping[str, Any]) -> dict[str, Any]:
        rendered = {}
        for name, value in wire.items():
            field_path = (*path, name)
            is_foreign = name in _FOREIGN_FIELDS[self._dialect.version] and "tool_resources" not in path
            # Only a field at the top level can be cleared. A null further down means that no value was set.
            if value is None and (is_foreign or path or not self._keep_nulls):
                continue
            if is_foreign:
                raise self._unsupported_error(field_path, f"'{to_camel(name)}'")
            rendered[name] = value if name in _FREE_FORM_FIELDS else self._value(field_path, value)
        return rendered

    def _value(self, path: tuple[str, ...], value: Any) -> Any:
        match value:
            case {"type": str() as tool_type} if tool_type == _FOREIGN_TOOLS[self._dialect.version]:
                raise self._unsupported_error(path, f"a tool '{tool_type.upper()}'")
            case dict():
                return self.render_object(path, value)
            case list() if path[-1] == "content":
                return self._content(path, value)
            case list():
                return [self._value((*path, str(index)), item) for index, item in enumerate(value)]
            case _:
                return value

    def _content(self, path: tuple[str, ...], parts: list[Any]) -> Any:
        """Turn a single text part into a plain string, which every server accepts."""
        match parts:
            case [{"type": "text", "text": str() as text}]:
                return text
            case _ if self._dialect.version != "v1":
                return parts
        for index, part in enumerate(parts):
            if part.get("type") != "text":
                raise self._unsupported_error((*path, str(index)), f"a part '{to_camel(part['type'])}'")
        raise self._unsupported_error(path, "a content of several parts")

    def _unsupported_error(self, path: tuple[str, ...], part: str) -> GatewayError:
        spoken = _SPOKEN[self._dialect.version].format(self._dialect.name)
        return GatewayError(
            ErrorCode.UNSUPPORTED_BY_UPSTREAM,
            f"{spoken} no place for {part}.",
            argument=".".join(path),
        )
