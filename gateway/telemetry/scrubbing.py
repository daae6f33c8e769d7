"""Removes credentials and the queries of URLs from text. Pure."""

from __future__ import annotations

import re

REMOVED = "[removed]"

SECRETS = re.compile(
    r"(?i:\b(?:bearer|basic)\s+)[\w.~+/=*-]{8,}"
    r"|(?<![A-Za-z0-9])(?:sk|pk|rk|ek|sess)-[\w*.-]{6,}"
    # The further parts are optional. If a beginning alone did not match, the scan would start again at each next one.
    r"|(?<![A-Za-z0-9])eyJ[\w-]{8,}(?:\.[\w-]+){0,4}"
)
"""All text that looks like an API key, a bearer or basic token, or a JWT."""

_USER_IN_URL = re.compile(r"://[^\s/?#@'\"<>]*@")
_QUERY = re.compile(r"\?[^\s'\"<>]+")
_INVISIBLE = re.compile(r"[^\S\n]|[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def scrub(text: str) -> str:
    """Remove what looks like a credential, the user and password of each URL, and text behind a question mark."""
    text = SECRETS.sub(REMOVED, text)
    if "?" in text:
        text = _QUERY.sub(f"?{REMOVED}", text)
    return _USER_IN_URL.sub(f"://{REMOVED}@", text) if "://" in text else text


def to_printable(text: str) -> str:
    """Replace control and format characters, so that a text cannot move a terminal's cursor. Keeps line breaks."""
    return text if text.isascii() and text.isprintable() else _INVISIBLE.sub(" ", text)
