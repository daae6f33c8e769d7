import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.upstream import error_replies
from gateway.upstream.error_replies import failure_from_error_reply, parse_error_body, retry_after_ms
from gateway.upstream.retry import CallFailure
from schema.contract.errors import ErrorCode, GatewayError

NOW_SECONDS = 1_795_329_859.0  # Sun, 22 Nov 2026 06:44:19 GMT
JSON = "application/json; charset=utf-8"


def openai(message: object, *, param: str | None = None, code: str | None = None, type: str | None = None) -> bytes:
    kind = type or "invalid_request_error"
    return json.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}}).encode()


def refused(status: int, body: bytes = b"", content_type: str = JSON, **headers: str) -> CallFailure:
    given_headers = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    given_headers["Content-Type"] = content_type
    return failure_from_error_reply(
        status, given_headers, body, credential="Bearer topsecret1", now_seconds=NOW_SECONDS
    )


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
def test_the_status_alone_decides_the_code(status: int, code: ErrorCode) -> None:
    assert error(status).code is code


@pytest.mark.parametrize("status", [100, *range(300, 600)])
def test_only_temporary_statuses_are_transient(status: int) -> None:
    assert refused(status).transient == (status in {429, 502, 503, 504})


@pytest.mark.parametrize("status", range(300, 600))
def test_only_certain_refusals_are_marked_as_refused(status: int) -> None:
    assert refused(status).refused == (status not in {408, *range(500, 600)} or status == 501)


def test_a_parameter_is_named_only_if_the_input_is_wrong() -> None:
    assert error(404, openai("No thread found with id 'x'.", param="thread_id")).argument is None


def test_a_thread_id_that_mentions_routes_is_just_not_found() -> None:
    assert error(404, openai("The thread 'url' and the run 'path' were not found")).code is ErrorCode.NOT_FOUND


@pytest.mark.parametrize("name", ["X-Request-ID", "apim_request_id", "request_id"])
def test_the_upstreams_request_id_is_passed_on(name: str) -> None:
    assert error(500, b"", JSON, **{name: "req_1\t2"}).upstream_request_id == "req_1 2"


def test_the_error_of_a_redirect_gives_the_reason_but_not_the_target() -> None:
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
        ({}, "Please try again in 2m0s.", 120_000),
        ({}, "Try again in 26 seconds.", 26_000),
        ({}, "Please retry after 26 seconds.", 26_000),
        ({}, "Please retry after 1 second", 1000),
        ({}, "Please try again in 1m30.5s. Visit us.", 90_500),
        ({}, "Please try again in 2h30m0s.", 9_000_000),
        ({}, "Please try again in 7m12ms.", 420_012),
        ({}, "TRY AGAIN IN 1 Hour, 2 minutes and 3 secs", 3_723_000),
        ({}, "Please try again in 3 days.", 86_400_000),
        ({}, "Please try again in 20 steps.", None),
        ({}, "Please try again in a moment.", None),
        ({}, "Do not retry in this thread. 5 seconds", None),
        ({"Retry-After": "1"}, "Please try again in 20s.", 1000),
    ],
)
def test_retry_after(headers: dict[str, str], message: str, expected: int | None) -> None:
    assert retry_after_ms(CIMultiDict(headers), message, NOW_SECONDS) == expected


@pytest.mark.parametrize(("status", "expected"), [(429, 3000), (503, 3000), (408, 3000), (404, None), (400, None)])
def test_retry_after_is_passed_on_only_if_a_retry_can_help(status: int, expected: int | None) -> None:
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
    got = failure_from_error_reply(status, headers, body, credential=None, now_seconds=NOW_SECONDS).error
    assert 0 < len(got.message) <= 500
    assert parse_error_body(content_type, body) == parse_error_body(content_type, body)


def test_an_html_page_of_unfinished_titles_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that began again at each of them would take hours, beyond the time limit of every test."""
    monkeypatch.setattr(error_replies, "MAX_ERROR_BODY_BYTES", 1 << 21)
    assert parse_error_body("text/html", b"<title" * (1 << 18)).is_html


@pytest.mark.parametrize("word", ["None", "null", "NULL", ""])
def test_the_word_for_a_missing_value_names_no_parameter(word: str) -> None:
    found = error(400, openai("The model is overloaded.", param=word, code=word, type=word))
    assert (found.code, found.argument) == (ErrorCode.UPSTREAM_REFUSED, None)
    assert error(400, openai("Invalid 'limit': 0.", param=word)).argument == "limit"


def test_an_error_body_with_a_byte_order_mark_is_read() -> None:
    found = error(404, b"\xef\xbb\xbf" + openai("No thread found with id 'x'."))
    assert (found.code, found.message) == (ErrorCode.NOT_FOUND, "No thread found with id 'x'.")


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (
            400,
            openai("Another process operates on it.", param="conversation", code="conversation_locked"),
            ErrorCode.ACTIVE_RUN,
        ),
        (409, openai("Busy", code="conversation_locked"), ErrorCode.ACTIVE_RUN),
        (500, openai("Busy", code="conversation_locked"), ErrorCode.UPSTREAM_FAILED),
        (400, openai("No tool output found for function call call_1.", param="input"), ErrorCode.WRONG_STATE),
        (404, openai("Conversation with id 'conv_1' not found."), ErrorCode.NOT_FOUND),
        (404, b'{"detail": "Conversation conv_1 not found"}', ErrorCode.NOT_FOUND),
        (404, b'{"detail": "Not Found"}', ErrorCode.UNSUPPORTED_BY_UPSTREAM),
    ],
)
def test_the_refusals_of_conversations_and_responses(status: int, body: bytes, code: ErrorCode) -> None:
    assert refused(status, body).error.code is code


@pytest.mark.parametrize(
    ("sentence", "param", "is_missing"),
    [
        ("Invalid 'conversation_id': 'thread_1'. Expected an ID that begins with 'conv'.", "conversation_id", True),
        ("Invalid 'response_id': 'run_1'. Expected an ID that begins with 'resp'.", "response_id", True),
        ("Invalid 'item_id': 'it''s\n'. Expected an ID that begins with 'msg'.", "item_id", True),
        ("Invalid 'conversation': 'thread_1'. Expected an ID that begins with 'conv'.", "conversation", True),
        (
            "Invalid value for 'conversation_id': thread_1. It must match format 'conv_' and 48 hex characters.",
            None,
            True,
        ),
        ("Invalid 'file_id': 'x'. Expected an ID that begins with 'file'.", "file_id", False),
        ("Invalid 'after': 'msg'. Expected an ID that begins with 'conv'.", "after", False),
        ("Unknown parameter: 'conversation_id'.", "conversation_id", False),
    ],
)
def test_an_id_of_another_form_names_nothing(sentence: str, param: str | None, is_missing: bool) -> None:
    found = error(400, openai(sentence, param=param, code="invalid_value"))
    assert (found.code is ErrorCode.NOT_FOUND) == is_missing
