"""Parts of items in the form of the Threads API."""

from typing import Any

import pytest
from msgspec import Raw, json

from gateway.upstream.responses.item_parts import (
    annotation_from_item,
    attachments_from_item,
    call_from_item,
    content_from_item,
)
from gateway.upstream.responses.response_wire import ITEM_DECODER


def raw(value: Any) -> Raw:
    return Raw(json.encode(value))


def content_of(*parts: Any) -> list[Any]:
    item = ITEM_DECODER.decode(raw({"type": "message", "id": "msg_1", "role": "user", "content": list(parts)}))
    return [json.decode(part) for part in content_from_item(item)]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_text", "text": "Hi"}, {"type": "text", "text": {"value": "Hi", "annotations": []}}),
        (
            {
                "type": "output_text",
                "text": "Hi",
                "annotations": [{"type": "file_citation", "file_id": "file-1", "filename": "a.md", "index": 2}],
                "logprobs": [],
            },
            {
                "type": "text",
                "text": {
                    "value": "Hi",
                    "annotations": [
                        {
                            "type": "file_citation",
                            "text": "",
                            "start_index": 2,
                            "end_index": 2,
                            "file_citation": {"file_id": "file-1"},
                        }
                    ],
                },
            },
        ),
        ({"type": "refusal", "refusal": "No."}, {"type": "refusal", "refusal": "No."}),
        (
            {"type": "input_image", "file_id": "file-1", "image_url": None, "detail": "low"},
            {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "low"}},
        ),
        (
            {"type": "input_image", "image_url": "https://example.com/a"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a", "detail": None}},
        ),
        ({"type": "input_image"}, {"type": "input_image"}),
        ({"type": "hologram", "depth": [1]}, {"type": "hologram", "depth": [1]}),
        ({"type": "output_text", "text": 5}, {"type": "output_text", "text": 5}),
        ("bare", "bare"),
    ],
)
def test_a_part_of_content_has_its_form_in_a_thread(part: Any, expected: Any) -> None:
    assert content_of(part) == [expected]


def test_files_are_attachments_and_no_content() -> None:
    parts = [{"type": "input_file", "file_id": "file-1"}, {"type": "input_file", "file_url": "https://example.com"}]
    assert content_of(*parts) == []
    item = ITEM_DECODER.decode(raw({"type": "message", "content": parts}))
    assert [json.decode(one) for one in attachments_from_item(item)] == [{"file_id": "file-1", "tools": []}]


@pytest.mark.parametrize("content", ["Hi", None])
def test_content_may_be_a_text_or_null(content: Any) -> None:
    item = ITEM_DECODER.decode(raw({"type": "message", "content": content}))
    shown = [json.decode(part)["text"]["value"] for part in content_from_item(item)]
    assert shown == ([] if content is None else [content])
    assert attachments_from_item(item) == []


def test_a_file_of_a_container_is_a_path_with_its_text() -> None:
    note = {"type": "container_file_citation", "file_id": "file-1", "start_index": 4, "end_index": 8}
    assert annotation_from_item(note, "See a.md!") == {
        "type": "file_path",
        "text": "a.md",
        "start_index": 4,
        "end_index": 8,
        "file_path": {"file_id": "file-1"},
    }
    assert annotation_from_item({**note, "end_index": None}, "See")["text"] == ""
    web = {"type": "url_citation", "url": "https://example.com", "title": "t"}
    assert annotation_from_item(web, "See") == web


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}", "output": "out"}},
        ),
        (
            {"type": "custom_tool_call", "call_id": "call_1", "name": "sql", "input": "SELECT 1"},
            {"id": "call_1", "type": "function", "function": {"name": "sql", "arguments": "SELECT 1", "output": "out"}},
        ),
        (
            {
                "type": "code_interpreter_call",
                "id": "ci_1",
                "code": "1",
                "outputs": [
                    {"type": "logs", "logs": "1"},
                    {"type": "image", "url": "http://host/v1/files/file-1/content"},
                    {"type": "image", "url": "data:image/png;base64,"},
                ],
            },
            {
                "id": "ci_1",
                "type": "code_interpreter",
                "code_interpreter": {
                    "input": "1",
                    "outputs": [
                        {"type": "logs", "logs": "1"},
                        {"type": "image", "image": {"file_id": "file-1"}},
                        {"type": "image", "url": "data:image/png;base64,"},
                    ],
                },
            },
        ),
        (
            {"type": "code_interpreter_call", "id": "ci_1", "code": None, "outputs": None},
            {"id": "ci_1", "type": "code_interpreter", "code_interpreter": {"input": "", "outputs": []}},
        ),
        (
            {
                "type": "file_search_call",
                "id": "fs_1",
                "results": [{"file_id": "file-1", "filename": "a.md", "score": 0.5, "text": "t", "attributes": {}}, {}],
            },
            {
                "id": "fs_1",
                "type": "file_search",
                "file_search": {
                    "results": [
                        {
                            "file_id": "file-1",
                            "file_name": "a.md",
                            "score": 0.5,
                            "attributes": {},
                            "content": [{"type": "text", "text": "t"}],
                        },
                        dict.fromkeys(("file_id", "file_name", "score", "attributes", "content")),
                    ]
                },
            },
        ),
        (
            {"type": "mcp_call", "id": "mcp_1", "name": "s", "arguments": "{}", "server_label": "docs", "output": "o"},
            {"id": "mcp_1", "type": "mcp", "name": "s", "arguments": "{}", "server_label": "docs", "output": "o"},
        ),
        (
            {"type": "web_search_call", "id": "ws_1", "action": {}},
            {"type": "web_search_call", "id": "ws_1", "action": {}},
        ),
    ],
)
def test_an_item_is_a_call_of_a_step(item: Any, expected: Any) -> None:
    assert call_from_item(ITEM_DECODER.decode(raw(item)), raw(item), "out") == expected
