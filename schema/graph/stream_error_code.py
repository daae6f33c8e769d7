"""The enum of the codes of `StreamError`: faults of following, and every code of `extensions.code`."""

from __future__ import annotations

from enum import Enum

import strawberry

from schema.graph.documented_field import enum_member


@strawberry.enum(description="The code of a fault while events were read. New codes may be added.")
class StreamErrorCode(Enum):
    """Source: `FaultChange` in `gateway/run_log`, and `ErrorCode` in `schema/contract/errors.py`."""

    CURSOR_EXPIRED = enum_member(
        "CURSOR_EXPIRED", "The log no longer reaches back to the cursor. The present state follows."
    )
    STREAM_INTERRUPTED = enum_member(
        "STREAM_INTERRUPTED", "The upstream's stream broke. From here on the run is polled."
    )
    TOKENS_LOST = enum_member("TOKENS_LOST", "Some text of a message was lost on the way. The whole message follows.")
    BAD_USER_INPUT = enum_member("BAD_USER_INPUT", "An argument or a part of the request was refused.")
    UNAUTHENTICATED = enum_member("UNAUTHENTICATED", "No credential, or one that the upstream refuses.")
    FORBIDDEN = enum_member("FORBIDDEN", "The credential, or the page's origin, may not do this.")
    NOT_FOUND = enum_member("NOT_FOUND", "What the operation depends on is not there.")
    CONFLICT = enum_member("CONFLICT", "The upstream holds something that stands in the way.")
    ACTIVE_RUN = enum_member("ACTIVE_RUN", "A run still holds the thread.")
    WRONG_STATE = enum_member("WRONG_STATE", "The run's present status does not allow it.")
    RATE_LIMITED = enum_member("RATE_LIMITED", "The upstream wants fewer calls.")
    UNSUPPORTED = enum_member("UNSUPPORTED", "This gateway is not set up for it; the detail names the setting.")
    UNSUPPORTED_BY_UPSTREAM = enum_member(
        "UNSUPPORTED_BY_UPSTREAM", "This upstream, or this version of the API, cannot do it."
    )
    UPSTREAM_REFUSED = enum_member("UPSTREAM_REFUSED", "The upstream refused for a reason of its own.")
    UPSTREAM_FAILED = enum_member("UPSTREAM_FAILED", "The upstream answered that it failed.")
    UPSTREAM_UNREACHABLE = enum_member("UPSTREAM_UNREACHABLE", "The upstream could not be reached.")
    UPSTREAM_TIMEOUT = enum_member("UPSTREAM_TIMEOUT", "The upstream did not answer in time.")
    LEDGER_UNAVAILABLE = enum_member("LEDGER_UNAVAILABLE", "The database of the gateway did not answer in time.")
    SIGN_IN_UNAVAILABLE = enum_member("SIGN_IN_UNAVAILABLE", "The keys that verify tokens are not known yet.")
    UPSTREAM_INVALID_RESPONSE = enum_member(
        "UPSTREAM_INVALID_RESPONSE", "The upstream's answer was not what the API promises."
    )
    TOO_EXPENSIVE = enum_member(
        "TOO_EXPENSIVE", "The operation may take more upstream calls, or show more objects, than are allowed."
    )
    ANSWER_TOO_LARGE = enum_member(
        "ANSWER_TOO_LARGE", "The response would be larger than is allowed, so none of it is sent."
    )
    QUERY_TIMEOUT = enum_member("QUERY_TIMEOUT", "The query, or one event of a subscription, took too long as a whole.")
    TOO_MANY_OPERATIONS = enum_member("TOO_MANY_OPERATIONS", "One operation more than may be under way at once.")
    DOCUMENT_NOT_TRUSTED = enum_member("DOCUMENT_NOT_TRUSTED", "Only trusted documents run here, and this is none.")
    PERSISTED_QUERY_NOT_FOUND = enum_member("PERSISTED_QUERY_NOT_FOUND", "No document has this id or hash.")
    PERSISTED_QUERY_NOT_SUPPORTED = enum_member("PERSISTED_QUERY_NOT_SUPPORTED", "This gateway holds no documents.")
    PERSISTED_QUERY_HASH_MISMATCH = enum_member(
        "PERSISTED_QUERY_HASH_MISMATCH", "The text of the query is not the one that its hash or id names."
    )
    GATEWAY_STOPPING = enum_member("GATEWAY_STOPPING", "This process is about to stop; another will answer.")
    INTERNAL = enum_member("INTERNAL", "A fault of the gateway.")
    UNRECOGNIZED = enum_member("", "A code that this gateway does not know.")
