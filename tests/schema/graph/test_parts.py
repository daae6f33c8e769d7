"""Parts of objects as servers send them: attachments, tool resources, approvals and parts of unknown kinds."""

import pytest

from schema.contract.wire_parts import ToolCallObject
from schema.graph.enums import AttachmentTool
from schema.graph.fallback_types import UnknownAttachmentSource, UnknownRequiredAction, UnknownToolResource
from schema.graph.from_wire import attachments_from_wire, required_action_from_wire, tool_resources_from_wire
from schema.graph.leaf_types import Attachment, McpToolCall, SubmitToolApprovalAction, ToolResources
from schema.graph.lenient_parts import part_kind, unknown_part
from schema.graph.scalars import JSON, global_file_ids
from tests.support.wire_samples import decoded, message, raw


def test_attachments() -> None:
    sent = message(
        attachments=[{"file_id": "f", "tools": [{"type": "file_search"}, {"type": "new"}, {}]}, {"tools": None}]
    )
    assert attachments_from_wire(sent.attachments) == [
        Attachment(
            upstream_file_id="f",
            tools=[AttachmentTool.FILE_SEARCH, AttachmentTool.UNRECOGNIZED, AttachmentTool.UNRECOGNIZED],
            other_source=None,
        ),
        Attachment(upstream_file_id=None, tools=[], other_source=None),
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
    assert made == Attachment(
        upstream_file_id=None, tools=[], other_source=UnknownAttachmentSource(type=kind, raw=JSON(source))
    )


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        ({"type": "browser", "function": {}}, "browser"),
        ({"function": {}}, "function"),
        ({"function": None, "file_search": {}}, "file_search"),
        ({"function": {}, "file_search": {}}, ""),
        ({}, ""),
    ],
)
def test_a_part_without_a_kind_is_of_the_kind_that_its_only_known_field_tells(sent: object, kind: str) -> None:
    assert part_kind(decoded(ToolCallObject, sent), "function", "file_search") == kind
    assert part_kind(None, "function") == ""


@pytest.mark.parametrize(
    ("sent", "kind"),
    [({"type": "new", "a": [1, {"b": None}]}, "new"), ({"type": 5}, ""), ({}, ""), ("text", ""), (5, "")],
)
def test_an_unknown_part_keeps_its_json(sent: object, kind: str) -> None:
    assert unknown_part(raw(sent)) == (kind, sent)


def test_a_null_part_is_an_empty_object_since_its_json_is_never_null_in_the_graph() -> None:
    assert unknown_part(raw(None)) == ("", JSON({}))


APPROVAL = {"id": "call_1", "type": "mcp", "name": "search", "arguments": "{}", "server_label": "docs"}


@pytest.mark.parametrize(
    ("call", "made"),
    [
        (APPROVAL, McpToolCall(call_id="call_1", name="search", arguments="{}", server_label="docs")),
        (
            APPROVAL | {"arguments": {"a": 1}, "name": None},
            McpToolCall(call_id="call_1", name="", arguments='{"a":1}', server_label="docs"),
        ),
        ({"id": "call_1"}, McpToolCall(call_id="call_1", name="", arguments="", server_label=None)),
    ],
)
def test_an_approval_is_typed(call: dict[str, object], made: McpToolCall) -> None:
    for action in ({"type": "submit_tool_approval"}, {}):
        sent = raw({**action, "submit_tool_approval": {"tool_calls": [call]}})
        assert required_action_from_wire(sent) == SubmitToolApprovalAction(tool_calls=[made])


@pytest.mark.parametrize("call", [{"type": "mcp"}, APPROVAL | {"type": "openapi"}, "call_1"])
def test_an_approval_of_what_cannot_be_answered_keeps_its_json(call: object) -> None:
    action = {"type": "submit_tool_approval", "submit_tool_approval": {"tool_calls": [APPROVAL, call]}}
    assert required_action_from_wire(raw(action)) == UnknownRequiredAction(
        type="submit_tool_approval", raw=JSON(action)
    )
