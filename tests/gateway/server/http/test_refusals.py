import pytest
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gateway.server.http.refusals import (
    Refusal,
    interrupted_refusal,
    operation_type_refusal,
    overload_refusal,
    stopping_refusal,
    unknown_operation_error,
)


@pytest.mark.parametrize(
    ("method", "kind", "status", "word"),
    [
        ("POST", OperationType.SUBSCRIPTION, 400, "graphql-transport-ws"),
        ("GET", OperationType.SUBSCRIPTION, 400, "text/event-stream"),
        ("GET", OperationType.MUTATION, 405, "POST"),
        ("POST", OperationType.QUERY, 400, "got a query"),
    ],
)
def test_a_wrong_operation_type_gets_the_right_way_to_send_it(
    method: str, kind: OperationType, status: int, word: str
) -> None:
    refused = operation_type_refusal(method, InvalidOperationTypeError(kind))
    assert refused.status == status
    assert word in refused.error.message


def test_only_requests_that_were_not_started_may_be_sent_to_another_gateway() -> None:
    def may_be_repeated(refused: Refusal) -> bool:
        return "Retry-After" in dict(refused.headers)

    assert [
        may_be_repeated(refused) for refused in (stopping_refusal(), overload_refusal("x"), interrupted_refusal())
    ] == [True, True, False]
    assert [
        refused.error.retryable for refused in (stopping_refusal(), overload_refusal("x"), interrupted_refusal())
    ] == [True, True, False]


def test_the_error_names_the_unknown_operation() -> None:
    assert unknown_operation_error(None).argument == "query"
    assert "Nobody" in unknown_operation_error("Nobody").message
