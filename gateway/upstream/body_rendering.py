"""From a request body to the JSON that a version of the API takes. Pure.

What the version has no place for is refused with its place in the body, since leaving it out would do something else
than was asked. The words of a refusal are for whoever wrote the GraphQL input, so it names things as GraphQL does.

Source: the request schemas of the API's specification, versions 1 and 2.
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
}
_FOREIGN_TOOLS: Mapping[str, str] = {"v1": "file_search", "v2": "retrieval"}
# What a caller may put anything into; null means null there.
_FREE = frozenset({"metadata", "parameters", "schema"})


def render_body(body: Body, dialect: Dialect, *, keep_nulls: bool, stream: bool = False) -> bytes:
    """Render a body as JSON; raises a `GatewayError` for what the dialect's version does not have.

    Nulls are kept for an update, where they clear a value, and left out of everything else, where servers differ in
    what they make of them. `stream` asks for the run's events in place of the run.
    """
    rendered = _Rendering(dialect, keep_nulls).object_at((), body.to_wire())
    if stream:
        rendered["stream"] = True
    try:
        return msgspec.json.encode(rendered)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, or an integer beyond 64 bits
        return json.dumps(rendered).encode()


class _Rendering:
    def __init__(self, dialect: Dialect, keep_nulls: bool) -> None:
        self._dialect = dialect
        self._keep_nulls = keep_nulls

    def object_at(self, place: tuple[str, ...], wire: Mapping[str, Any]) -> dict[str, Any]:
        rendered = {}
        for name, value in wire.items():
            here = (*place, name)
            is_foreign = name in _FOREIGN_FIELDS[self._dialect.version] and "tool_resources" not in place
            # Only an object's own values are cleared; a null deeper down says that nothing was given.
            if value is None and (is_foreign or place or not self._keep_nulls):
                continue
            if is_foreign:
                raise self._refusal(here, f"'{to_camel(name)}'")
            rendered[name] = value if name in _FREE else self._value(here, value)
        return rendered

    def _value(self, place: tuple[str, ...], value: Any) -> Any:
        match value:
            case {"type": str() as kind} if kind == _FOREIGN_TOOLS[self._dialect.version]:
                raise self._refusal(place, f"a tool '{kind.upper()}'")
            case dict():
                return self.object_at(place, value)
            case list() if place[-1] == "content":
                return self._content(place, value)
            case list():
                return [self._value((*place, str(index)), one) for index, one in enumerate(value)]
            case _:
                return value

    def _content(self, place: tuple[str, ...], parts: list[Any]) -> Any:
        """Make one text a bare string, which every server takes."""
        match parts:
            case [{"type": "text", "text": str() as text}]:
                return text
            case _ if self._dialect.version != "v1":
                return parts
        for index, part in enumerate(parts):
            if part.get("type") != "text":
                raise self._refusal((*place, str(index)), f"a part '{to_camel(part['type'])}'")
        raise self._refusal(place, "a content of several parts")

    def _refusal(self, place: tuple[str, ...], what: str) -> GatewayError:
        version, name = self._dialect.version, self._dialect.name
        return GatewayError(
            ErrorCode.UNSUPPORTED_BY_UPSTREAM,
            f"Version {version[1:]} of the API, which the upstream speaks (dialect {name}), has no place for {what}.",
            argument=".".join(place),
        )
