"""The calls that wait for an approval, as Azure AI Foundry sends them."""

import pytest

from schema.graph.fallback_types import UnknownRequiredAction
from schema.graph.from_wire import required_action_from_wire
from schema.graph.leaf_types import McpToolCall, SubmitToolApprovalAction
from schema.graph.scalars import JSON
from tests.support.wire_samples import raw

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
