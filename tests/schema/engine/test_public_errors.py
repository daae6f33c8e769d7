import logging
from typing import Any

import pytest
from graphql import GraphQLError, GraphQLSyntaxError, Source

from schema.contract.errors import ErrorCode, GatewayError, RecordsUnavailableError
from schema.contract.keys import ThreadKey
from schema.engine.public_errors import (
    OperationRefusedError,
    is_unexpected,
    mask_error,
    refusal_code,
    to_graphql_errors,
    to_public_errors,
)
from tests.schema.builders import THREAD, conversation, execute, paths_and_codes
from tests.support.fake_threads_api import FakeThreadsApi

SECRET = "sk-very-secret"


class BrokenThreadsApi(FakeThreadsApi):
    async def get(self, kind: object, keys: Any) -> Any:
        raise RuntimeError(f"broken with {SECRET}")


async def test_an_unexpected_error_is_masked_and_logged_under_the_id_that_the_caller_gets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    result = await execute(BrokenThreadsApi(), '{ a: thread(id: "thread_1") { createdAt } }')
    (error,) = result.errors or []
    assert error.extensions is not None
    assert result.data == {"a": None}
    assert error.path == ["a"]
    assert SECRET not in str(error.formatted)
    assert (error.extensions["code"], error.extensions["retryable"]) == ("INTERNAL", False)
    assert error.extensions["errorId"] in error.message
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert str(error.extensions["errorId"]) in record.message
    assert SECRET in caplog.text  # the log says what happened
    assert record.exc_info is not None
    assert not isinstance(record.exc_info[1], GraphQLError)  # with the traceback of its cause, not of the wrapper


async def test_each_unexpected_error_has_its_own_id(caplog: pytest.LogCaptureFixture) -> None:
    result = await execute(BrokenThreadsApi(), '{ a: thread(id: "x") { createdAt } b: thread(id: "y") { createdAt } }')
    ids = {error.extensions["errorId"] for error in result.errors or [] if error.extensions}
    assert len(ids) == len(caplog.records) == 2


async def test_an_expected_error_passes_with_what_a_program_needs_and_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = conversation()
    api.fail[THREAD] = GatewayError(
        ErrorCode.RATE_LIMITED, "Slow down.", retry_after_ms=500, upstream_request_id="req_1"
    )
    result = await execute(api, '{ thread(id: "thread_1") { createdAt } }')
    (error,) = result.errors or []
    assert (error.message, error.path) == ("Slow down.", ["thread"])
    assert error.extensions == {
        "code": "RATE_LIMITED",
        "retryable": True,
        "retryAfterMs": 500,
        "upstreamRequestId": "req_1",
    }
    assert caplog.records == []


@pytest.mark.parametrize(
    ("document", "variables", "code"),
    [
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ a" * 3000, {}, "GRAPHQL_PARSE_FAILED"),
        ("{ __typename " * 7_000, {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nonsense }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{ assistants(first: 99999999999) { nodes { id } } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ('{ assistants(first: "1") { nodes { id } } }', {}, "GRAPHQL_VALIDATION_FAILED"),
        ("mutation { x }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int) { assistants(first: $n) { nodes { id } } }", {"n": "1"}, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($n: Int) { assistants(first: $n) { nodes { id } } }", {"n": 2**31}, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($id: ID!) { thread(id: $id) { id } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($id: ID!) { thread(id: $id) { id } }", {"id": None}, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($id: ID!) { thread(id: $id) { id } }", {"id": 1.5}, "GRAPHQL_VALIDATION_FAILED"),
        ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": [None]}, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
async def test_graphqls_own_refusals_have_a_code_and_are_not_logged(
    document: str, variables: dict[str, Any], code: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = conversation()
    for _ in range(2):  # the second result may come from a cache
        result = await execute(api, document, variables)
        assert result.data is None
        assert {found for _, found in paths_and_codes(result)} == {code}
    assert api.calls == []
    assert caplog.records == []


def test_an_exception_of_another_kind_is_unexpected() -> None:
    assert is_unexpected(GraphQLError("x", original_error=KeyError("x")))
    assert not is_unexpected(GraphQLError("x", original_error=GatewayError(ErrorCode.NOT_FOUND, "x")))
    assert not is_unexpected(GraphQLError("x", original_error=GraphQLError("x")))
    assert not is_unexpected(GraphQLError("x"))


def test_the_code_of_a_refusal_names_the_step_that_refused() -> None:
    assert refusal_code(GraphQLSyntaxError(Source("{"), 0, "x")) == "GRAPHQL_PARSE_FAILED"
    assert refusal_code(GraphQLError("x")) == "GRAPHQL_VALIDATION_FAILED"
    assert refusal_code(GraphQLError("x", path=["thread"])) == "BAD_USER_INPUT"


def test_errors_can_be_made_public_without_an_operation(caplog: pytest.LogCaptureFixture) -> None:
    expected = GatewayError(ErrorCode.NOT_FOUND, "Not there.")
    passed, refused, masked = to_public_errors(
        [
            GraphQLError("Not there.", path=["run"], original_error=expected),
            GraphQLError("Unknown operation named 'A'."),
            GraphQLError(SECRET, path=["run"], original_error=KeyError(SECRET)),
        ]
    )
    assert passed.extensions == {"code": "NOT_FOUND", "retryable": False}
    assert refused.extensions == {"code": "GRAPHQL_VALIDATION_FAILED", "retryable": False}
    assert (masked.path, (masked.extensions or {})["code"], SECRET in masked.message) == (
        ["run"],
        "INTERNAL",
        False,
    )
    assert len(caplog.records) == 1


async def test_data_beside_an_error_stays() -> None:
    api = conversation()
    api.threads[ThreadKey("thread_2")] = api.threads[THREAD]
    api.fail[ThreadKey("thread_2")] = GatewayError(ErrorCode.UPSTREAM_FAILED, "Down.")
    result = await execute(api, '{ a: thread(id: "thread_1") { metadata } b: thread(id: "thread_2") { metadata } }')
    assert result.data == {"a": {"metadata": {"topic": "tea"}}, "b": None}
    assert paths_and_codes(result) == [(["b"], "UPSTREAM_FAILED")]


def test_a_masked_error_has_the_id_of_its_log_entry(caplog: pytest.LogCaptureFixture) -> None:
    error = mask_error(ValueError("private detail"), "testing")
    assert str(error.extensions["errorId"]) in error.message
    assert str(error.extensions["errorId"]) in caplog.text
    assert "private" not in error.message


def test_any_exception_converts_to_graphql_errors() -> None:
    refused, broken = GraphQLError("Refused."), KeyError("x")
    assert to_graphql_errors(OperationRefusedError([refused, refused])) == [refused, refused]
    assert to_graphql_errors(refused) == [refused]
    (converted,) = to_graphql_errors(broken)
    assert converted.original_error is broken
    assert is_unexpected(converted)


async def test_a_message_of_graphql_is_cut_whatever_it_quotes() -> None:
    long = "x" * 90_000
    for query, variables in (
        (f'{{ thread(id: {{ a: "{long}" }}) {{ id }} }}', None),
        (
            f'mutation {{ createMessage(input: {{ role: "{long}", threadId: "a", content: [] }}) {{ __typename }} }}',
            None,
        ),
        ("query ($n: Int) { assistants(first: $n) { nodes { id } } }", {"n": long}),
        ("query ($id: ID!) { thread(id: $id) { id } }", {"id": {"a": long}}),
        ("query ($n: Int) { assistants(first: $n) { nodes { id } } }", {"n": {long: 1}}),
    ):
        result = await execute(FakeThreadsApi(), query, variables)
        (error,) = result.errors or []
        assert len(error.message) <= 200
        assert len(str(error.formatted)) < 400


def test_the_locations_of_an_error_are_bounded() -> None:
    source = Source("{ " + "a " * 500 + "}")
    (error,) = to_public_errors([GraphQLError("Too many.", source=source, positions=list(range(2, 500)))])
    assert len(error.locations or []) == 10


def test_the_message_of_a_gateway_error_is_not_cut() -> None:
    original = GatewayError(ErrorCode.UPSTREAM_REFUSED, "a" * 300)
    (error,) = to_public_errors([GraphQLError(original.message, original_error=original)])
    assert error.message == original.message


def test_of_the_fields_that_a_database_away_leaves_null_the_topmost_is_reported() -> None:
    away = RecordsUnavailableError(ErrorCode.LEDGER_UNAVAILABLE, "Away.")
    other = GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "Whose is it?")
    paths: list[list[Any]] = [["thread", "title"], ["viewer", "threads"], ["thread"], ["a", 0, "title"]]
    errors = [GraphQLError("x", path=path, original_error=away) for path in (paths[0], paths[3], paths[1])]
    errors.insert(1, GraphQLError("y", path=paths[2], original_error=other))
    assert [error.path for error in to_public_errors(errors)] == [["thread", "title"], ["thread"]]
    assert [error.path for error in to_public_errors(reversed(errors))] == [["thread"], ["thread", "title"]]
    assert to_public_errors([]) == []
