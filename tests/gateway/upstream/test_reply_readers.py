import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.upstream.reply_outcome import UpstreamReply, outcome_from_reply
from gateway.upstream.reply_readers import UnexpectedReplyError
from gateway.upstream.rest_operations import GETS, LISTS, WRITES, RestOperation
from gateway.upstream.retry import CallFailure
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey, RunKey, ThreadKey
from schema.contract.kinds import MESSAGES, RUNS, THREADS, MessagePageKey
from schema.contract.paging import Window
from schema.contract.wire import MessageObject, Page, RunObject, ThreadObject
from schema.contract.writes import CREATE_MESSAGE, CREATE_RUN, CREATE_THREAD, CREATE_THREAD_AND_RUN, DELETE_THREAD

CREDENTIAL = "Bearer topsecret1"
THREAD = {"id": "thread_1", "object": "thread", "created_at": 1, "metadata": {}, "tool_resources": {}}
MESSAGE = {"id": "msg_1", "object": "thread.message", "created_at": 1, "role": "user", "content": []}
PAGE_KEY = MessagePageKey("thread_1", None, Window(2, "asc"))


def read(what: RestOperation[Any, Any], key: Any, body: bytes, status: int = 200) -> Any:
    reply = UpstreamReply(status, CIMultiDict({"X-Request-Id": "req_1"}), body)
    return outcome_from_reply(
        what.reader, key, reply, operation="testIt", dialect="openai-v2", credential=CREDENTIAL, now_seconds=0
    )


def read_thread(body: object, status: int = 200) -> Any:
    return read(GETS[THREADS], ThreadKey("thread_1"), _bytes(body), status)


def read_page(body: object, key: MessagePageKey = PAGE_KEY) -> Any:
    return read(LISTS[MESSAGES], key, _bytes(body))


def refused(outcome: object) -> GatewayError:
    assert isinstance(outcome, CallFailure)
    assert outcome.error.code is ErrorCode.UPSTREAM_INVALID_RESPONSE
    assert outcome.error.upstream_request_id == "req_1"
    assert outcome.transient == outcome.error.retryable
    return outcome.error


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
def test_any_successful_response_is_read(status: int) -> None:
    thread = read_thread(THREAD, status)
    assert isinstance(thread, ThreadObject)
    assert (thread.id, thread.created_at) == ("thread_1", 1)


@pytest.mark.parametrize(
    "habit",
    [
        {"object": None},
        {"created_at": 1795329859.5},
        {"metadata": None},
        {"tool_resources": None},
        {"tool_resources": {"code_interpreter": None, "file_search": {"vector_store_ids": None}}},
        {"metadata_": {"a": "b"}, "updated_at": 2, "extra_body": [1, {}]},
        {"object": "conversation"},
        {"created_at": None},
        {"created_at": "yesterday"},
        {"created_at": 1795329859000},
    ],
)
def test_a_foreign_habit_of_threads_is_tolerated(habit: dict[str, Any]) -> None:
    assert isinstance(read_thread(THREAD | habit), ThreadObject)


@pytest.mark.parametrize(
    "habit",
    [
        {"status": "thinking", "model": "new"},
        {"status": None},
        {"tools": None, "file_ids": None, "required_action": {}, "usage": None},
        {"usage": {"prompt_tokens": None, "completion_tokens": 3, "total_tokens": 3}},
        {"truncation_strategy": {"type": None, "last_messages": None}},
        {"truncation_strategy": {"type": "auto"}, "tool_choice": {"type": "new"}, "response_format": {"type": "new"}},
        {"tools": [{"type": "new", "new": {}}, {"type": "function", "function": 7}]},
        {"last_error": {"code": "new_code", "message": None}},
        {"expires_at": 1.0, "started_at": None},
    ],
)
def test_a_foreign_habit_of_runs_is_tolerated(habit: dict[str, Any]) -> None:
    body = _bytes({"id": "run_1", "object": "thread.run", "created_at": 1.0, "status": "queued"} | habit)
    assert isinstance(read(GETS[RUNS], RunKey("thread_1", "run_1"), body), RunObject)


def test_leaving_out_nulls_does_not_change_user_data() -> None:
    body = MESSAGE | {"role": None, "metadata": {"kept": None}, "content": [{"type": "text", "text": None}]}
    message = read(GETS[MESSAGES], MessageKey("thread_1", "msg_1"), _bytes(body))
    assert isinstance(message, MessageObject)
    assert message.role == ""
    assert message.metadata == {"kept": None}
    assert isinstance(message.content, list)
    assert json.loads(bytes(message.content[0])) == {"type": "text", "text": None}


def test_a_byte_order_mark_is_tolerated() -> None:
    assert isinstance(read_thread(b"\xef\xbb\xbf" + _bytes(THREAD)), ThreadObject)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "got what is not JSON: an empty body"),
        (b"OK", "got what is not JSON: 'OK'"),
        (b"<html>login</html>", "got what is not JSON: '<html>login</html>'"),
        (b"topsecret1", "got what is not JSON: '[removed]'"),
        (b"\xff\xfe", "got what is not JSON"),
        (b'{"id": "thread_1", "created_at": 1, "metadata": {"a": "\xff"}}', "got what is not UTF-8"),
        (b"[" * 100_000, "got "),
        (b'{"id":"thread_1","created_at":1,"new":' + b"[" * 100_000, "too deeply nested JSON"),
        ([], "Expected `object`, got `array`"),
        ({}, "missing required field `id`"),
        ({"error": {"message": "no"}}, "missing required field `id`"),
        (THREAD | {"id": 5}, "Expected `str`, got `int`"),
        (THREAD | {"object": "thread.run"}, "expected a thread object, got an object of kind 'thread.run'"),
        (THREAD | {"object": "thread.deleted"}, "got an object of kind 'thread.deleted'"),
        (THREAD | {"id": "thread_2"}, "expected the thread with id 'thread_1', got the one with id 'thread_2'"),
        (_bytes(THREAD) + b"x", "got what is not JSON"),
        ({"object": "list", "data": [THREAD]}, "missing required field `id`"),
    ],
)
def test_a_successful_response_with_something_else_is_refused(body: object, said: str) -> None:
    error = refused(read_thread(body))
    assert said in error.message
    assert error.message.startswith("Upstream operation testIt: expected ")
    assert "topsecret1" not in error.message
    assert not error.retryable


def test_every_truncation_of_an_object_is_detected_and_retryable() -> None:
    body = _bytes(THREAD)
    for length in range(1, len(body)):
        outcome = read_thread(body[:length])
        assert refused(outcome).retryable
        assert outcome.transient


@given(st.binary())
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    refused(read_thread(body))
    refused(read_page(body))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*THREAD, "data", "has_more", "first_id"]), inner, max_size=5)
    ),
    max_leaves=15,
)


@given(JSON_VALUES)
def test_any_json_is_read_or_refused(body: Any) -> None:
    for outcome in (read_thread(body), read_page(body)):
        if not isinstance(outcome, ThreadObject | Page):
            refused(outcome)


def page(*created_at: float, has_more: object = False) -> dict[str, Any]:
    data = [MESSAGE | {"id": f"msg_{second}", "created_at": second} for second in created_at]
    return {"object": "list", "data": data, "has_more": has_more}


def ids(outcome: Any) -> list[str]:
    assert isinstance(outcome, Page)
    return [message.id for message in outcome.data]


def test_a_page_is_read() -> None:
    got = read_page(page(1, 2, has_more=True))
    assert ids(got) == ["msg_1", "msg_2"]
    assert got.has_more
    assert all(isinstance(message, MessageObject) for message in got.data)


@pytest.mark.parametrize(
    "body",
    [
        {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False},
        {"object": "list", "data": [], "has_more": True},
        {"object": "list", "data": None},
        {"data": [], "has_more": None},
        {"data": {}, "has_more": "no"},
        {"object": "page", "data": []},
    ],
)
def test_an_empty_page_ends_its_list(body: object) -> None:
    got = read_page(body)
    assert ids(got) == []
    assert not got.has_more


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "got '{}' (Object missing required field `data`)"),
        ({"object": "list", "has_more": False}, "missing required field `data`"),
        ({"error": {"message": "no"}}, "missing required field `data`"),
        ([], "Expected `object`, got `array`"),
        ({"data": {"id": "x"}}, "Expected `array | null`, got `object`"),
        ({"data": "x"}, "Expected `array | null`, got `str`"),
        ({"data": [7]}, "Expected `object`, got `int`"),
        ({"data": [MESSAGE | {"id": None}]}, "Expected `str`, got `null`"),
        (MESSAGE, "missing required field `data`"),
        (MESSAGE | {"data": []}, "kind 'thread.message'"),
    ],
)
def test_a_successful_response_without_a_page_is_refused(body: object, said: str) -> None:
    assert said in refused(read_page(body)).message


@pytest.mark.parametrize("bad", [7, None, "msg_9", [], MESSAGE | {"id": None}, MESSAGE | {"id": "../../x"}])
def test_an_object_that_cannot_be_read_does_not_take_its_page_along(bad: object) -> None:
    assert ids(read_page({"data": [MESSAGE, bad]})) == ["msg_1"]


@pytest.mark.parametrize("bad", [7, {**MESSAGE, "id": 5}, {**MESSAGE, "id": "a/../b"}, {"object": "thread.message"}])
@pytest.mark.parametrize(("sent_more", "has_more"), [({}, True), ({"has_more": False}, False)])
def test_a_full_page_does_not_end_its_list_although_an_object_of_it_cannot_be_read(
    bad: object, sent_more: dict[str, bool], has_more: bool
) -> None:
    page = read_page({"data": [MESSAGE, bad], **sent_more})
    assert ([message.id for message in page.data], page.has_more) == (["msg_1"], has_more)


def test_nulls_in_the_objects_of_a_page_are_tolerated() -> None:
    assert ids(read_page({"data": [MESSAGE | {"role": None, "content": None}]})) == ["msg_1"]


OF_RUN = MessagePageKey("thread_1", "run_1", Window(4, "asc"))


@pytest.mark.parametrize(
    ("came", "kept", "read_until"),
    [
        (["run_1", "run_1"], [0, 1], None),
        # Some servers do not say which run wrote a message. Without a sign of the contrary, the filter is believed.
        ([None, "run_1"], [0, 1], None),
        ([None, None], [0, 1], None),
        ([], [], None),
        # Another run's message, or a user's, shows that the server ignores the filter.
        (["run_1", "run_2", None], [0], "msg_2"),
        (["run_2"], [], "msg_0"),
        (["user", "run_1"], [1], "msg_1"),
        (["user", None], [], "msg_1"),
    ],
)
def test_a_page_of_one_run_has_no_other_runs_messages(
    came: list[str | None], kept: list[int], read_until: str | None
) -> None:
    messages: list[dict[str, Any]] = [
        {"id": f"msg_{place}", "created_at": 1, "role": "user"}
        if run == "user"
        else {"id": f"msg_{place}", "created_at": 1, "role": "assistant", "run_id": run}
        for place, run in enumerate(came)
    ]
    found = read_page({"object": "list", "data": messages, "has_more": True}, OF_RUN)
    assert ids(found) == [f"msg_{place}" for place in kept]
    assert (found.read_until, found.has_more) == (read_until, bool(came))
    assert len(read_page({"object": "list", "data": messages}, OF_RUN._replace(run_id=None)).data) == len(came)


def test_message_parts_stay_raw_json() -> None:
    body = MESSAGE | {"content": [{"type": "hologram", "hologram": {"x": 1}}]}
    message = read(GETS[MESSAGES], MessageKey("thread_1", "msg_1"), _bytes(body))
    assert isinstance(message.content[0], msgspec.Raw)


def test_the_error_names_the_expected_and_the_received_content() -> None:
    assert str(UnexpectedReplyError("a", "b")) == "expected a, got b"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        ({"metadata_": {"a": "b"}}, {"a": "b"}),
        ({"metadata_": {"a": "b"}, "metadata": None}, {"a": "b"}),
        ({"metadata_": {"a": "b"}, "metadata": {}}, {}),
        ({"metadata_": None}, None),
        ({"metadata": {"metadata_": "b"}}, {"metadata_": "b"}),
    ],
)
def test_metadata_has_another_name_on_some_servers(sent: dict[str, Any], expected: object) -> None:
    bare = {"id": "thread_1", "created_at": 1}
    thread = read_thread(bare | sent)
    assert isinstance(thread, ThreadObject)
    assert thread.metadata == expected
    (message,) = read_page({"data": [MESSAGE | {"metadata": None} | sent]}).data
    assert message.metadata == expected


def test_a_run_of_another_thread_is_refused() -> None:
    run = {"id": "run_1", "created_at": 1, "object": "thread.run", "status": "queued"}
    key = RunKey("thread_1", "run_1")
    for whole in (run, run | {"thread_id": None}, run | {"thread_id": "thread_1"}):
        assert isinstance(read(GETS[RUNS], key, _bytes(whole)), RunObject)
        assert isinstance(read(WRITES[CREATE_RUN], ThreadKey("thread_1"), _bytes(whole)), RunObject)
    elsewhere = _bytes(run | {"thread_id": "thread_2"})
    for outcome in (read(GETS[RUNS], key, elsewhere), read(WRITES[CREATE_RUN], ThreadKey("thread_1"), elsewhere)):
        assert (
            "expected what is in the thread 'thread_1', got what is in the thread 'thread_2'"
            in refused(outcome).message
        )


def test_a_run_created_with_its_thread_must_have_a_thread_id() -> None:
    run = {"id": "run_1", "created_at": 1, "object": "thread.run", "status": "completed"}
    assert read(WRITES[CREATE_THREAD_AND_RUN], None, _bytes(run | {"thread_id": "thread_9"})).thread_id == "thread_9"
    for nameless in (run, run | {"thread_id": None}, run | {"thread_id": ""}):
        assert (
            "expected a thread.run object with a 'thread_id'"
            in refused(read(WRITES[CREATE_THREAD_AND_RUN], None, _bytes(nameless))).message
        )


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_created_object_has_the_id_that_the_upstream_chose(status: int) -> None:
    made = read(WRITES[CREATE_MESSAGE], ThreadKey("thread_1"), _bytes(MESSAGE | {"id": "65f0c0ffee"}), status)
    assert made.id == "65f0c0ffee"
    assert "kind 'thread.message'" in refused(read(WRITES[CREATE_THREAD], None, _bytes(MESSAGE))).message
    assert "an empty body" in refused(read(WRITES[CREATE_THREAD], None, b"", status)).message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\r\n",
        b"null",
        b"true",
        b"\xef\xbb\xbf{}",
        {"id": "thread_1", "object": "thread.deleted", "deleted": True},
        {"id": "thread_1", "deleted": True},
        {"deleted": True},
        {"success": True},
        {"message": "Deleted.", "error": None},
        THREAD,
    ],
)
def test_a_deletion_is_confirmed_in_many_formats(body: object) -> None:
    assert read(WRITES[DELETE_THREAD], ThreadKey("thread_1"), _bytes(body)) is None


@pytest.mark.parametrize(
    "body",
    [
        {"id": "thread_1", "object": "thread.deleted", "deleted": False},
        {"id": "thread_2", "object": "thread.deleted", "deleted": True},
        {"error": {"message": "no"}},
        b"<html>please log in</html>",
        b'{"id": "thread_1"',
        b"[" * 100_000,
    ],
)
def test_a_response_that_contradicts_a_deletion_is_refused(body: object) -> None:
    assert (
        "expected that the thread with id 'thread_1' is deleted"
        in refused(read(WRITES[DELETE_THREAD], ThreadKey("thread_1"), _bytes(body))).message
    )


@given(st.binary())
def test_any_bytes_confirm_a_deletion_or_do_not(body: bytes) -> None:
    if (outcome := read(WRITES[DELETE_THREAD], ThreadKey("thread_1"), body)) is not None:
        refused(outcome)


def test_half_a_surrogate_pair_is_not_json_and_not_cut_short() -> None:
    body = b'{"id": "thread_1", "object": "thread", "created_at": 1, "metadata": {"a": "\\ud800"}}'
    assert not refused(read(GETS[THREADS], ThreadKey("thread_1"), body)).retryable


@pytest.mark.parametrize("found", ["", "../../x", "a b", "x" * 300])
def test_a_listed_object_with_an_unusable_id_is_refused(found: str) -> None:
    body = _bytes({"object": "list", "data": [MESSAGE | {"id": found}], "has_more": False})
    assert "ids that can stand in a URL's path" in refused(read(LISTS[MESSAGES], PAGE_KEY, body)).message


@pytest.mark.parametrize("body", [["metadata_"], "metadata_", {"data": "metadata_"}, {"data": ["metadata_"]}])
def test_a_misspelt_name_in_a_body_of_another_form_is_refused_like_any_other(body: object) -> None:
    assert "Expected" in refused(read_page(body)).message
