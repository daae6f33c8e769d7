"""Custom scalars: times, metadata and free JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NewType

import strawberry
from graphql import GraphQLError
from strawberry.types.scalar import ScalarDefinition

from schema.contract.errors import ErrorCode, GatewayError, shown
from schema.contract.wire import MetadataObject, Timestamp

DateTime = NewType("DateTime", float)
"""Unix seconds inside, RFC 3339 outside."""

Metadata = NewType("Metadata", dict[str, str])
JSON = NewType("JSON", object)


def to_rfc3339(seconds: Timestamp) -> str:
    """Render Unix seconds as RFC 3339 in UTC; a fraction is kept to the millisecond, and only where there is one."""
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        message = f"The upstream gave {seconds!r} for a time; expected Unix seconds."
        raise GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, message) from None
    precision = "milliseconds" if moment.microsecond else "seconds"
    return moment.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def to_date_time(seconds: Timestamp | None) -> DateTime | None:
    """Name an optional upstream time as a GraphQL one."""
    return None if seconds is None else DateTime(seconds)


def to_metadata(value: MetadataObject) -> Metadata:
    """Make metadata of what came: none is an empty object, and a value that is no string becomes its JSON text."""
    return Metadata({key: item if isinstance(item, str) else json.dumps(item) for key, item in (value or {}).items()})


def to_json(value: Any) -> JSON | None:
    """Name a JSON value of the upstream as a GraphQL one."""
    return None if value is None else JSON(value)


def _no_input(value: object) -> DateTime:
    raise GraphQLError(f"A DateTime is never an input, got {shown(value)}.")


def _parse_metadata(value: object) -> Metadata:
    if not isinstance(value, Mapping) or not all(isinstance(item, str) for item in value.values()):
        raise GraphQLError(f"Expected an object whose values are strings, got {shown(value)}.")
    return Metadata(dict(value))


SCALARS: dict[object, ScalarDefinition] = {
    DateTime: strawberry.scalar(
        name="DateTime",
        description="A moment in RFC 3339, in UTC, such as `2026-11-23T09:30:00Z`; to the second, since the "
        "upstream counts whole seconds (a server that sends fractions keeps its milliseconds).",
        specified_by_url="https://datatracker.ietf.org/doc/html/rfc3339",
        serialize=to_rfc3339,
        parse_value=_no_input,
    ),
    Metadata: strawberry.scalar(
        name="Metadata",
        description="A JSON object of at most 16 string values (keys up to 64 characters, values up to 512).",
        parse_value=_parse_metadata,
    ),
    JSON: strawberry.scalar(
        name="JSON",
        description="Any JSON value, as the upstream sent it.",
        parse_value=JSON,
    ),
}
"""For `StrawberryConfig.scalar_map`."""
