from urllib.parse import parse_qsl, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from gateway.upstream.rest_operations import GETS, LISTS
from gateway.upstream.rest_requests import Route, UpstreamRequest, path_segment
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, FileKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import (
    ASSISTANTS,
    FILES,
    MESSAGE_FILES,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Order, Window

NEWEST = Window(100, "desc")


@pytest.mark.parametrize(
    ("request_made", "operation", "target"),
    [
        (GETS[THREADS].request(ThreadKey("t")), "getThread", "/threads/t"),
        (GETS[MESSAGES].request(MessageKey("t", "m")), "getMessage", "/threads/t/messages/m"),
        (GETS[RUNS].request(RunKey("t", "r")), "getRun", "/threads/t/runs/r"),
        (GETS[RUN_STEPS].request(RunStepKey("t", "r", "s")), "getRunStep", "/threads/t/runs/r/steps/s"),
        (GETS[ASSISTANTS].request(AssistantKey("a")), "getAssistant", "/assistants/a"),
        (GETS[FILES].request(FileKey("file/1")), "retrieveFile", "/files/file%2F1"),
        (
            GETS[MESSAGE_FILES].request(MessageFileKey("t", "m", "f")),
            "getMessageFile",
            "/threads/t/messages/m/files/f",
        ),
        (
            LISTS[MESSAGES].request(MessagePageKey("t", None, NEWEST)),
            "listMessages",
            "/threads/t/messages?limit=100&order=desc",
        ),
        (
            LISTS[MESSAGES].request(MessagePageKey("t", "r", Window(1, "asc", "m"))),
            "listMessages",
            "/threads/t/messages?limit=1&order=asc&after=m&run_id=r",
        ),
        (
            LISTS[RUNS].request(RunPageKey("t", NEWEST)),
            "listRuns",
            "/threads/t/runs?limit=100&order=desc",
        ),
        (
            LISTS[RUN_STEPS].request(RunStepPageKey("t", "r", NEWEST)),
            "listRunSteps",
            "/threads/t/runs/r/steps?limit=100&order=desc",
        ),
        (
            LISTS[ASSISTANTS].request(AssistantPageKey(Window(20, "asc", "a&b"))),
            "listAssistants",
            "/assistants?limit=20&order=asc&after=a%26b",
        ),
        (
            LISTS[MESSAGE_FILES].request(MessageFilePageKey("t", "m", NEWEST)),
            "listMessageFiles",
            "/threads/t/messages/m/files?limit=100&order=desc",
        ),
    ],
)
def test_each_key_becomes_the_call_of_the_specification(
    request_made: UpstreamRequest, operation: str, target: str
) -> None:
    assert (request_made.method, request_made.operation, request_made.target) == ("GET", operation, target)


@pytest.mark.parametrize("text", ["", ".", "..", "x" * 257, "\ud800"])
def test_an_id_that_cannot_be_a_path_segment_is_refused_with_its_parameter(text: str) -> None:
    with pytest.raises(GatewayError) as caught:
        GETS[RUNS].request(RunKey("t", text))
    assert caught.value.code is ErrorCode.BAD_USER_INPUT
    assert caught.value.argument == "run_id"


@given(st.text(min_size=1, max_size=256).filter(lambda text: text not in {".", ".."}))
def test_an_id_is_encoded_as_one_segment_and_decodes_unchanged(text: str) -> None:
    try:
        segment = path_segment("thread_id", text)
    except GatewayError:
        assert not text.isascii()  # halves of surrogate pairs
        return
    assert segment.isascii()
    assert not set(segment) & set("/?#\\ %") - {"%"}
    assert unquote(segment) == text
    url = URL(f"http://upstream/v1/threads/{segment}/runs", encoded=True)
    assert url.raw_path == f"/v1/threads/{segment}/runs"
    assert url.raw_query_string == ""


@given(st.integers(1, 100), st.sampled_from(["asc", "desc"]), st.none() | st.text(alphabet="aZ9_&=+ #%é"), st.none())
def test_a_query_holds_exactly_the_window(limit: int, order: Order, after: str | None, run_id: str | None) -> None:
    made = LISTS[MESSAGES].request(MessagePageKey("t", run_id, Window(limit, order, after)))
    said = dict(parse_qsl(made.query, keep_blank_values=True, strict_parsing=True))
    expected = {"limit": str(limit), "order": order} | ({} if after is None else {"after": after})
    assert said == expected


def test_a_route_with_the_same_operation_and_path_is_equal() -> None:
    assert Route("getThread", "/threads/{thread_id}") == Route("getThread", "/threads/{thread_id}")
