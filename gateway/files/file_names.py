"""Names of files that people and servers make up, made harmless. Pure.

A browser offers the name of a download to its user, and servers store the name of an upload. So a name is the last part
of a path, without characters that move a cursor, hide an ending or mean something to a file system.

Source: RFC 6266 and RFC 8187 (`filename` and `filename*`), RFC 7578, section 4.2.
"""

from __future__ import annotations

import re
import unicodedata
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any
from urllib.parse import quote

MAX_NAME_BYTES = 200
"""Longest name, in UTF-8. File systems allow 255, and programs add endings of their own."""

MAX_ENDING_CHARACTERS = 20

_SEPARATORS = re.compile(r"[/\\]")
_MEANINGFUL = re.compile(r'[<>:"|?*]')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|\Z)", re.IGNORECASE)
_UNFIT_FOR_QUOTES = re.compile(r'[^ -~]|["\\%]')


def to_safe_filename(name: str | None, fallback: str = "file") -> str:
    """Make a name harmless. `fallback` stands for a name of which nothing is left."""
    last = _SEPARATORS.split(name or "")[-1]
    # Control characters, format characters (those that change the direction of text among them), surrogates, unassigned
    # and private ones, and separators of lines.
    visible = "".join(
        each for each in last if unicodedata.category(each)[0] != "C" and unicodedata.category(each) not in {"Zl", "Zp"}
    )
    plain = unicodedata.normalize("NFC", _MEANINGFUL.sub("_", visible))
    plain = plain.lstrip(". \xa0").rstrip(". \xa0")
    if not plain:
        return fallback
    return _shorten(f"_{plain}" if _RESERVED.match(plain) else plain)


def filename_from_disposition(header: str | None) -> str | None:
    """Return the name in a `Content-Disposition`, as it stands there, or None if there is none.

    aiohttp's own parser would log a header that it cannot read.
    """
    message = Message()
    message["Content-Disposition"] = (header or "").replace("\r", " ").replace("\n", " ")
    parameters: list[tuple[str, Any]] = message.get_params(failobj=[], header="Content-Disposition")
    names = [value for name, value in parameters if name.lower() == "filename" and value]
    # `filename*`, which is a tuple, wins over `filename`.
    chosen = next((value for value in names if isinstance(value, tuple)), names[0] if names else None)
    return None if chosen is None else collapse_rfc2231_value(chosen)


def content_disposition(kind: str, name: str) -> str:
    """Render `Content-Disposition` of a harmless name: in ASCII for old readers, and in UTF-8 where that differs."""
    plain = _UNFIT_FOR_QUOTES.sub("_", name)
    rendered = f'{kind}; filename="{plain}"'
    return rendered if plain == name else f"{rendered}; filename*=UTF-8''{quote(name, safe='')}"


def _shorten(name: str) -> str:
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    if not dot or len(ending) > MAX_ENDING_CHARACTERS:
        stem, dot, ending = name, "", ""
    room = MAX_NAME_BYTES - len(f"{dot}{ending}".encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + ending
