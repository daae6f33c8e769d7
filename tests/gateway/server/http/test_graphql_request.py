import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.http.graphql_request import (
    GraphQLRequest,
    ParsedRequest,
    request_from_body,
    request_from_query_string,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.root import build_schema
from tests.support.subscription_gateway import STATUS

POLICY = DocumentPolicy()
DOCUMENTS = build_schema().documents


def test_a_body_with_every_parameter_is_read() -> None:
    body = {"query": "{ a }", "operationName": "A", "variables": {"x": 1}, "extensions": {"y": 2}, "other": 3}
    assert request_from_body(json.dumps(body).encode(), POLICY) == GraphQLRequest("{ a }", "A", {"x": 1}, {"y": 2})


def test_null_counts_as_absent() -> None:
    body = {"query": "{ a }", "operationName": None, "variables": None, "extensions": None}
    assert request_from_body(json.dumps(body).encode(), POLICY) == GraphQLRequest("{ a }")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "got an empty body"),
        (b"{", "Expected a body of JSON in UTF-8, got text that fails at position"),
        (b'{"query": "\xff"}', "Expected a body of JSON in UTF-8"),
        (b'{"query": NaN}', "Expected a body of JSON in UTF-8"),
        (b"[" * 100_000, "Expected a body of JSON in UTF-8"),
        (b"[]", "batches are not taken"),
        (b"1", "Expected a JSON object, got a number"),
        (b'"x"', "Expected a JSON object, got a string"),
        (b"null", "Expected a JSON object, got null"),
        (b"true", "Expected a JSON object, got a boolean"),
        (b"{}", "Expected a parameter 'query' with a GraphQL document, got none"),
        (b'{"query": null}', "Expected 'query' to be a string, got null"),
        (b'{"query": 1.5}', "Expected 'query' to be a string, got a number"),
        (b'{"query": []}', "Expected 'query' to be a string, got an array"),
        (b'{"query": " "}', "Expected 'query' to hold a GraphQL document, got an empty string"),
        (b'{"query": "{a}", "operationName": 1}', "Expected 'operationName' to be a string or null, got a number"),
        (b'{"query": "{a}", "variables": []}', "Expected 'variables' to be a JSON object or null, got an array"),
        (b'{"query": "{a}", "variables": "{}"}', "Expected 'variables' to be a JSON object or null, got a string"),
        (b'{"query": "{a}", "extensions": false}', "Expected 'extensions' to be a JSON object or null, got a boolean"),
    ],
)
def test_a_body_of_another_shape_is_refused_with_what_was_expected(body: bytes, message: str) -> None:
    with pytest.raises(GatewayError, match=message) as refused:
        request_from_body(body, POLICY)
    assert refused.value.code is ErrorCode.BAD_USER_INPUT


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(GatewayError):
        assert isinstance(request_from_body(body, POLICY), GraphQLRequest)


def test_a_query_string_is_read_and_empty_parameters_count_as_absent() -> None:
    pairs = [("query", "{ a }"), ("variables", '{"x": 1}'), ("operationName", ""), ("extensions", ""), ("other", "1")]
    assert request_from_query_string(pairs, POLICY) == GraphQLRequest("{ a }", None, {"x": 1})


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "Expected a parameter 'query'"),
        ([("query", "")], "got an empty string"),
        ([("query", "{a}"), ("query", "{b}")], "Expected the parameter 'query' once"),
        ([("query", "{a}"), ("variables", "{")], "Expected 'variables' to be JSON"),
        ([("query", "{a}"), ("variables", "[]")], "Expected 'variables' to be a JSON object or null, got an array"),
        ([("query", "{a}"), ("extensions", "1")], "Expected 'extensions' to be a JSON object or null, got a number"),
        ([("query", "{a}"), ("variables", "\ud800")], "Expected 'variables' to be"),
    ],
)
def test_a_query_string_of_another_shape_is_refused(pairs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(GatewayError, match=message):
        request_from_query_string(pairs, POLICY)


def read(request: GraphQLRequest) -> ParsedRequest:
    return ParsedRequest(request, DOCUMENTS.parse(request.query))


@pytest.mark.parametrize(
    ("request_", "ambiguous"),
    [
        (GraphQLRequest("query A { a } query B { b }"), True),
        (GraphQLRequest("query A { a } mutation B { b }"), True),
        (GraphQLRequest("query A { a } query B { b }", "B"), False),
        (GraphQLRequest("query A { a query }"), False),
        (GraphQLRequest("{ a }"), False),
        (GraphQLRequest("{ a } { b }"), False),
        (GraphQLRequest("query A { query B {"), False),
    ],
)
def test_several_operations_need_a_name_to_choose_one(request_: GraphQLRequest, ambiguous: bool) -> None:
    error = read(request_).ambiguity_error
    assert (error is not None) is ambiguous
    if error is not None:
        assert "Expected 'operationName' to choose one of the document's 2 operations" in error.message


@pytest.mark.parametrize(
    ("query", "name", "is_one"),
    [
        (STATUS, None, True),
        ("{ subscription: __typename }", None, False),
        ("query A { __typename } subscription B { nonsense }", "B", True),
        ("query A { __typename } subscription B { nonsense }", "A", False),
        ("subscription {", None, False),
        ("{ __typename }", None, False),
    ],
)
def test_a_subscription_is_recognised(query: str, name: str | None, is_one: bool) -> None:
    assert read(GraphQLRequest(query, name)).is_subscription is is_one
