import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.upstream.refusals import explain, read_refusal, retry_after_ms
from gateway.upstream.retry import Failure
from schema.errors import ErrorCode, GatewayError

NOW_SECONDS = 1_795_329_859.0  # Sun, 22 Nov 2026 06:44:19 GMT
JSON = "application/json; charset=utf-8"


def openai(message: object, *, param: str | None = None, code: str | None = None, type: str | None = None) -> bytes:
    kind = type or "invalid_request_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


def refused(status: int, body: bytes = b"", content_type: str = JSON, **headers: str) -> Failure:
    given_headers = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    given_headers["Content-Type"] = content_type
    return read_refusal(status, given_headers, body, credential="Bearer topsecret1", now_seconds=NOW_SECONDS)


def error(status: int, body: bytes = b"", content_type: str = JSON, **headers: str) -> GatewayError:
    return refused(status, body, content_type, **headers).error


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ErrorCode.UPSTREAM_REFUSED),
        (401, ErrorCode.UNAUTHENTICATED),
        (402, ErrorCode.UPSTREAM_REFUSED),
        (403, ErrorCode.FORBIDDEN),
        (404, ErrorCode.NOT_FOUND),
        (405, ErrorCode.UNSUPPORTED_BY_UPSTREAM),
        (408, ErrorCode.UPSTREAM_TIMEOUT),
        (409, ErrorCode.CONFLICT),
        (410, ErrorCode.UPSTREAM_REFUSED),
        (413, ErrorCode.BAD_USER_INPUT),
        (418, ErrorCode.UPSTREAM_REFUSED),
        (422, ErrorCode.UPSTREAM_REFUSED),
        (429, ErrorCode.RATE_LIMITED),
        (451, ErrorCode.UPSTREAM_REFUSED),
        (500, ErrorCode.UPSTREAM_FAILED),
        (501, ErrorCode.UNSUPPORTED_BY_UPSTREAM),
        (502, ErrorCode.UPSTREAM_FAILED),
        (503, ErrorCode.UPSTREAM_FAILED),
        (504, ErrorCode.UPSTREAM_TIMEOUT),
        (529, ErrorCode.UPSTREAM_FAILED),
        (999, ErrorCode.UPSTREAM_FAILED),
        (301, ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (304, ErrorCode.UPSTREAM_INVALID_RESPONSE),
        (307, ErrorCode.UPSTREAM_INVALID_RESPONSE),
    ],
)
def test_a_status_alone_gives_the_code(status: int, code: ErrorCode) -> None:
    assert error(status).code is code


@pytest.mark.parametrize("status", [100, *range(300, 600)])
def test_only_what_passes_is_tried_again(status: int) -> None:
    assert refused(status).transient == (status in {429, 502, 503, 504})


# Source: bodies that these servers were seen to send.
SAMPLES: list[tuple[str, int, bytes, str, ErrorCode, str, str | None]] = [
    (
        "OpenAI: unknown object",
        404,
        openai("No thread found with id 'thread_X'."),
        JSON,
        ErrorCode.NOT_FOUND,
        "No thread found with id 'thread_X'.",
        None,
    ),
    (
        "OpenAI: blamed parameter",
        400,
        openai("Invalid 'limit': integer above maximum value.", param="limit", code="integer_above_max_value"),
        JSON,
        ErrorCode.BAD_USER_INPUT,
        "Invalid 'limit': integer above maximum value.",
        "limit",
    ),
    (
        "OpenAI: parameter only in the sentence",
        400,
        openai("Invalid 'thread_id': '1234'. Expected an ID that begins with 'thread'."),
        JSON,
        ErrorCode.BAD_USER_INPUT,
        "Invalid 'thread_id': '1234'. Expected an ID that begins with 'thread'.",
        "thread_id",
    ),
    (
        "OpenAI: refused without a parameter",
        400,
        openai("Thread thread_X already has an active run run_Y."),
        JSON,
        ErrorCode.UPSTREAM_REFUSED,
        "Thread thread_X already has an active run run_Y.",
        None,
    ),
    (
        "OpenAI: wrong key",
        401,
        openai("Incorrect API key provided: sk-abcdef123456. See the docs.", code="invalid_api_key"),
        JSON,
        ErrorCode.UNAUTHENTICATED,
        "Incorrect API key provided: [removed] See the docs.",
        None,
    ),
    (
        "OpenAI: unknown URL",
        404,
        openai("Unknown request URL: GET /v1/thread. Please check the URL for typos."),
        JSON,
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        "Unknown request URL: GET /v1/thread. Please check the URL for typos.",
        None,
    ),
    (
        "OpenAI: invalid URL",
        404,
        openai("Invalid URL (GET /v1/thread)"),
        JSON,
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        "Invalid URL (GET /v1/thread)",
        None,
    ),
    ("error as text", 400, b'{"error":"no such thing"}', JSON, ErrorCode.UPSTREAM_REFUSED, "no such thing", None),
    (
        "FakeAI: unknown object",
        404,
        b'{"detail":"Thread x not found"}',
        JSON,
        ErrorCode.NOT_FOUND,
        "Thread x not found",
        None,
    ),
    (
        "FastAPI: unknown route",
        404,
        b'{"detail":"Not Found"}',
        JSON,
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        "Not Found",
        None,
    ),
    (
        "FastAPI: validation",
        422,
        b'{"detail":[{"type":"int_parsing","loc":["query","limit"],"msg":"Input should be a valid integer"}]}',
        JSON,
        ErrorCode.BAD_USER_INPUT,
        "limit: Input should be a valid integer",
        "limit",
    ),
    (
        "FastAPI: validation of a nested field",
        422,
        b'{"detail":[{"loc":["body","metadata",0],"msg":"bad"},{"loc":["body","x"],"msg":"worse"}]}',
        JSON,
        ErrorCode.BAD_USER_INPUT,
        "metadata.0: bad",
        "metadata.0",
    ),
    (
        "FastAPI: validation of nothing",
        422,
        b'{"detail":[{}]}',
        JSON,
        ErrorCode.BAD_USER_INPUT,
        "Invalid value",
        None,
    ),
    (
        "FastAPI: detail with an error",
        400,
        b'{"detail":{"error":{"message":"no model"}}}',
        JSON,
        ErrorCode.UPSTREAM_REFUSED,
        "no model",
        None,
    ),
    (
        "open-assistant-api: validation",
        422,
        openai("bad request", type="request_validation_error"),
        JSON,
        ErrorCode.BAD_USER_INPUT,
        "bad request",
        None,
    ),
    (
        "open-assistant-api: unknown object",
        404,
        openai("thread 65 not found", type="not_found_error", code="resource_not_found"),
        JSON,
        ErrorCode.NOT_FOUND,
        "thread 65 not found",
        None,
    ),
    (
        "Fastify: unknown route",
        404,
        b'{"message":"Route GET:/v1/threads/x not found","error":"Not Found","statusCode":404}',
        JSON,
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        "Route GET:/v1/threads/x not found",
        None,
    ),
    (
        "Fastify: validation",
        400,
        b'{"statusCode":400,"code":"FST_ERR_VALIDATION","message":"querystring/limit must be <= 100"}',
        JSON,
        ErrorCode.BAD_USER_INPUT,
        "querystring/limit must be <= 100",
        "limit",
    ),
    (
        "LumenLabs: own error",
        404,
        b'{"error":{"code":"not_found","message":"Run not found"}}',
        JSON,
        ErrorCode.NOT_FOUND,
        "Run not found",
        None,
    ),
    (
        "Azure: code only",
        403,
        b'{"error":{"code":"PermissionDenied"}}',
        JSON,
        ErrorCode.FORBIDDEN,
        "PermissionDenied",
        None,
    ),
    (
        "Google: a list around it",
        404,
        b'[{"error":{"code":404,"message":"gone"}}]',
        JSON,
        ErrorCode.NOT_FOUND,
        "gone",
        None,
    ),
    (
        "problem+json",
        409,
        b'{"type":"about:blank","title":"Conflict of versions","status":409}',
        "application/problem+json",
        ErrorCode.CONFLICT,
        "Conflict of versions",
        None,
    ),
    ("JSON text", 400, b'"nope"', JSON, ErrorCode.UPSTREAM_REFUSED, "nope", None),
    (
        "LiteLLM: text for everything",
        500,
        b"Internal Server Error",
        "text/plain",
        ErrorCode.UPSTREAM_FAILED,
        "Internal Server Error",
        None,
    ),
    (
        "Go: unknown route",
        404,
        b"404 page not found\n",
        "text/plain",
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        "404 page not found",
        None,
    ),
    (
        "Express: unknown route",
        404,
        b"<!DOCTYPE html><html><head><title>Error</title></head><body><pre>Cannot GET /v1/threads</pre></body></html>",
        "text/html; charset=utf-8",
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
        "The upstream answered with status 404 and an HTML page titled 'Error'.",
        None,
    ),
    (
        "nginx: bad gateway, mislabelled",
        502,
        b"<html>\r\n<head><title>502 Bad Gateway</title></head></html>",
        "application/json",
        ErrorCode.UPSTREAM_FAILED,
        "The upstream answered with status 502 and an HTML page titled '502 Bad Gateway'.",
        None,
    ),
    (
        "HTML without a title",
        503,
        b"<p>busy",
        "text/html",
        ErrorCode.UPSTREAM_FAILED,
        "The upstream answered with status 503 and no message.",
        None,
    ),
    (
        "empty",
        500,
        b"",
        JSON,
        ErrorCode.UPSTREAM_FAILED,
        "The upstream answered with status 500 and no message.",
        None,
    ),
    (
        "JSON without a message",
        500,
        b'{"error":{"message":7,"code":{}}}',
        JSON,
        ErrorCode.UPSTREAM_FAILED,
        "The upstream answered with status 500 and no message.",
        None,
    ),
    (
        "too large to be a message",
        500,
        b"x" * 70_000,
        "text/plain",
        ErrorCode.UPSTREAM_FAILED,
        "The upstream answered with status 500 and no message.",
        None,
    ),
    (
        "too deep",
        500,
        b"[" * 50_000,
        JSON,
        ErrorCode.UPSTREAM_FAILED,
        "[" * 497 + "...",
        None,
    ),
    (
        "echoes the credential",
        403,
        openai("topsecret1 may not"),
        JSON,
        ErrorCode.FORBIDDEN,
        "[removed] may not",
        None,
    ),
]


@pytest.mark.parametrize(
    ("status", "body", "content_type", "code", "message", "argument"),
    [pytest.param(*sample[1:], id=sample[0]) for sample in SAMPLES],
)
def test_each_shape_of_error_body_is_understood(
    status: int, body: bytes, content_type: str, code: ErrorCode, message: str, argument: str | None
) -> None:
    got = error(status, body, content_type)
    assert (got.code, got.message, got.argument) == (code, message, argument)


def test_a_parameter_is_named_only_where_the_input_is_at_fault() -> None:
    assert error(404, openai("No thread found with id 'x'.", param="thread_id")).argument is None


def test_a_thread_whose_id_speaks_of_routes_is_just_not_found() -> None:
    assert error(404, openai("The thread 'url' and the run 'path' were not found")).code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("name", ["X-Request-ID", "apim_request_id", "request_id"])
def test_the_upstreams_request_id_is_kept(name: str) -> None:
    assert error(500, b"", JSON, **{name: "req_1\t2"}).upstream_request_id == "req_1 2"


def test_a_redirect_says_why_it_is_not_followed_and_not_where_it_led() -> None:
    got = error(302, Location="https://elsewhere.example/?key=topsecret1", x_request_id="req_1")
    assert "elsewhere.example" not in got.message
    assert "credential must not travel" in got.message
    assert got.upstream_request_id == "req_1"


@pytest.mark.parametrize(
    ("headers", "message", "expected"),
    [
        ({}, "", None),
        ({"Retry-After": "7"}, "", 7000),
        ({"Retry-After": "0.25"}, "", 250),
        ({"Retry-After": "-3"}, "", 0),
        ({"Retry-After": "999999999"}, "", 86_400_000),
        ({"Retry-After": "inf"}, "", None),
        ({"Retry-After": "nan"}, "", None),
        ({"Retry-After": "soon"}, "", None),
        ({"Retry-After": "Sun, 22 Nov 2026 06:44:29 GMT"}, "", 10_000),
        ({"Retry-After": "Sun, 22 Nov 2026 06:44:09 GMT"}, "", 0),
        ({"Retry-After": "Sun, 99 Nov 2026 06:44:09 GMT"}, "", None),
        ({"retry-after-ms": "150.5"}, "", 151),
        ({"retry-after-ms": "150", "Retry-After": "7"}, "", 150),
        ({"retry-after-ms": "x", "Retry-After": "7"}, "", 7000),
        ({}, "slow down, please try again after 6.937 seconds.", 6937),
        ({}, "Please try again in 20s.", 20_000),
        ({}, "Please try again in 20ms.", 20),
        ({}, "Please try again in 2 minutes.", 120_000),
        ({}, "Please try again in 2m0s.", None),
        ({"Retry-After": "1"}, "Please try again in 20s.", 1000),
    ],
)
def test_retry_after(headers: dict[str, str], message: str, expected: int | None) -> None:
    assert retry_after_ms(CIMultiDict(headers), message, NOW_SECONDS) == expected


@pytest.mark.parametrize(("status", "expected"), [(429, 3000), (503, 3000), (408, 3000), (404, None), (400, None)])
def test_retry_after_is_passed_on_where_trying_again_can_help(status: int, expected: int | None) -> None:
    assert error(status, retry_after="3").retry_after_ms == expected


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "detail", "message", "loc", "msg", "param", "code", "type", "title"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.integers(300, 599), JSON_VALUES)
def test_any_json_becomes_an_error(status: int, body: Any) -> None:
    got = error(status, json.dumps(body).encode())
    assert 0 < len(got.message) <= 500


@given(st.integers(300, 599), st.binary(), st.text(), st.text())
def test_any_bytes_and_headers_become_an_error(status: int, body: bytes, content_type: str, header: str) -> None:
    headers = CIMultiDict({"content-type": content_type, "retry-after": header, "x-request-id": header})
    got = read_refusal(status, headers, body, credential=None, now_seconds=NOW_SECONDS).error
    assert 0 < len(got.message) <= 500
    assert explain(content_type, body) == explain(content_type, body)
