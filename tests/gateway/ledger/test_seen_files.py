"""Tests which files of an object or a change were made by a run."""

from typing import Any

import msgspec
import pytest

from gateway.ledger.seen_files import find_files_made_in_changes, find_made_files
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import (
    Change,
    FaultChange,
    LaggedChange,
    MessageCreatedChange,
    MessageFinishedChange,
    SnapshotChange,
    StatusChange,
    StepChange,
    TextDeltaChange,
    ToolCallDeltaChange,
)
from schema.contract.wire import Page
from tests.support.wire_samples import message, run, run_step, thread

PATH = {"type": "file_path", "text": "it", "file_path": {"file_id": "file-path"}}
CITATION = {"type": "file_citation", "text": "it", "file_citation": {"file_id": "file-cited"}}
CONTENT: list[Any] = [
    {"type": "image_file", "image_file": {"file_id": "file-image"}},
    {"type": "text", "text": {"value": "See it.", "annotations": [CITATION, PATH]}},
    {"type": "image_url", "image_url": {"url": "https://images.test/file_id"}},
    {"type": "unheard_of", "file_id": "file-unheard-of"},
]
ATTACHMENTS = [
    {"file_id": "file-code", "tools": [{"type": "code_interpreter"}]},
    {"file_id": "file-search", "tools": [{"type": "file_search"}]},
    {"file_id": "file-no-tool"},
    {"other": "source"},
]
ANSWER = message(role="assistant", run_id="run_1", content=CONTENT, attachments=ATTACHMENTS)
MADE = ["file-image", "file-path", "file-code"]
CALLS: list[Any] = [
    {"type": "function", "function": {"name": "f", "arguments": '{"file_id": "file-argument"}'}},
    {"type": "file_search", "file_search": {"results": [{"file_id": "file-found"}]}},
    {
        "type": "code_interpreter",
        "code_interpreter": {
            "input": "file_id",
            "outputs": [{"type": "logs", "logs": "file_id"}, {"type": "image", "image": {"file_id": "file-drawn"}}],
        },
    },
]
STEP = run_step(step_details={"type": "tool_calls", "tool_calls": CALLS})


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def test_a_message_of_a_run_has_images_paths_and_what_its_code_attached() -> None:
    assert list(find_made_files(ANSWER)) == MADE
    assert list(find_made_files(Page([ANSWER, message(), ANSWER]))) == MADE * 2


@pytest.mark.parametrize(
    "fields", [{"role": "assistant"}, {"role": "user"}, {"role": "user", "run_id": "run_1"}], ids=str
)
def test_what_a_person_put_into_a_message_was_not_made(fields: dict[str, Any]) -> None:
    """Those that are added with a run may name the run."""
    assert list(find_made_files(message(content=CONTENT, attachments=ATTACHMENTS, **fields))) == []


@pytest.mark.parametrize(
    "content",
    [None, "file_id", [], ["file_id"], [{"type": "text", "text": "file_id"}], [{"type": "image_file", "file_id": "x"}]],
    ids=repr,
)
def test_content_without_files_has_none(content: Any) -> None:
    assert list(find_made_files(message(role="assistant", run_id="run_1", content=content))) == []


def test_a_step_has_the_images_of_its_code() -> None:
    assert list(find_made_files(STEP)) == ["file-drawn"]
    for details in (None, "file_id", {"type": "message_creation", "message_creation": {"message_id": "file_id"}}):
        assert list(find_made_files(run_step(step_details=details))) == []


def test_other_results_have_none() -> None:
    for result in (thread(), run(), None, GatewayError(ErrorCode.NOT_FOUND, "file_id")):
        assert list(find_made_files(result)) == []


@pytest.mark.parametrize(
    ("change", "made"),
    [
        (SnapshotChange(run(), [STEP], [ANSWER]), [*MADE, "file-drawn"]),
        (StepChange(STEP), ["file-drawn"]),
        (MessageCreatedChange(ANSWER), MADE),
        (MessageFinishedChange(ANSWER), MADE),
        (MessageFinishedChange(message(content=CONTENT)), []),
        (TextDeltaChange("msg_1", 0, "it", [raw(CITATION), raw(PATH)]), ["file-path"]),
        (TextDeltaChange("msg_1", 0, "it"), []),
        (StatusChange(run()), []),
        (ToolCallDeltaChange("step_1", 0, code="file_id"), []),
        (FaultChange("code", "file_id"), []),
        (LaggedChange(1), []),
    ],
    ids=lambda value: type(value).__name__,
)
def test_changes_have_the_files_of_their_objects(change: Change, made: list[str]) -> None:
    assert list(find_files_made_in_changes([change])) == made
