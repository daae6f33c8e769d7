import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media_types import (
    EVENT_STREAM,
    GRAPHQL_RESPONSE,
    HTML,
    JSON,
    MAX_REMEMBERED_LENGTH,
    accepts_event_stream,
    choose_response_type,
    content_type_fault,
)

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("application/json", JSON),
        ("APPLICATION/JSON", JSON),
        ("application/json; charset=utf-8", JSON),
        ('application/json; charset="UTF-8"', JSON),
        ("application/json; charset=latin-1", None),
        ("application/json; charset=latin-1, */*;q=0.1", JSON),
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}; charset=utf-8, application/json; charset=utf-8", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, application/json;q=0.9", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE};q=0.5, application/json", JSON),
        (f"application/json, {GRAPHQL_RESPONSE}", JSON),
        (f"{GRAPHQL_RESPONSE}, */*", GRAPHQL_RESPONSE),
        (f"*/*, {GRAPHQL_RESPONSE}", GRAPHQL_RESPONSE),
        (f"*/*;q=0.5, {GRAPHQL_RESPONSE};q=0", JSON),
        ("application/json;q=0, */*", GRAPHQL_RESPONSE),
        ("multipart/mixed;deferSpec=20220824, application/json", JSON),
        ('text/csv;note="a, b", application/json', JSON),
        ("text/event-stream", EVENT_STREAM),
        ("text/event-stream, application/json", EVENT_STREAM),
        ("application/json, text/event-stream", JSON),
        ("application/json;q=0.9, text/event-stream", EVENT_STREAM),
        ("*/*, text/event-stream", EVENT_STREAM),
        ("*/*, text/event-stream;q=0.5", JSON),
        ("text/*", None),
        ("application/json;q=0", None),
        ("text/plain", None),
        ("text/html", None),
        ("*/json", None),
        ("application/json;q=2", None),
        ("nonsense", None),
        (",,;;", None),
        (BROWSER, JSON),
    ],
)
def test_the_response_type_follows_the_accept_header(accept: str | None, chosen: str | None) -> None:
    assert choose_response_type(accept) == chosen
    assert choose_response_type(accept) == chosen, "not the same when it is remembered"
    if accept is not None and accept.strip():
        long_accept = f"{accept}, text/csv;note={'x' * MAX_REMEMBERED_LENGTH}"
        assert choose_response_type(long_accept) == chosen, "not the same when it is too long to be remembered"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (BROWSER, HTML),
        ("text/html", HTML),
        ("text/html;q=0.5, application/json", JSON),
        ("application/json, text/html;q=0.5", JSON),
        ("text/*, application/json;q=0.1", HTML),
        ("*/*", JSON),
        (None, JSON),
    ],
)
def test_a_browser_gets_a_page_where_there_is_one(accept: str | None, chosen: str) -> None:
    assert choose_response_type(accept, html=True) == chosen


@given(st.text(max_size=60))
def test_no_header_raises(text: str) -> None:
    assert choose_response_type(text, html=True) in {None, JSON, GRAPHQL_RESPONSE, HTML}
    content_type_fault(text)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json;charset=utf-8",
        "Application/JSON; Charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; charset=utf8",
    ],
)
def test_json_in_utf8_is_read(content_type: str) -> None:
    assert content_type_fault(content_type) is None


@pytest.mark.parametrize(
    ("content_type", "fault"),
    [
        (None, "expected Content-Type: application/json, got none"),
        ("text/plain", "expected Content-Type: application/json, got 'text/plain'"),
        ("application/graphql", "expected Content-Type: application/json, got 'application/graphql'"),
        ("application/json; charset=latin-1", "expected charset=utf-8, got 'latin-1'"),
        ("multipart/form-data; boundary=x", "got 'multipart/form-data; boundary=x'"),
        ("", "got ''"),
    ],
)
def test_a_body_of_another_type_is_refused(content_type: str | None, fault: str) -> None:
    assert fault in str(content_type_fault(content_type))


@pytest.mark.parametrize(
    ("accept", "accepts"),
    [
        (None, False),
        ("*/*", False),
        ("text/*", False),
        ("text/event-stream;q=0", False),
        ("application/json, Text/Event-Stream;q=0.1", True),
    ],
)
def test_an_event_stream_is_only_accepted_by_its_name(accept: str | None, accepts: bool) -> None:
    assert accepts_event_stream(accept) is accepts
