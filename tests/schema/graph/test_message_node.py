"""The fields of a message as servers send it, through the real schema."""

from typing import Any

from schema.contract.keys import MessageKey, to_file_id, to_global_id
from schema.contract.wire import MessageObject
from tests.schema.builders import THREAD, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import message, thread

MESSAGE = MessageKey("thread_1", "msg_1")


async def message_with(selection: str, sent: MessageObject) -> Any:
    api = FakeThreadsApi(threads={THREAD: thread()}, messages={MESSAGE: sent})
    document = f"query ($id: ID!) {{ message(id: $id) {{ {selection} }} }}"
    return (await query_data(api, document, {"id": to_global_id(MESSAGE)}))["message"]


async def test_a_message_read_by_rest_has_no_status_fields() -> None:
    selection = """
        role status incompleteReason completedAt incompleteAt text content { __typename } attachments { fileId }
        assistant { upstreamId } run { upstreamId } metadata fileIds
    """
    assert await message_with(selection, message()) == {
        "role": "USER",
        "status": None,
        "incompleteReason": None,
        "completedAt": None,
        "incompleteAt": None,
        "text": "",
        "content": [],
        "attachments": [],
        "assistant": None,
        "run": None,
        "metadata": {},
        "fileIds": [],
    }


async def test_a_message_of_another_server() -> None:
    sent = message(
        created_at=1795329859.5,
        role="tool",
        status="incomplete",
        incomplete_details={"reason": "max_tokens"},
        incomplete_at=1795329859.0,
        content="a bare string",
        attachments=[{"file_id": "file-1", "tools": [{"type": "brand_new"}]}],
        metadata={"count": 1},
        file_ids=["file-1"],
        surprise=True,
    )
    selection = """
        createdAt role status incompleteReason incompleteAt text content { ... on TextContent { text } }
        attachments { fileId tools } metadata fileIds
    """
    assert await message_with(selection, sent) == {
        "createdAt": "2026-11-22T06:44:19.500Z",
        "role": "UNRECOGNIZED",
        "status": "INCOMPLETE",
        "incompleteReason": "max_tokens",
        "incompleteAt": "2026-11-22T06:44:19Z",
        "text": "a bare string",
        "content": [{"text": "a bare string"}],
        "attachments": [{"fileId": to_file_id("file-1"), "tools": ["UNRECOGNIZED"]}],
        "metadata": {"count": "1"},
        "fileIds": [to_file_id("file-1")],
    }


async def test_content_of_every_kind_and_of_none() -> None:
    selection = """
        content {
            __typename
            ... on TextContent { text annotations { __typename ... on UnknownAnnotation { type raw } } }
            ... on ImageFileContent { fileId detail }
            ... on UnknownContent { type raw }
        }
    """
    link = {"type": "url_citation", "url_citation": {"url": "https://x.test"}}
    sent = message(
        content=[
            {"type": "text", "text": {"value": "é🙂", "annotations": [link]}},
            {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "huge"}},
            {"type": "hologram", "hologram": [1]},
            None,
        ]
    )
    unknown_link = {"__typename": "UnknownAnnotation", "type": "url_citation", "raw": link}
    assert (await message_with(selection, sent))["content"] == [
        {"__typename": "TextContent", "text": "é🙂", "annotations": [unknown_link]},
        {"__typename": "ImageFileContent", "fileId": to_file_id("file-1"), "detail": "UNRECOGNIZED"},
        {"__typename": "UnknownContent", "type": "hologram", "raw": {"type": "hologram", "hologram": [1]}},
        {"__typename": "UnknownContent", "type": "", "raw": {}},
    ]
