"""A field that cannot be read costs only itself, and is logged once, without its content."""

import logging
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from schema.contract.tolerant_decoder import TolerantDecoder, parse_raw
from schema.contract.wire import MessageObject, RunObject, ThreadObject, TruncationObject
from schema.contract.wire_parts import (
    AttachmentObject,
    ContentPartObject,
    KindObject,
    ToolResourcesObject,
    VectorStoreIdsObject,
)

SENT: dict[str, Any] = {"id": "x_1", "created_at": 5, "metadata": {"a": "b"}}


def decode(wire_type: type[Any], **fields: object) -> Any:
    return TolerantDecoder(wire_type, "sample").decode(msgspec.json.encode(SENT | fields))


@pytest.mark.parametrize(
    ("wire_type", "name", "sent", "shown"),
    [
        (ThreadObject, "metadata", [], None),
        (ToolResourcesObject, "code_interpreter", [], None),
        (ToolResourcesObject, "file_search", {"vector_store_ids": {}}, VectorStoreIdsObject([])),
        (MessageObject, "attachments", {}, []),
        (AttachmentObject, "tools", {}, []),
        (AttachmentObject, "tools", "file_search", None),
        (
            AttachmentObject,
            "tools",
            [{"type": None}, "file_search", {"type": "x"}, 7],
            [KindObject(), KindObject(), KindObject("x"), KindObject()],
        ),
        (MessageObject, "file_ids", ["f", 7, None], ["f"]),
        (RunObject, "last_error", "boom", None),
        (RunObject, "temperature", "0.5", None),
        (RunObject, "incomplete_details", "max", None),
        (RunObject, "truncation_strategy", {"type": None, "last_messages": "5"}, TruncationObject()),
        (RunObject, "status", 7, ""),
        (RunObject, "created_at", "x", 0),
        (RunObject, "metadata", {"a": 1, "b": None}, {"a": 1, "b": None}),
    ],
)
def test_a_bad_field_becomes_its_default_and_all_others_stay(
    wire_type: type[Any], name: str, sent: object, shown: object
) -> None:
    decoded = decode(wire_type, **{name: sent})
    known = {other: value for other, value in SENT.items() if hasattr(decoded, other)} | {name: shown}
    assert {other: getattr(decoded, other) for other in known} == known


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({}, []),
        ("", []),
        (7, [7]),
        ("web_search", ["web_search"]),
        ({"type": "function"}, [{"type": "function"}]),
        (["file_search", None], ["file_search", None]),
    ],
)
def test_raw_parts_that_are_no_list_keep_their_json(sent: object, shown: object) -> None:
    assert [msgspec.json.decode(part) for part in decode(RunObject, tools=sent).tools] == shown


def test_raw_parts_keep_their_exact_text() -> None:
    body = b'{"id": "x_1", "created_at": null, "content": [{"b" : 1.50,  "a": [ ]}]}'
    content = TolerantDecoder(MessageObject, "sample").decode(body).content
    assert isinstance(content, list)
    assert bytes(content[0]) == b'{"b" : 1.50,  "a": [ ]}'


@pytest.mark.parametrize("body", [b"[]", b"7", b'{"created_at": 5}', b'{"id": null}'])
def test_an_object_without_an_id_is_refused_with_the_reason(body: bytes) -> None:
    with pytest.raises(msgspec.ValidationError, match=r"Expected `(object|str)`|missing required field `id`"):
        TolerantDecoder(ThreadObject, "sample").decode(body)


def test_a_number_that_no_float_can_hold_costs_only_itself() -> None:
    body = b'{"id": "x_1", "created_at": 1e400, "metadata": {"a": 1e400, "b": "kept"}}'
    assert TolerantDecoder(ThreadObject, "sample").decode(body) == ThreadObject("x_1", metadata={"b": "kept"})


def test_each_bad_field_is_logged_once_with_its_path_and_no_content(caplog: pytest.LogCaptureFixture) -> None:
    decoder = TolerantDecoder(RunObject, "thread.run")
    sent = SENT | {"metadata": ["secret"], "truncation_strategy": {"type": 7}, "status": None}
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            decoder.decode(msgspec.json.encode(sent))
    assert caplog.messages == [
        "The field 'truncation_strategy.type' of a thread.run could not be read and is left out: it was a number.",
        "The field 'metadata' of a thread.run could not be read and is left out: it was a list.",
    ]


@pytest.mark.parametrize(
    ("raw", "parsed"),
    [
        (b'{"a": [1, null]}', {"a": [1, None]}),
        (b'{"a": "caf\xc3"}', {"a": "caf\ufffd"}),
        (b'{"a": "smile \\ud83d"}', {"a": "smile \ufffd"}),
        (b'{"a": 1e400}', {"a": None}),
        (b'{"a": "\\q"}', '{"a": "\\q"}'),
        (b"[" * 2_000 + b"]" * 2_000, "[" * 2_000 + "]" * 2_000),
    ],
)
def test_a_raw_part_with_bad_characters_is_parsed_all_the_same(raw: bytes, parsed: object) -> None:
    assert parse_raw(Raw(raw)) == parsed


def test_a_text_that_was_cut_within_a_character_is_shown() -> None:
    decoder = TolerantDecoder(ContentPartObject, "content part")
    part = decoder.decode_part(Raw(b'{"type": "text", "text": "caf\xc3"}'))
    assert part == ContentPartObject(type="text", text="caf\ufffd")
    assert decoder.decode_part(Raw(b'"\\q"')) is None


def test_a_part_that_is_nested_too_deep_has_no_known_shape() -> None:
    nested = b'{"type": "text", "text": ' + b"[" * 2_000 + b"]" * 2_000 + b"}"
    assert TolerantDecoder(ContentPartObject, "content part").decode_part(Raw(nested)) is None
