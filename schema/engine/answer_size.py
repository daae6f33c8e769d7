"""The size of a response, counted while its values are completed and held to a limit. No response is built first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schema.contract.cost import DEFAULT_MAX_ANSWER_BYTES
from schema.contract.errors import ErrorCode, GatewayError

ERROR_BYTES = 300
"""The counted bytes of an error: its message, path, locations and extensions."""

ID_BYTES = 40
"""The counted bytes of a value of the type `ID`."""

ITEM_BYTES = 2
"""The counted bytes of an item in a list, besides those of its text or its object: a digit and a comma."""


_CONTAINERS = frozenset({dict, list})


class AnswerTooLargeError(GatewayError):
    """The response is larger than allowed, so none of it is sent."""

    def __init__(self, max_bytes: int) -> None:
        """Name the limit."""
        message = f"The response is too large; expected at most {max_bytes} bytes."
        super().__init__(ErrorCode.ANSWER_TOO_LARGE, f"{message} Ask for shorter pages, or for less of each object.")


class AnswerSize:
    """The counted bytes of one response as JSON.

    Names, texts and punctuation count, numbers and enum values as one byte, ids as `ID_BYTES`; escape sequences do not
    count.
    """

    __slots__ = ("byte_count", "max_bytes", "object_count")

    def __init__(self, max_bytes: int = DEFAULT_MAX_ANSWER_BYTES) -> None:
        """Start with an empty response."""
        self.byte_count = 0
        self.object_count = 0
        """The nodes in the response, each counted as often as it stands there."""
        self.max_bytes = max_bytes

    @property
    def bytes_left(self) -> int:
        """The bytes that may be added."""
        return self.max_bytes - self.byte_count

    def add(self, byte_count: int) -> None:
        """Count more bytes.

        Raises:
            AnswerTooLargeError: The response is above the limit.
        """
        self.byte_count += byte_count
        if self.byte_count > self.max_bytes:
            raise AnswerTooLargeError(self.max_bytes)


def text_bytes(text: str) -> int:
    """Count the bytes of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def leaf_bytes(value: Any) -> int:
    """Count the bytes of a completed leaf value: of a text, or of free JSON with all that it holds."""
    if type(value) is str:
        return text_bytes(value)
    byte_count, stack = 0, [value]
    while stack:
        container = stack.pop()
        members: Iterable[Any] = ()
        if type(container) is dict:
            byte_count += object_bytes(container)
            members = container.values()
        elif type(container) is list:
            byte_count += ITEM_BYTES * len(container)
            members = container
        for member in members:
            if type(member) is str:
                byte_count += len(member) if member.isascii() else text_bytes(member)
            elif type(member) in _CONTAINERS:
                stack.append(member)
    return byte_count


def object_bytes(names: Any) -> int:
    """Count the bytes of an object with these names, without those of its texts: names, punctuation, short values."""
    return 2 + len("".join(names)) + 4 * len(names)
