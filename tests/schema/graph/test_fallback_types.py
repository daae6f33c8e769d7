"""Attachments and tool resources as servers send them, those of unknown kinds included."""

import pytest

from schema.graph.enums import AttachmentTool
from schema.graph.fallback_types import UnknownAttachmentSource, UnknownToolResource
from schema.graph.from_wire import attachments_from_wire, tool_resources_from_wire
from schema.graph.leaf_types import Attachment, ToolResources
from schema.graph.scalars import JSON, global_file_id, global_file_ids
from tests.support.wire_samples import message, raw


def test_attachments() -> None:
    sent = message(
        attachments=[{"file_id": "f", "tools": [{"type": "file_search"}, {"type": "new"}, {}]}, {"tools": None}]
    )
    assert attachments_from_wire(sent.attachments) == [
        Attachment(
            file_id=global_file_id("f"),
            tools=[AttachmentTool.FILE_SEARCH, AttachmentTool.UNRECOGNIZED, AttachmentTool.UNRECOGNIZED],
            other_source=None,
        ),
        Attachment(file_id=None, tools=[], other_source=None),
    ]
    assert attachments_from_wire(message(attachments=None).attachments) == []


@pytest.mark.parametrize(
    ("sent", "files", "stores"),
    [
        ({}, [], []),
        ({"code_interpreter": None, "file_search": {"vector_store_ids": None}}, [], []),
        ({"code_interpreter": {"file_ids": ["f"]}, "file_search": {"vector_store_ids": ["v"]}}, ["f"], ["v"]),
    ],
)
def test_tool_resources(sent: object, files: list[str], stores: list[str]) -> None:
    made = tool_resources_from_wire(raw(sent))
    assert made == ToolResources(code_interpreter_file_ids=global_file_ids(files), vector_store_ids=stores, other=[])
    assert tool_resources_from_wire(raw(None)) is None


def test_tool_resources_of_unknown_kinds_keep_their_json() -> None:
    search = {"indexes": [{"index_connection_id": "c", "top_k": 5}]}
    made = tool_resources_from_wire(raw({"azure_ai_search": search, "mcp": [{"server_label": "s"}], "new": None}))
    assert made is not None
    assert made.other == [
        UnknownToolResource(type="azure_ai_search", raw=JSON(search)),
        UnknownToolResource(type="mcp", raw=JSON([{"server_label": "s"}])),
    ]


@pytest.mark.parametrize(
    ("sent", "kind", "source"),
    [
        ({"data_source": {"type": "uri_asset", "uri": "u"}}, "data_source", {"type": "uri_asset", "uri": "u"}),
        ({"file_id": None, "a": 1, "b": 2}, "", {"a": 1, "b": 2}),
        ("file-1", "", "file-1"),
        (7, "", 7),
    ],
)
def test_a_source_of_an_attachment_that_is_no_file_keeps_its_json(sent: object, kind: str, source: object) -> None:
    (made,) = attachments_from_wire(message(attachments=[sent]).attachments)
    assert made == Attachment(file_id=None, tools=[], other_source=UnknownAttachmentSource(type=kind, raw=JSON(source)))
