"""Text of any characters in a database. Pure.

PostgreSQL stores no NUL, and no database a lone surrogate. Ids and subjects come from elsewhere and may hold either.
"""

from __future__ import annotations

import re

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator

MAX_ID_LENGTH = 512
"""Longest upstream id that is stored, in characters. An index of PostgreSQL takes no more than some 2,700 bytes."""

_UNSTORABLE = re.compile("[\\\\\0\ud800-\udfff]")
_ESCAPE = re.compile(r"\\([0-9a-f]{4})")


def escape_text(text: str) -> str:
    r"""Write the characters that cannot be stored, and the backslash, as `\` and four hexadecimal digits."""
    return _UNSTORABLE.sub(lambda match: f"\\{ord(match.group()):04x}", text)


def unescape_text(text: str) -> str:
    """Return the text that was escaped."""
    return _ESCAPE.sub(lambda match: chr(int(match.group(1), 16)), text)


def is_storable(*ids: str) -> bool:
    """Return whether ids can be stored."""
    return max(map(len, ids)) <= MAX_ID_LENGTH


class StorableText(TypeDecorator[str]):
    """A column of text of any characters."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - as SQLAlchemy calls it
        return None if value is None else escape_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:  # noqa: ARG002 - as SQLAlchemy calls it
        return value if value is None or "\\" not in value else unescape_text(value)
