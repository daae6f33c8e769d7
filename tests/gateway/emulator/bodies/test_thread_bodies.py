import pytest
from pydantic import ValidationError

from gateway.emulator.bodies.thread_bodies import MessageV1, MessageV2, ModifyMetadata
from gateway.emulator.objects import Attachment, ImageFilePart, ImageUrlPart, TextPart


def test_parts_of_every_kind_are_converted() -> None:
    body = MessageV2.model_validate_json(
        '{"role":"user","content":[{"type":"text","text":"a"},'
        '{"type":"image_file","image_file":{"file_id":"file-1","detail":"low"}},'
        '{"type":"image_url","image_url":{"url":"https://x"}}]}'
    )
    assert body.content_parts() == (
        TextPart(value="a"),
        ImageFilePart(file_id="file-1", detail="low"),
        ImageUrlPart(url="https://x"),
    )


def test_files_of_the_older_version_may_be_read_by_every_tool() -> None:
    body = MessageV1(role="user", content="x", file_ids=("file-1",))
    assert body.stored_attachments() == (Attachment("file-1", ("code_interpreter", "file_search")),)


def test_attachments_keep_their_tools() -> None:
    body = MessageV2.model_validate_json(
        '{"role":"user","content":"x","attachments":[{"file_id":"file-1","tools":[{"type":"file_search"}]}]}'
    )
    assert body.stored_attachments() == (Attachment("file-1", ("file_search",)),)


def test_the_older_version_takes_text_only() -> None:
    with pytest.raises(ValidationError):
        MessageV1.model_validate_json('{"role":"user","content":[{"type":"text","text":"a"}]}')


def test_missing_metadata_differs_from_empty_metadata() -> None:
    assert ModifyMetadata.model_validate_json("{}").metadata is None
    assert ModifyMetadata.model_validate_json('{"metadata":{}}').metadata == {}
