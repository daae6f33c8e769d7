"""Media types of requests and responses. Pure.

Source: https://graphql.github.io/graphql-over-http/draft/, section "Media Types" (a request without `Accept`, or with
`*/*`, gets `application/json`); RFC 9110, sections 12.4.2 and 12.5.1 (quality values, precedence of ranges).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from email.message import Message
from functools import lru_cache
from typing import NamedTuple

GRAPHQL_RESPONSE = "application/graphql-response+json"
JSON = "application/json"
HTML = "text/html"
EVENT_STREAM = "text/event-stream"

MAX_REMEMBERED_LENGTH = 200
"""The longest header of which the decision is remembered. Those of browsers and clients are shorter."""

_MAX_REMEMBERED = 256

_QUALITY = re.compile(r"(0(\.\d{0,3})?|1(\.0{0,3})?)\Z")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")


class MediaRange(NamedTuple):
    """One entry of an `Accept` header, in lower case."""

    main_type: str
    subtype: str
    quality: float

    def specificity(self, media_type: str) -> int | None:
        """Rank how precisely the range matches a type: 2 exactly, 1 by `type/*`, 0 by `*/*`; None for no match."""
        main, _, sub = media_type.partition("/")
        if (self.main_type, self.subtype) == (main, sub):
            return 2
        if self.subtype == "*" and self.main_type in {main, "*"}:
            return 1 if self.main_type == main else 0
        return None


def choose_response_type(accept: str | None, *, html: bool = False) -> str | None:
    """Choose the media type of the response.

    The highest quality wins, then the more precise range, then the first in the header. A wildcard prefers
    `application/json`. `html` says whether a page can be served too. An event stream is served only if it is named.

    Returns:
        The media type, or None if none is acceptable.
    """
    if accept is None or not accept.strip():
        return JSON
    return (_choose if len(accept) > MAX_REMEMBERED_LENGTH else _choose_again)(accept, html=html)


def _choose(accept: str, *, html: bool) -> str | None:
    ranges = list(_parse_accept(accept))
    offers = [JSON, GRAPHQL_RESPONSE, *([HTML] if html else [])]
    if _accepts_exactly(ranges, EVENT_STREAM):
        offers.append(EVENT_STREAM)
    ranked = []
    for preference, offer in enumerate(offers):
        matches = [
            (-specificity, position, media_range.quality)
            for position, media_range in enumerate(ranges)
            if (specificity := media_range.specificity(offer)) is not None
        ]
        if matches and min(matches)[2] > 0:
            specificity, position, quality = min(matches)
            ranked.append((-quality, specificity, position, preference, offer))
    return min(ranked)[-1] if ranked else None


_choose_again = lru_cache(_MAX_REMEMBERED)(_choose)


def accepts_event_stream(accept: str | None) -> bool:
    """Tell whether the header names an event stream as acceptable."""
    # Nothing but this word matches exactly.
    if accept is None or "event-stream" not in accept.lower():
        return False
    return _accepts_exactly(_parse_accept(accept), EVENT_STREAM)


def content_type_fault(content_type: str | None) -> str | None:
    """Say why a request body of this `Content-Type` is refused. Returns None for JSON in UTF-8."""
    if content_type == JSON:  # the usual case, without a parser
        return None
    if content_type is None:
        return f"expected Content-Type: {JSON}, got none"
    media_type, parameters = _parse_media_type(content_type)
    if media_type != JSON:
        return f"expected Content-Type: {JSON}, got {content_type[:80]!r}"
    charset = parameters.get("charset", "utf-8")
    if charset.lower() not in {"utf-8", "utf8"}:
        return f"expected charset=utf-8, got {charset[:80]!r}"
    return None


def _accepts_exactly(ranges: Iterable[MediaRange], media_type: str) -> bool:
    return any(media_range.quality > 0 and media_range.specificity(media_type) == 2 for media_range in ranges)


def _parse_accept(accept: str) -> Iterator[MediaRange]:
    for entry in _split_outside_quotes(accept):
        media_type, parameters = _parse_media_type(entry)
        main, slash, sub = media_type.partition("/")
        if not (slash and _TOKEN.match(main) and _TOKEN.match(sub)) or (main == "*" and sub != "*"):
            continue
        quality = parameters.get("q", "1")
        utf8 = parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8"}
        # Every response is UTF-8, so a range with another charset matches none.
        if utf8 and _QUALITY.match(quality):
            yield MediaRange(main, sub, float(quality))


def _parse_media_type(text: str) -> tuple[str, dict[str, str]]:
    message = Message()
    message["Content-Type"] = text.replace("\r", " ").replace("\n", " ")
    parsed = message.get_params(failobj=[("", "")])
    parameters = {name.lower(): str(value) for name, value in parsed[1:]}
    return parsed[0][0].strip().lower(), parameters


def _split_outside_quotes(text: str) -> Sequence[str]:
    return [entry.strip() for entry in re.findall(r'(?:[^,"]|"(?:\\.|[^"\\])*"?)+', text) if entry.strip()]
