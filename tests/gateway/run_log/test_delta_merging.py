"""A snapshot in the middle of a run shows the kinds of parts and calls that the complete object will have."""

from typing import Any

import pytest

from gateway.run_log.delta_merging import merge_delta, merge_items
from gateway.run_log.run_state import RunState
from gateway.run_log.stream_diff import diff_stream_event
from schema.contract.keys import to_file_id
from schema.contract.run_events import Provenance, SnapshotChange
from schema.contract.run_streams import StreamEvent
from tests.schema.subscription_helpers import data_from_change
from tests.support.wire_samples import message, run, run_step

CITED = {"index": 0, "type": "file_citation", "text": "[1]", "start_index": 2, "end_index": 5}
CONTENT = """
    text
    content {
        __typename
        ... on TextContent { text annotations { __typename ... on FileCitation { text startIndex fileId quote } } }
        ... on ImageFileContent { fileId }
        ... on RefusalContent { refusal }
        ... on UnknownContent { type raw }
    }
"""
CALLS = """
    details {
        ... on ToolCallsDetails {
            toolCalls {
                __typename
                ... on FunctionToolCall { name arguments }
                ... on CodeInterpreterToolCall {
                    input
                    outputs { ... on CodeInterpreterLogs { logs } ... on CodeInterpreterImage { fileId } }
                }
                ... on FileSearchToolCall { ranker results { fileId content } }
                ... on UnknownToolCall { type raw }
            }
        }
    }
"""


def state_in_mid_run() -> RunState:
    state = RunState()
    state.apply(SnapshotChange(run(status="in_progress"), [], []), Provenance.STREAMED)
    for wire in (run_step(type="tool_calls", status="in_progress"), message(role="assistant", status="in_progress")):
        apply_event(state, StreamEvent(wire=wire))
    return state


def apply_event(state: RunState, event: StreamEvent) -> None:
    for change in diff_stream_event(state, event):
        state.apply(change, Provenance.STREAMED)


async def snapshot_after(*deltas: dict[str, Any], selection: str) -> Any:
    """Return the snapshot after deltas. A state that is copied after each of them shows the same."""
    state = state_in_mid_run()
    copied = state.copy()
    for delta in deltas:
        apply_event(state, StreamEvent(delta=delta))
        apply_event(copied, StreamEvent(delta=delta))
        copied = copied.copy()
    shown = await data_from_change(state.snapshot(), f"... on RunSnapshot {{ {selection} }}")
    assert shown == await data_from_change(copied.snapshot(), f"... on RunSnapshot {{ {selection} }}")
    return shown


async def message_after(*contents: list[dict[str, Any]]) -> Any:
    deltas = [{"id": "msg_1", "object": "thread.message.delta", "delta": {"content": content}} for content in contents]
    return (await snapshot_after(*deltas, selection=f"messages {{ {CONTENT} }}"))["messages"][0]


async def calls_after(*calls: dict[str, Any]) -> Any:
    deltas = [
        {
            "id": "step_1",
            "object": "thread.run.step.delta",
            "delta": {"step_details": {"type": "tool_calls", "tool_calls": [call]}},
        }
        for call in calls
    ]
    return (await snapshot_after(*deltas, selection=f"steps {{ {CALLS} }}"))["steps"][0]["details"]["toolCalls"]


async def test_a_file_search_and_its_results() -> None:
    results = {"file_id": "f", "file_name": "n", "score": 0.5, "content": [{"type": "text", "text": "found"}]}
    calls = await calls_after(
        {"index": 0, "id": "call_1", "type": "file_search", "file_search": {"ranking_options": {"ranker": "auto"}}},
        {"index": 0, "type": "file_search", "file_search": {"results": [results]}},
        {"index": 1, "id": "call_2", "type": "file_search", "file_search": {}},
    )
    assert calls == [
        {
            "__typename": "FileSearchToolCall",
            "ranker": "AUTO",
            "results": [{"fileId": to_file_id("f"), "content": ["found"]}],
        },
        {"__typename": "FileSearchToolCall", "ranker": None, "results": []},
    ]


async def test_a_call_of_an_unknown_kind() -> None:
    (call,) = await calls_after(
        {"index": 0, "id": "call_1", "type": "mcp", "mcp": {"server": "s", "arguments": '{"a"'}},
        {"index": 0, "type": "mcp", "mcp": {"arguments": ":1}"}},
    )
    raw = {"id": "call_1", "type": "mcp", "mcp": {"server": "s", "arguments": '{"a":1}'}}
    assert call == {"__typename": "UnknownToolCall", "type": "mcp", "raw": raw}


async def test_code_with_its_outputs() -> None:
    outputs = [{"index": 0, "type": "logs", "logs": "li"}, {"index": 1, "type": "image", "image": {"file_id": "f"}}]
    calls = await calls_after(
        {"index": 0, "id": "call_1", "type": "code_interpreter", "code_interpreter": {"input": "", "outputs": []}},
        {"index": 0, "type": "code_interpreter", "code_interpreter": {"input": "print(1)"}},
        {"index": 0, "type": "code_interpreter", "code_interpreter": {"outputs": outputs}},
        {"index": 0, "type": "code_interpreter", "code_interpreter": {"outputs": [{"index": 0, "logs": "ne"}]}},
        {"index": 1, "id": "call_2", "type": "function", "function": {"name": "f", "arguments": "{"}},
    )
    assert calls == [
        {
            "__typename": "CodeInterpreterToolCall",
            "input": "print(1)",
            "outputs": [{"logs": "line"}, {"fileId": to_file_id("f")}],
        },
        {"__typename": "FunctionToolCall", "name": "f", "arguments": "{"},
    ]


async def test_an_image_before_the_text_is_no_empty_text() -> None:
    shown = await message_after(
        [{"index": 0, "type": "image_file", "image_file": {"file_id": "f"}}],
        [{"index": 1, "type": "text", "text": {"value": "A "}}],
        [{"index": 1, "type": "text", "text": {"value": "plot."}}],
        [{"index": 3, "type": "refusal", "refusal": "I can"}],
        [{"index": 3, "type": "refusal", "refusal": "not."}],
    )
    assert shown["text"] == "A plot."
    assert [part["__typename"] for part in shown["content"]] == [
        "ImageFileContent",
        "TextContent",
        "UnknownContent",
        "RefusalContent",
    ]
    assert shown["content"][0]["fileId"] == to_file_id("f")
    assert shown["content"][3]["refusal"] == "I cannot."


async def test_the_pieces_of_an_annotation_are_one_annotation() -> None:
    another = {**CITED, "index": 1, "start_index": 9, "end_index": 12, "file_citation": {"file_id": "g"}}
    shown = await message_after(
        [{"index": 0, "type": "text", "text": {"value": "Tea[1]", "annotations": [CITED]}}],
        [{"index": 0, "type": "text", "text": {"annotations": [{"index": 0, "file_citation": {"file_id": "f"}}]}}],
        [{"index": 0, "type": "text", "text": {"annotations": [{"index": 0, "file_citation": {"quote": "gre"}}]}}],
        [{"index": 0, "type": "text", "text": {"annotations": [{"index": 0, "file_citation": {"quote": "en"}}]}}],
        [{"index": 0, "type": "text", "text": {"annotations": [another]}}],
        [{"index": 0, "type": "text", "text": {"annotations": [another]}}],
    )
    cited = {"__typename": "FileCitation", "text": "[1]"}
    assert shown["content"][0]["annotations"] == [
        {**cited, "startIndex": 2, "fileId": to_file_id("f"), "quote": "green"},
        {**cited, "startIndex": 9, "fileId": to_file_id("g"), "quote": None},
    ]


@pytest.mark.parametrize(
    ("known", "piece", "merged"),
    [
        ({"a": "x"}, {"a": "y", "b": 1}, {"a": "xy", "b": 1}),
        ({"type": "x", "id": "1"}, {"type": "x", "id": "1"}, {"type": "x", "id": "1"}),
        ({"a": {"b": "x"}}, {"a": {"b": "y"}}, {"a": {"b": "xy"}}),
        ({"a": 1, "b": "x"}, {"a": 2, "b": None}, {"a": 2, "b": "x"}),
        ({"a": "x"}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ],
)
def test_texts_are_appended_and_other_values_replaced(known: Any, piece: Any, merged: object) -> None:
    assert merge_delta(known, piece) == merged


def test_items_are_merged_by_index_unless_they_stand_elsewhere_in_the_text() -> None:
    known = [{"index": 0, "start_index": 1, "text": "a"}, "plain"]
    assert merge_items(known, [{"index": 0, "start_index": 7, "text": "b"}, {"text": "c"}, 5]) == [
        *known,
        {"index": 0, "start_index": 7, "text": "b"},
        {"text": "c"},
        5,
    ]


@pytest.mark.parametrize(
    ("first", "second", "merged"),
    [
        ({"index": 0, "logs": "a"}, {"index": 0, "logs": "a"}, {"index": 0, "logs": "aa"}),
        (CITED, CITED, CITED),
        (CITED, {"index": 0, "start_index": 2, "quote": "q"}, CITED | {"quote": "q"}),
    ],
)
def test_a_piece_of_an_item_is_merged_unless_it_is_the_same_part_of_a_text_again(
    first: dict[str, Any], second: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge_items(merge_items([], [first]), [second]) == [merged]
