import pytest

from gateway.telemetry.log_fields import (
    AUDIT_FIELDS,
    LINE_FIELDS,
    OPERATION_FIELDS,
    OperationEvent,
    operation_fields,
    render_fields_table,
)
from gateway.telemetry.operation_record import OperationRecord, Outcome, Transport
from schema.contract.errors import ErrorCode
from tests.support.pages import PAGES, table_text


@pytest.mark.parametrize(
    ("name", "fields"), [("log lines", LINE_FIELDS), ("log operations", OPERATION_FIELDS), ("log audit", AUDIT_FIELDS)]
)
def test_the_documentation_lists_exactly_these_fields(name: str, fields: dict[str, str]) -> None:
    assert table_text(name).strip() == render_fields_table(fields).strip()


@pytest.mark.parametrize("value", [*OperationEvent, *Outcome, *Transport])
def test_the_words_of_a_line_are_documented(value: str) -> None:
    assert f"`{value}`" in PAGES["gateway/README.md"].text


def test_only_the_last_line_of_a_subscription_has_its_end() -> None:
    record = OperationRecord("r", Transport.SSE, kind="subscription")
    assert {"events", "outcome", "codes"}.isdisjoint(operation_fields(record, OperationEvent.STARTED))
    record.end(Outcome.ERRORS, ["B", "A", "B"])
    ended = operation_fields(record, OperationEvent.ENDED)
    assert (ended["events"], ended["outcome"], ended["codes"]) == (0, "errors", ["A", "B"])


def test_codes_are_plain_text() -> None:
    record = OperationRecord("r", Transport.HTTP)
    record.end(Outcome.REFUSED, [ErrorCode.UNAUTHENTICATED])
    assert repr(operation_fields(record, OperationEvent.ENDED)["codes"]) == "['UNAUTHENTICATED']"


def test_an_operation_ends_once() -> None:
    record = OperationRecord("r", Transport.HTTP)
    assert record.end(Outcome.OK)
    assert not record.end(Outcome.CANCELLED, ["X"])
    assert (record.outcome, record.codes) == (Outcome.OK, ())


def test_the_duration_is_that_of_the_clock() -> None:
    times = iter([10.0, 10.0125])
    assert OperationRecord("r", Transport.HTTP, clock=lambda: next(times)).duration_ms == 12.5
