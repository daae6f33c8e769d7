"""Messages as they are created again at another upstream."""

from typing import Any

import pytest

from gateway.copying.message_plan import Loss, MessageRules, losses_of_thread, plan_message
from schema.contract.bodies import MAX_CONTENT_LENGTH
from tests.support.wire_samples import message, thread

EVERYTHING = MessageRules(keeps_times=True)
SUCCESSOR = MessageRules(takes_metadata=False, takes_searched_files=False, takes_answered_files=False, keeps_times=True)
TEXT = {"type": "text", "text": {"value": "Hello", "annotations": []}}
IMAGE = {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}}
LOST_IMAGE = {"type": "image_file", "image_file": {"file_id": "file-9"}}
SAME_FILES = {f"file-{name}": f"file-{name}" for name in "123"}


def copied(
    rules: MessageRules, new_ids: dict[str, str | None] | None = None, **fields: Any
) -> tuple[Any, dict[str, int]]:
    """Return the body of a message that is copied, and what is lost."""
    files: dict[str, str | None] = {**SAME_FILES} if new_ids is None else new_ids
    body, losses = plan_message(message(**fields), rules).to_body(files)
    return None if body is None else body.to_wire(), {loss.name: count for loss, count in losses.items()}


def test_text_images_and_metadata_come_along_in_order() -> None:
    url = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "huge"}}
    body, losses = copied(EVERYTHING, role="user", content=[IMAGE, TEXT, url, "plain"], metadata={"a": "b"})
    assert body == {
        "role": "user",
        "content": [
            {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}},
            {"type": "text", "text": "Hello"},
            {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}},
        ],
        "metadata": {"a": "b"},
    }
    assert losses == {"UNKNOWN_PARTS": 1}


def test_files_get_their_new_ids() -> None:
    attachments = [{"file_id": "file-2", "tools": [{"type": "code_interpreter"}]}, {"file_id": "file-3", "tools": []}]
    new_ids = {"file-1": "file-new", "file-2": "file-b", "file-3": None}
    body, losses = copied(EVERYTHING, new_ids, content=[TEXT, IMAGE], attachments=attachments)
    assert body["content"][1]["image_file"]["file_id"] == "file-new"
    assert body["attachments"] == [{"file_id": "file-b", "tools": [{"type": "code_interpreter"}]}]
    assert losses == {"UNREADABLE_FILES": 1}


def test_the_successor_has_no_place_for_metadata_and_for_files_to_search() -> None:
    attachments = [
        {"file_id": "file-1", "tools": [{"type": "file_search"}]},
        {"file_id": "file-2", "tools": [{"type": "file_search"}, {"type": "code_interpreter"}]},
    ]
    body, losses = copied(SUCCESSOR, content=[TEXT], attachments=attachments, metadata={"a": "b"})
    assert body["attachments"] == [{"file_id": "file-2", "tools": [{"type": "code_interpreter"}]}]
    assert "metadata" not in body
    assert losses == {"METADATA": 1, "SEARCHED_FILES": 2}


def test_an_assistants_message_keeps_its_text_alone_at_the_successor() -> None:
    body, losses = copied(SUCCESSOR, role="assistant", content=[TEXT, IMAGE], attachments=[{"file_id": "file-1"}])
    assert body == {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]}
    assert losses == {"ANSWERED_FILES": 2}


def test_citations_are_counted_and_refusals_become_text() -> None:
    cited = {"type": "text", "text": {"value": "See 1", "annotations": [{"type": "file_citation"}, {}]}}
    refusal = {"type": "refusal", "refusal": "No."}
    body, losses = copied(EVERYTHING, role="assistant", content=[cited, refusal])
    assert [part["text"] for part in body["content"]] == ["See 1", "No."]
    assert losses == {"CITATIONS": 2}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"content": []}, {"EMPTY_MESSAGES": 1}),
        ({"content": ""}, {"EMPTY_MESSAGES": 1}),
        ({"content": [{"type": "text", "text": {"value": ""}}]}, {"EMPTY_MESSAGES": 1}),
        ({"content": [LOST_IMAGE]}, {"UNREADABLE_FILES": 1, "EMPTY_MESSAGES": 1}),
        ({"role": "critic", "content": "Hm"}, {"UNKNOWN_PARTS": 1, "EMPTY_MESSAGES": 1}),
    ],
)
def test_a_message_of_which_nothing_is_left_is_left_out(fields: dict[str, Any], expected: dict[str, int]) -> None:
    assert copied(EVERYTHING, **fields) == (None, expected)


def test_a_text_that_is_too_long_for_one_part_is_cut_and_not_shortened() -> None:
    text = "x" * (2 * MAX_CONTENT_LENGTH + 1)
    body, _ = copied(EVERYTHING, content=text)
    assert [len(part["text"]) for part in body["content"]] == [MAX_CONTENT_LENGTH, MAX_CONTENT_LENGTH, 1]


def test_files_of_version_1_are_attached_for_any_tool_that_reads_them() -> None:
    body, _ = copied(EVERYTHING, content="Look", file_ids=["file-1"])
    assert body["attachments"] == [{"file_id": "file-1", "tools": [{"type": "code_interpreter"}]}]


def test_what_no_request_may_hold_is_left_out() -> None:
    content = [TEXT, {"type": "image_file", "image_file": {"file_id": "x" * 300}}]
    metadata = {"key": "x" * 600}
    attachments = [{"file_id": "no id/at all"}]
    body, losses = copied(EVERYTHING, content=content, metadata=metadata, attachments=attachments)
    assert body == {"role": "user", "content": [{"type": "text", "text": "Hello"}]}
    assert losses == {"UNKNOWN_PARTS": 1, "METADATA": 1}


def test_times_are_lost_where_nobody_keeps_them() -> None:
    assert copied(MessageRules(), content="Hi")[1] == {"TIMES": 1}


def test_the_resources_of_a_thread_are_counted() -> None:
    resources = {"code_interpreter": {"file_ids": ["file-1"]}, "file_search": {"vector_store_ids": ["vs_1"]}}
    assert losses_of_thread(thread(tool_resources=resources)) == {Loss.TOOL_RESOURCES: 2}
    assert losses_of_thread(thread(tool_resources={"code_interpreter": {"file_ids": []}})) == {}
    assert losses_of_thread(thread()) == {}
