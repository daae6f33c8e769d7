"""The custom scalars: `DateTime`, `Metadata`, `URL` and `JSON`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from schema.contract.errors import ErrorCode, GatewayError, format_value
from schema.contract.keys import to_file_id
from schema.contract.wire import MetadataObject, Timestamp

DateTime = NewType("DateTime", float)
"""Unix seconds in Python, RFC 3339 in GraphQL."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)

_WITHIN_HOUR = tuple(f"{minute:02}:{second:02}Z" for minute in range(60) for second in range(60))
"""The rest of a time after its hour, by the second of the hour. It takes 200 KB."""

Metadata = NewType("Metadata", dict[str, str])
URL = NewType("URL", str)
JSON = NewType("JSON", object)


def to_rfc3339(seconds: Timestamp) -> str:
    """Format Unix seconds as RFC 3339 in UTC. Milliseconds are only shown if there is a fraction."""
    try:
        if type(seconds) is int:
            return _format_hour(seconds // 3600) + _WITHIN_HOUR[seconds % 3600]
        time = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        message = f"The upstream gave {seconds!r} for a time; expected Unix seconds."
        raise GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, message) from None
    precision = "milliseconds" if time.microsecond else "seconds"
    return time.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


@lru_cache(maxsize=1_000)
def _format_hour(hours: int) -> str:
    """Format an hour, counted from the epoch. The times of one thread lie in few hours."""
    return datetime.fromtimestamp(hours * 3600, UTC).isoformat()[:14]


def to_date_time(seconds: Timestamp | None) -> DateTime | None:
    """Convert an optional upstream time."""
    return None if seconds is None else DateTime(seconds)


def global_file_id(upstream_id: str) -> strawberry.ID:
    """Convert the upstream id of a file to its global ID."""
    return strawberry.ID(to_file_id(upstream_id))


def global_file_ids(upstream_ids: list[str] | None) -> list[strawberry.ID]:
    """Convert the upstream ids of files to their global IDs; null is an empty list."""
    return [global_file_id(upstream_id) for upstream_id in upstream_ids or ()]


def to_metadata(value: MetadataObject) -> Metadata:
    """Convert upstream metadata. Null becomes an empty object; a value that is no string becomes its JSON text."""
    pairs = value or {}
    for item in pairs.values():
        if not isinstance(item, str):
            pairs = {key: item if isinstance(item, str) else json.dumps(item) for key, item in pairs.items()}
            break
    return Metadata(pairs)


def to_json(value: Any) -> JSON | None:
    """Convert an optional JSON value of the upstream."""
    return None if value is None else JSON(value)


def _parse_date_time(value: object) -> DateTime:
    """Read a time as RFC 3339, with any offset."""
    if isinstance(value, str) and _RFC_3339.match(value):
        with suppress(ValueError, OverflowError):  # such as February 30
            return DateTime(datetime.fromisoformat(value.upper()).timestamp())
    raise GraphQLError(f"Expected a time in RFC 3339, such as 2026-11-23T09:30:00Z, got {format_value(value)}.")


def _parse_metadata(value: object) -> Metadata:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
        raise GraphQLError(f"Expected an object whose values are strings, got {format_value(value)}.")
    return Metadata(dict(value))


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="A time in RFC 3339, in UTC, such as `2026-11-23T09:30:00Z`. It has whole seconds, as the upstream "
        "sends them; if a server sends fractions, it has milliseconds. As an input it may have any offset.",
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
        serialize=to_rfc3339,
        parse_value=_parse_date_time,
    ),
    Metadata: strawberry.scalar(
        name="Metadata",
        description="A JSON object of at most 16 string values (keys up to 64 characters, values up to 512).",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259#section-4",
        parse_value=_parse_metadata,
    ),
    URL: strawberry.scalar(
        name="URL",
        description="An absolute URL.",
        specified_by_url="https://url.spec.whatwg.org/",
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value, as the upstream sent it.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        parse_value=JSON,
    ),
}
"""For `StrawberryConfig.scalar_map`."""
