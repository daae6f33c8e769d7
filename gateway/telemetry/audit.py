"""The audit log: one line for each write and for each refused access, by the logger `gateway.audit`.

A line names who, what and the outcome. It never holds what was written. Other rooms call `audit_refused_access` where
they refuse, once for each refusal. `CallTrace` calls `audit_write` around writes, and an upload calls it itself.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import islice

from gateway.telemetry.log_fields import CALLER_DIGITS
from gateway.telemetry.operation_record import AuditedPrincipal, OperationRecord, current_record
from gateway.telemetry.scrubbing import scrub, to_printable

AUDIT_LOGGER = "gateway.audit"

WRITE_EVENT = "write"
REFUSED_EVENT = "access refused"

MAX_AUDITED_IDS = 100
"""The most ids that one line lists."""

MAX_REASON_LENGTH = 200

_logger = logging.getLogger(AUDIT_LOGGER)


def audit_refused_access(
    principal: AuditedPrincipal | None, reason: str, *, kind: str | None = None, ids: Iterable[str] = ()
) -> None:
    """Log that an access was refused.

    Args:
        principal: Who was refused, or None if that is not known, as of a bad token.
        reason: Why, in fixed words of ours, such as `another's thread`, `only admin may write assistants`, `the token
            has expired`. It must not hold text of the request.
        kind: The GraphQL type of the objects that were refused, such as `Thread`, if it was objects.
        ids: Their upstream ids.
    """
    if not _logger.isEnabledFor(logging.WARNING):
        return
    fields = describe_caller(principal) | {"reason": to_printable(scrub(reason))[:MAX_REASON_LENGTH]}
    if kind is not None:
        fields["object"] = kind
    # A key that is pasted in place of an id is refused as one.
    if listed := [scrub(upstream_id) for upstream_id in islice(ids, MAX_AUDITED_IDS)]:
        fields["ids"] = listed
    _logger.warning(REFUSED_EVENT, extra={"fields": _describe_operation(current_record()) | fields})


def audit_write(
    principal: AuditedPrincipal,
    mutation: str,
    outcome: str,
    *,
    record: OperationRecord | None,
    kind: str,
    ids: Iterable[str],
) -> None:
    """Log a write that was sent upstream, or was refused on its way there.

    Args:
        principal: Who writes.
        mutation: The mutation's field, such as `createThread`.
        outcome: `ok`, `cancelled`, or the code of the error.
        record: The operation that writes, if it is recorded.
        kind: The GraphQL type of the object that is written.
        ids: Its upstream ids, from its thread's to its own, as far as they are known.
    """
    fields = describe_caller(principal) | {
        "mutation": mutation,
        "object": kind,
        "ids": list(islice(ids, MAX_AUDITED_IDS)),
        "outcome": outcome,
    }
    _logger.info(WRITE_EVENT, extra={"fields": _describe_operation(record) | fields})


def describe_caller(principal: AuditedPrincipal | None) -> dict[str, object]:
    """Name a caller for the audit log: by a digest, and a signed-in user by the claims of the token too."""
    if principal is None:
        return {}
    fields: dict[str, object] = {"caller": principal.digest[:CALLER_DIGITS]}
    if principal.user is not None:
        owner = principal.user.owner
        fields |= {"issuer": owner.issuer, "subject": owner.subject}
        if owner.tenant:
            fields["tenant"] = owner.tenant
    return fields


def _describe_operation(record: OperationRecord | None) -> dict[str, object]:
    if record is None:
        return {}
    return {"request_id": record.request_id, "operation": record.operation_name}
