import json

import pytest
from aiohttp import web
from graphql import GraphQLError
from strawberry.types.execution import ExecutionResult

from gateway.media_types import GRAPHQL_RESPONSE, JSON
from gateway.server.http.graphql_response import error_response, json_response, result_response
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError


def json_from_response(response: web.Response) -> object:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


@pytest.mark.parametrize(("media_type", "status"), [(JSON, 200), (GRAPHQL_RESPONSE, 400)])
def test_a_request_error_has_no_data_key(media_type: str, status: int) -> None:
    response = result_response(ExecutionResult(data=None, errors=[GraphQLError("no such field")]), media_type)
    assert response.status == status
    assert json_from_response(response) == {"errors": [{"message": "no such field"}]}


@pytest.mark.parametrize("media_type", [JSON, GRAPHQL_RESPONSE])
def test_an_execution_error_leaves_a_null_and_status_200(media_type: str) -> None:
    failure = GatewayError(ErrorCode.NOT_FOUND, "No thread.")
    error = GraphQLError("No thread.", path=["thread"], original_error=failure, extensions=failure.extensions)
    response = result_response(ExecutionResult(data=None, errors=[error]), media_type)
    assert response.status == 200
    assert json_from_response(response) == {
        "errors": [
            {"message": "No thread.", "path": ["thread"], "extensions": {"code": "NOT_FOUND", "retryable": False}}
        ],
        "data": None,
    }


OWN_KEY = OwnKeyRefusedError()
NO_LEDGER = GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "The ledger did not answer in time.")
REFUSED = GatewayError(ErrorCode.UPSTREAM_REFUSED, "No.")


@pytest.mark.parametrize(
    ("failures", "data", "media_type", "status"),
    [
        ([OWN_KEY], None, GRAPHQL_RESPONSE, 503),
        ([NO_LEDGER, OWN_KEY], None, GRAPHQL_RESPONSE, 503),
        ([OWN_KEY], None, JSON, 200),
        ([OWN_KEY], {"thread": None}, GRAPHQL_RESPONSE, 200),
        ([OWN_KEY, REFUSED], None, GRAPHQL_RESPONSE, 200),
        ([REFUSED], None, GRAPHQL_RESPONSE, 200),
    ],
)
def test_an_operation_without_data_that_the_gateway_cannot_serve_now_is_503(
    failures: list[GatewayError], data: dict[str, object] | None, media_type: str, status: int
) -> None:
    errors = [
        GraphQLError(one.message, path=["createThread"], original_error=one, extensions=one.extensions)
        for one in failures
    ]
    response = result_response(ExecutionResult(data=data, errors=errors), media_type)
    assert response.status == status
    assert response.headers.get("GraphQL-Error-Code") == (failures[0].code if status == 503 else None)


def test_a_masked_failure_before_the_execution_is_500() -> None:
    error = GraphQLError("Internal error 1.", extensions={"code": "INTERNAL"})
    assert result_response(ExecutionResult(data=None, errors=[error]), JSON).status == 500


def test_extensions_are_in_the_body_unless_empty() -> None:
    assert json_from_response(result_response(ExecutionResult({"a": 1}, None, {}), JSON)) == {"data": {"a": 1}}
    assert json_from_response(result_response(ExecutionResult({"a": 1}, None, {"b": 2}), JSON)) == {
        "data": {"a": 1},
        "extensions": {"b": 2},
    }


def test_values_that_orjson_refuses_are_still_encoded() -> None:
    value = {"data": {"big": 2**70, "half": "\ud800"}}
    assert json_from_response(json_response(value, 200)) == value


def test_responses_are_not_cached_and_their_type_is_not_guessed() -> None:
    response = error_response(401, GatewayError(ErrorCode.UNAUTHENTICATED, "No."), headers={"X-More": "1"})
    assert dict(response.headers) == {
        "Cache-Control": "private, no-store",
        "Vary": "Accept, Authorization",
        "X-Content-Type-Options": "nosniff",
        "X-More": "1",
        "Content-Type": "application/json; charset=utf-8",
    }
