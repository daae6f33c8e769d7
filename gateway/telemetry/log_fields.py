"""The fields of log lines: their names, and what they mean. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from gateway.telemetry.operation_record import OperationRecord

OPERATION_LOGGER = "gateway.operations"

CALLER_DIGITS = 12
"""The digits of a caller's digest in a line."""


class OperationEvent(StrEnum):
    """The two events of an operation. Only a subscription has the first."""

    STARTED = "subscription started"
    ENDED = "operation ended"


LINE_FIELDS: Mapping[str, str] = {
    "timestamp": "When, in UTC, to the millisecond.",
    "level": "`debug`, `info`, `warning`, `error` or `critical`.",
    "logger": "The part of the program; `gateway.operations` and `gateway.audit` have the fields below.",
    "event": "What happened, in fixed words.",
    "request_id": "The `X-Request-ID` of the operation in whose course the line was written.",
    "exception": "The traceback of an unexpected error: files, lines and types, without values and without its text.",
}
"""The fields of any line. The last two stand only where they apply."""

OPERATION_FIELDS: Mapping[str, str] = {
    "operation": "The operation's name in its document; null if it has none, or if the document was not read.",
    "kind": "`query`, `mutation` or `subscription`, null if the document was not read; `upload` or `download` of a "
    "file.",
    "transport": "`http`, `sse` or `websocket`.",
    "caller": f"The first {CALLER_DIGITS} digits of the caller's digest; null before the caller is known.",
    "duration_ms": "Milliseconds from the request until its result is known, of a subscription until its end.",
    "upstream_calls": "Calls of the upstream, with those sent again; of a subscription, those to start it.",
    "objects": "Nodes in the result; null if it was not executed, as when it came from the cache of responses.",
    "events": "Results that a subscription was sent; only on its last line.",
    "outcome": "`ok`, `errors` (executed, with errors), `refused` (not executed) or `cancelled` (its client left or "
    "completed it, or the gateway stopped).",
    "codes": "The codes of its errors, each once; only where there are any.",
}

AUDIT_FIELDS: Mapping[str, str] = {
    "operation": "As above.",
    "caller": "As above; absent if nobody is known, as of a bad token.",
    "issuer": "The issuer of a signed-in user.",
    "subject": "The subject of a signed-in user.",
    "tenant": "The tenant of a signed-in user, if tenants are configured.",
    "mutation": "The field of a write, as `createThread`; `uploadFile` of an upload.",
    "object": "The GraphQL type of what was written or refused.",
    "ids": "The upstream ids: of a write from its thread's to its own, of a refused access all that were refused.",
    "outcome": "Of a write: `ok`, the code of its error, or `cancelled`. After a timeout or a broken connection it may "
    "have taken place.",
    "reason": "Why an access was refused.",
}


def operation_fields(record: OperationRecord, event: OperationEvent) -> dict[str, object]:
    """Make the fields of an operation's line."""
    principal = record.principal
    fields: dict[str, object] = {
        "request_id": record.request_id,
        "operation": record.operation_name,
        "kind": record.kind,
        "transport": record.transport.value,
        "caller": None if principal is None else principal.digest[:CALLER_DIGITS],
        "duration_ms": record.duration_ms,
        "upstream_calls": record.upstream_calls,
        "objects": record.objects,
    }
    if event is OperationEvent.ENDED:
        if record.kind == "subscription":
            fields["events"] = record.events
        if record.outcome is not None:
            fields["outcome"] = record.outcome.value
        if record.codes:
            fields["codes"] = [str(code) for code in record.codes]
    return fields


def render_fields_table(fields: Mapping[str, str]) -> str:
    """Render the README's table of fields, in Markdown."""
    rows = ["| field | meaning |", "|---|---|", *(f"| `{name}` | {meaning} |" for name, meaning in fields.items())]
    return "\n".join(rows) + "\n"
