import json
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.upstream.reply_outcome import UpstreamReply, invalid_response, outcome_from_reply
from gateway.upstream.rest_operations import GETS, WRITES
from gateway.upstream.retry import CallFailure
from schema.contract.errors import ErrorCode, OwnKeyRefusedError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import THREADS
from schema.contract.wire import ThreadObject
from schema.contract.writes import CREATE_THREAD_AND_RUN

THREAD = ThreadKey("thread_1")


def read(
    status: int,
    body: object,
    reader: Any = GETS[THREADS].reader,
    key: Any = THREAD,
    operation: str = "getThread",
    *,
    is_own_key: bool = False,
) -> Any:
    return outcome_from_reply(
        reader,
        key,
        UpstreamReply(status, CIMultiDict({"X-Request-Id": "req_1"}), json.dumps(body).encode()),
        operation=operation,
        dialect="lenient",
        credential="Bearer topsecret1",
        is_own_key=is_own_key,
        now_seconds=0,
    )


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_of_the_gateways_own_key_has_none_of_the_upstreams_words(status: int) -> None:
    body = {"error": {"message": "Incorrect API key provided: tops*****ret1.", "param": "thread_id"}}
    outcome = read(status, body, is_own_key=True)
    assert isinstance(outcome, CallFailure)
    assert isinstance(outcome.error, OwnKeyRefusedError)
    assert outcome.error.extensions == {
        "code": "UPSTREAM_REFUSED",
        "retryable": False,
        "upstreamRequestId": "req_1",
    }
    assert "tops" not in outcome.error.message
    assert (outcome.refused, outcome.transient, outcome.is_outage, outcome.status) == (True, False, False, status)


@pytest.mark.parametrize("status", [200, 400, 404, 429, 500])
def test_all_other_answers_to_the_gateways_own_key_are_those_of_any_key(status: int) -> None:
    body = {"id": "thread_1", "error": {"message": "No."}}
    own, other = read(status, body, is_own_key=True), read(status, body)
    assert str(own) == str(other)


def test_a_success_gives_the_result() -> None:
    assert isinstance(read(200, {"id": "thread_1", "created_at": 1}), ThreadObject)


def test_a_failure_status_is_read_as_a_refusal() -> None:
    outcome = read(404, {"error": {"message": "No thread found."}})
    assert isinstance(outcome, CallFailure)
    assert (outcome.error.code, outcome.error.message) == (ErrorCode.NOT_FOUND, "No thread found.")
    assert outcome.refused


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, {"detail": "Not Found"}, "Not Found"),
        (405, {"detail": "Method Not Allowed"}, "Method Not Allowed"),
        (501, {}, "The upstream answered with status 501 and no message."),
    ],
)
def test_the_error_for_a_missing_operation_names_it_and_the_dialect(status: int, body: object, said: str) -> None:
    outcome = read(status, body)
    assert isinstance(outcome, CallFailure)
    assert outcome.error.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM
    assert outcome.error.message == f"The upstream (dialect lenient) has no operation getThread: {said}"
    assert outcome.error.upstream_request_id == "req_1"
    assert outcome.refused
    assert not outcome.transient


@pytest.mark.parametrize(
    ("status", "body", "unsupported"),
    [
        (404, {"error": {"message": "No thread found with id 'runs'.", "param": "None"}}, True),
        (404, {"detail": "Thread runs not found"}, True),
        (400, {"error": {"message": "Invalid 'thread_id': 'runs'. Expected an ID that begins with 'thread'."}}, True),
        (422, {"detail": [{"loc": ["path", "thread_id"], "msg": "Input should be a valid UUID"}]}, True),
        (405, {"detail": "Method Not Allowed"}, True),
        (404, {"error": {"message": "No assistant found with id 'asst_1'."}}, False),
        (400, {"error": {"message": "Run creation requires a Thread with a user message.", "code": "x"}}, False),
        (500, {"error": {"message": "Thread runs not found"}}, False),
    ],
)
def test_a_server_that_takes_runs_for_a_thread_lacks_the_operation(
    status: int, body: object, unsupported: bool
) -> None:
    outcome = read(status, body, WRITES[CREATE_THREAD_AND_RUN].reader, None, "createThreadAndRun")
    assert isinstance(outcome, CallFailure)
    assert (outcome.error.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM) == unsupported
    other = read(status, body)
    assert isinstance(other, CallFailure)
    assert (other.error.code is ErrorCode.UNSUPPORTED_BY_UPSTREAM) == (status == 405)


def test_another_object_is_an_invalid_response() -> None:
    outcome = read(200, {"id": "thread_2", "created_at": 1})
    assert isinstance(outcome, CallFailure)
    assert outcome.error.code is ErrorCode.UPSTREAM_INVALID_RESPONSE
    assert outcome.error.message.startswith("Upstream operation getThread: expected the thread with id 'thread_1'")
    assert not outcome.refused


@pytest.mark.parametrize("cut_short", [True, False])
def test_a_response_that_was_cut_short_is_retryable(cut_short: bool) -> None:
    failure = invalid_response("topsecret1", {}, credential="Bearer topsecret1", cut_short=cut_short)
    assert (failure.transient, failure.error.retryable) == (cut_short, cut_short)
    assert failure.error.message == "[removed]"
