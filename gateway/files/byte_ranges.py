"""Ranges of bytes: which are passed on to the upstream, and which of its answers are passed back. Pure.

Source: RFC 9110, sections 13.1.5 (`If-Range`), 14.2 (`Range`) and 14.4 (`Content-Range`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_ONE_RANGE = re.compile(r"bytes=(?:\d{1,18}-\d{0,18}|-\d{1,18})\Z")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)\Z")
_UNSATISFIED = re.compile(r"bytes \*/\d{1,18}\Z")


def range_to_pass(ranges: Sequence[str], if_range: str | None, entity_tag: str) -> str | None:
    """Return the `Range` to ask the upstream for, or None to ask for the whole.

    Several ranges at once, other units, and the range of another content are ignored, as a server may.
    """
    if len(ranges) != 1 or (if_range is not None and if_range.strip() != entity_tag):
        return None
    wanted = ranges[0].strip().lower()
    return wanted if _ONE_RANGE.match(wanted) else None


def parse_content_range(content_range: str | None) -> range | None:
    """Return the positions of the bytes of a partial content, or None if the header is no single range."""
    found = _CONTENT_RANGE.match((content_range or "").strip())
    return None if found is None else range(int(found[1]), int(found[2]) + 1) or None


def is_unsatisfied_range(content_range: str | None) -> bool:
    """Tell whether the `Content-Range` of a 416 says how long the content is."""
    return _UNSATISFIED.match((content_range or "").strip()) is not None
