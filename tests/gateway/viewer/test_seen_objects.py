"""Tests what objects that pass through the gateway become as sightings."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.ledger.sightings import CredentialOwner, RecordKey, SeenMessage, SeenRun, SeenThread, Sighting
from gateway.viewer.seen_objects import (
    seen_in_changes,
    seen_in_read,
    seen_in_write,
    seen_message,
    seen_run,
    usage_from_run,
)
from schema.contract.bodies import MessageBody, ThreadAndRunBody, ThreadBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, RunKey, ThreadKey
from schema.contract.kinds import MessagePageKey, RunPageKey
from schema.contract.paging import Window
from schema.contract.run_events import (
    Change,
    MessageFinishedChange,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
)
from schema.contract.thread_records import TokenUsage
from schema.contract.wire import Page
from schema.graph.from_wire import usage_from_wire
from tests.support.wire_samples import CREATED_AT, assistant, message, run, run_step, thread

ANN = CredentialOwner("ann")
KEY = RecordKey(ANN, "thread_1")
CREATED_MS = CREATED_AT * 1000


def text_part(text: str) -> dict[str, object]:
    return {"type": "text", "text": {"value": text, "annotations": []}}


def read(key: object, result: object) -> list[Sighting]:
    return [seen.sighting for seen in seen_in_read(ANN, key, result, 7)]


def body(*texts: str) -> ThreadBody:
    messages = [
        MessageBody.model_validate({"role": "user", "content": [{"type": "text", "text": text}]}) for text in texts
    ]
    return ThreadBody(messages=messages)


def test_an_object_that_is_read_is_seen_and_others_are_not() -> None:
    assert read(ThreadKey("thread_1"), thread()) == [SeenThread(KEY, 7, CREATED_MS)]
    (seen,) = read(RunKey("thread_1", "run_1"), run(thread_id="thread_1", completed_at=CREATED_AT + 2))
    assert seen == SeenRun(
        KEY, "run_1", "completed", 7, CREATED_MS, ended_at_ms=CREATED_MS + 2000, assistant_id="asst_1"
    )
    assert read(AssistantKey("asst_1"), assistant()) == []
    assert read(ThreadKey("thread_1"), GatewayError(ErrorCode.NOT_FOUND, "no")) == []


@pytest.mark.parametrize(
    ("window", "has_more", "first"),
    [
        (Window(2, "asc"), True, "msg_1"),
        (Window(2, "asc", "msg_0"), False, None),
        (Window(2, "desc"), True, None),
        (Window(2, "desc", "msg_3"), False, "msg_2"),
    ],
)
def test_the_first_message_is_known_where_a_page_surely_holds_it(
    window: Window, has_more: bool, first: str | None
) -> None:
    page = Page([message("msg_1"), message("msg_2")], has_more=has_more)
    seen = read(MessagePageKey("thread_1", None, window), page)
    assert [one.message_id for one in seen if isinstance(one, SeenMessage) and one.is_first] == (
        [first] if first else []
    )
    of_run = read(MessagePageKey("thread_1", "run_1", window), page)
    assert [one for one in of_run if isinstance(one, SeenMessage) and one.is_first] == []


def test_a_page_of_runs_is_seen_in_the_thread_of_its_key() -> None:
    page = Page([run("run_1"), run("run_2", status="queued")])
    seen = list(seen_in_read(ANN, RunPageKey("thread_1", Window(2, "desc")), page, 7))
    assert [(one.sighting.key, one.run.thread_id) for one in seen if one.run] == [(KEY, "thread_1")] * 2


def test_the_text_of_a_message_is_that_of_its_parts_unless_it_is_still_written() -> None:
    def text(**fields: Any) -> str | None:
        sighting = seen_message(ANN, "thread_1", message(**fields), 7).sighting
        assert isinstance(sighting, SeenMessage)
        return sighting.text

    image = {"type": "image_file", "image_file": {"file_id": "file-1"}}
    assert text(content=[text_part("One"), image, text_part("two")]) == "One\ntwo"
    assert text(content=[image]) == ""
    assert text(content="A bare string") == "A bare string"
    assert text(content=["garbage", text_part("fine")]) == "fine"
    assert text(content=[text_part("Half")], status="in_progress") is None
    assert text(content=None) is None
    assert len(text(content="x" * 200_000) or "") == 100_000


def test_a_thread_is_created_with_the_text_of_its_first_message() -> None:
    (seen,) = seen_in_write(ANN, None, body("First", "Second"), thread(), 7)
    assert seen.sighting == SeenThread(KEY, 7, CREATED_MS, opening="First")
    (seen,) = seen_in_write(ANN, None, ThreadBody(), thread(), 7)
    assert seen.sighting == SeenThread(KEY, 7, CREATED_MS)
    started = ThreadAndRunBody(assistant_id="asst_1", thread=body("First"))
    created, ran = seen_in_write(ANN, None, started, run(thread_id="thread_1", status="queued"), 7)
    assert created.sighting == SeenThread(KEY, 7, CREATED_MS, opening="First")
    assert isinstance(ran.sighting, SeenRun)
    assert list(seen_in_write(ANN, None, started, run(thread_id=None), 7)) == []


def test_a_write_within_a_thread_is_seen_as_a_read_is() -> None:
    (seen,) = seen_in_write(ANN, ThreadKey("thread_1"), None, message(content="Hi"), 7)
    assert seen.sighting == SeenMessage(KEY, "msg_1", 7, CREATED_MS, text="Hi")
    (seen,) = seen_in_write(ANN, RunKey("thread_1", "run_1"), None, run(status="cancelling"), 7)
    assert isinstance(seen.sighting, SeenRun)
    assert seen.sighting.status == "cancelling"
    assert list(seen_in_write(ANN, MessageKey("thread_1", "msg_1"), None, assistant(), 7)) == []


def test_changes_of_a_run_bring_its_statuses_and_its_messages() -> None:
    changes: list[Change] = [
        SnapshotChange(run(status="queued"), [run_step()], [message("msg_0", content="So far")]),
        TextDeltaChange("msg_1", 0, "Hal"),
        StepChange(run_step()),
        MessageFinishedChange(message("msg_1", content="Hallo")),
        StatusChange(run(status="completed")),
    ]
    seen = [each.sighting for each in seen_in_changes(ANN, RunKey("thread_1", "run_1"), changes, 7)]
    assert [one.text for one in seen if isinstance(one, SeenMessage)] == ["So far", "Hallo"]
    assert [one.status for one in seen if isinstance(one, SeenRun)] == ["queued", "completed"]
    baseline: list[Change] = [SnapshotChange(run("", created_at=0), [], [message("msg_1", content=None)])]
    (only,) = seen_in_changes(ANN, ThreadKey("thread_1"), baseline, 7)
    assert only.sighting == SeenMessage(KEY, "msg_1", 7, CREATED_MS)


@pytest.mark.parametrize(
    ("status", "fields", "ended_at"),
    [
        ("completed", {"completed_at": 5}, 5000),
        ("failed", {"failed_at": 6.5}, 6500),
        ("cancelled", {"cancelled_at": 7, "completed_at": None}, 7000),
        ("expired", {"expires_at": 8}, 8000),
        ("incomplete", {}, None),
        ("in_progress", {"completed_at": 5}, None),
    ],
)
def test_a_run_ends_when_the_upstream_says_so(status: str, fields: dict[str, Any], ended_at: int | None) -> None:
    sighting = seen_run(ANN, "thread_1", run(status=status, **fields), 9).sighting
    assert isinstance(sighting, SeenRun)
    assert sighting.ended_at_ms == ended_at


USAGES = [
    None,
    {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    {"prompt_tokens": 1, "total_tokens": 3, "prompt_token_details": {"cached_tokens": 4}},
    {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {}},
    {"completion_tokens": 2, "completion_tokens_details": {"reasoning_tokens": 5}},
    {"prompt_tokens": "6", "total_tokens": 7.0},
    {"prompt_tokens": "many", "total_tokens": 3},
    {"prompt_tokens": None},
    {},
    "none",
    [1],
]


@pytest.mark.parametrize("usage", USAGES)
def test_the_usage_that_is_kept_is_the_one_that_the_graph_shows(usage: object) -> None:
    kept, shown = usage_from_run(run(usage=usage)), usage_from_wire(usage)
    if shown is None:
        assert kept is None
    else:
        assert kept == TokenUsage(
            shown.prompt_tokens,
            shown.completion_tokens,
            shown.total_tokens,
            shown.cached_tokens,
            shown.reasoning_tokens,
        )


def test_a_body_without_content_is_refused_before() -> None:
    with pytest.raises(ValidationError):
        MessageBody(role="user", content=[])
