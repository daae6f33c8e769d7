import contextvars
import logging
from typing import Any

import pytest

from gateway.identity.principal import Owner, Principal, UpstreamIdentity, User
from gateway.telemetry.audit import (
    AUDIT_LOGGER,
    MAX_AUDITED_IDS,
    MAX_REASON_LENGTH,
    audit_refused_access,
    audit_write,
)
from gateway.telemetry.operation_record import OperationRecord, Transport, current_operation

UPSTREAM = UpstreamIdentity("http://upstream.example/v1")
ALICE = Principal.from_user(User(Owner("https://issuer.example", "alice", "acme")), UPSTREAM)
KEY_HOLDER = Principal.from_credential("Bearer a-private-key", UPSTREAM)


def fields(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [vars(record)["fields"] for record in caplog.records if record.name == AUDIT_LOGGER]


def test_a_refusal_says_who_what_and_why(caplog: pytest.LogCaptureFixture) -> None:
    record = OperationRecord("req-1", Transport.HTTP, operation_name="Read")
    with current_operation(record):
        audit_refused_access(ALICE, "another's thread", kind="Thread", ids=["thread_1"])
    assert caplog.records[0].levelno == logging.WARNING
    assert fields(caplog) == [
        {
            "request_id": "req-1",
            "operation": "Read",
            "caller": ALICE.digest[:12],
            "issuer": "https://issuer.example",
            "subject": "alice",
            "tenant": "acme",
            "reason": "another's thread",
            "object": "Thread",
            "ids": ["thread_1"],
        }
    ]


def test_a_refusal_of_an_unknown_caller_outside_any_operation(caplog: pytest.LogCaptureFixture) -> None:
    audit_refused_access(None, "the token has expired")
    assert fields(caplog) == [{"reason": "the token has expired"}]


def test_a_refusal_has_bounds(caplog: pytest.LogCaptureFixture) -> None:
    audit_refused_access(None, "x" * 10_000, ids=[f"thread_{number}" for number in range(1000)])
    assert len(fields(caplog)[0]["reason"]) == MAX_REASON_LENGTH
    assert len(fields(caplog)[0]["ids"]) == MAX_AUDITED_IDS


def test_a_key_in_place_of_an_id_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    audit_refused_access(ALICE, "nobody's thread", kind="Thread", ids=["thread_1", "sk-proj-abcdefghijkl"])
    assert fields(caplog)[0]["ids"] == ["thread_1", "[removed]"]


def test_an_operation_that_has_ended_is_not_named(caplog: pytest.LogCaptureFixture) -> None:
    record = OperationRecord("req-1", Transport.HTTP)
    with current_operation(record):
        left_behind = contextvars.copy_context()
    left_behind.run(audit_refused_access, KEY_HOLDER, "another's thread")
    assert fields(caplog) == [{"caller": KEY_HOLDER.digest[:12], "reason": "another's thread"}]


def test_a_write_names_its_caller_by_a_digest_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    audit_write(KEY_HOLDER, "createMessage", "ok", record=None, kind="Message", ids=("thread_1", "msg_1"))
    assert fields(caplog) == [
        {
            "caller": KEY_HOLDER.digest[:12],
            "mutation": "createMessage",
            "object": "Message",
            "ids": ["thread_1", "msg_1"],
            "outcome": "ok",
        }
    ]
    assert "private" not in caplog.text
