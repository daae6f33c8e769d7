"""Turns a key of the port into its REST call. Pure.

Source: paths, parameters and operation ids of the specification, versions 1 and 2.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from urllib.parse import quote, urlencode

from schema.contract.errors import bad_argument
from schema.contract.keys import MAX_ID_LENGTH
from schema.contract.paging import Window

_PATH_PARAMETER = re.compile(r"\{(\w+)\}")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_-]+\Z")
_DOT_SEGMENTS = {"", ".", ".."}


class UpstreamRequest(NamedTuple):
    """One REST call. `path` and `query` are percent-encoded and are appended to the base URL unchanged."""

    operation: str
    path: str
    query: str = ""
    method: str = "GET"

    @property
    def target(self) -> str:
        """The path, and the query if there is one."""
        return f"{self.path}?{self.query}" if self.query else self.path


class PageKey(Protocol):
    """A key that names a window of a list."""

    @property
    def window(self) -> Window: ...


@dataclass(frozen=True, slots=True)
class Route:
    """An operation of the specification: its id and its path. The path's parameters are named like the key's fields."""

    operation: str
    path: str
    method: str = "GET"
    filters: Sequence[str] = ()
    """Fields of the key that filter a list. Each is sent as a query parameter of the same name unless it is None."""
    _parameters: Sequence[str] = field(init=False, repr=False, compare=False)
    _format: str = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_parameters", tuple(_PATH_PARAMETER.findall(self.path)))
        object.__setattr__(self, "_format", _PATH_PARAMETER.sub("%s", self.path))

    def object_request(self, key: object) -> UpstreamRequest:
        """Build the call for one object.

        Raises:
            GatewayError: an id cannot be a path segment.
        """
        return UpstreamRequest(self.operation, self._path_for(key), method=self.method)

    def page_request(self, key: PageKey) -> UpstreamRequest:
        """Build the call for one page of a list.

        Raises:
            GatewayError: an id cannot be a path segment.
        """
        limit, order, after = key.window
        query = f"limit={limit}&order={order}"
        parameters = [(name, value) for name in self.filters if (value := getattr(key, name)) is not None]
        if after is not None:
            parameters.insert(0, ("after", after))
        if parameters:
            query = f"{query}&{urlencode(parameters, quote_via=quote, safe='')}"
        return UpstreamRequest(self.operation, self._path_for(key), query)

    def _path_for(self, key: object) -> str:
        return self._format % tuple([path_segment(name, getattr(key, name)) for name in self._parameters])


def path_segment(name: str, text: str) -> str:
    """Encode an id as exactly one path segment.

    Raises:
        GatewayError: the id cannot be a path segment: it is empty, a dot segment (which servers resolve even if it is
            percent-encoded), too long, or not encodable. The error names the parameter.
    """
    if text in _DOT_SEGMENTS or len(text) > MAX_ID_LENGTH:
        raise bad_argument(name, "an id that can stand in a URL's path", text)
    if _PLAIN_ID.match(text) is not None:
        return text
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise bad_argument(name, "an id that can stand in a URL's path", text) from None
