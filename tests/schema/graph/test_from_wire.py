import copy
from typing import Any

import msgspec
import pytest

from schema.contract.wire import Count, ErrorObject, TruncationObject
from schema.graph.enums import FileSearchRanker, ImageDetail, TruncationType
from schema.graph.fallback_types import (
    UnknownContent,
    UnknownRequiredAction,
    UnknownTool,
)
from schema.graph.from_wire import (
    content_from_wire,
    integer_from_wire,
    required_action_from_wire,
    run_error_from_wire,
    text_from_content,
    tool_calls_from_wire,
    tools_from_wire,
    truncation_from_wire,
    usage_from_wire,
)
from schema.graph.leaf_types import (
    CodeInterpreterTool,
    CodeInterpreterToolCall,
    FileSearchPassage,
    FileSearchResult,
    FileSearchTool,
    FileSearchToolCall,
    FunctionTool,
    FunctionToolCall,
    ImageFileContent,
    ImageUrlContent,
    RefusalContent,
    RetrievalTool,
    RetrievalToolCall,
    RunError,
    SubmitToolOutputsAction,
    TextContent,
    TruncationStrategy,
    UnknownToolCall,
    Usage,
)
from schema.graph.scalars import JSON, Metadata
from tests.support.wire_samples import decoded, message, raw, raws


@pytest.mark.parametrize(
    ("sent", "made"),
    [
        ({"type": "text", "text": {"value": "hello"}}, TextContent(text="hello", raw_annotations=None)),
        ({"type": "text", "text": {"value": "", "annotations": []}}, TextContent(text="", raw_annotations=[])),
        ({"type": "text", "text": "hello"}, TextContent(text="hello", raw_annotations=None)),
        (
            {"type": "image_file", "image_file": {"file_id": "f"}},
            ImageFileContent(upstream_file_id="f", detail=None),
        ),
        (
            {"type": "image_file", "image_file": {"file_id": "f", "detail": "ultra"}},
            ImageFileContent(upstream_file_id="f", detail=ImageDetail.UNRECOGNIZED),
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://x.test", "detail": "low"}},
            ImageUrlContent(url="https://x.test", detail=ImageDetail.LOW),
        ),
        ({"type": "refusal", "refusal": "No."}, RefusalContent(refusal="No.")),
        (
            {"type": "text", "text": {"value": "hello", "annotations": {}}},
            TextContent(text="hello", raw_annotations=[]),
        ),
        ({"type": None, "text": {"value": "hello"}}, TextContent(text="hello", raw_annotations=None)),
    ],
)
def test_a_content_part_of_a_known_kind(sent: object, made: object) -> None:
    assert content_from_wire(raws(sent)) == [made]


@pytest.mark.parametrize(
    "sent",
    [
        {"type": "hologram", "hologram": {"a": [1, None]}},
        {"type": "text"},
        {"type": "text", "text": 7},
        {"type": "image_file", "image_file": {}},
        {"type": "image_url", "image_url": "https://x.test"},
        {"type": "refusal", "refusal": {"reason": "x"}},
    ],
)
def test_a_content_part_of_an_unknown_kind_or_shape_keeps_its_json_and_affects_no_other_part(
    sent: dict[str, object],
) -> None:
    known = {"type": "text", "text": {"value": "hello"}}
    assert content_from_wire(raws(known, sent)) == [
        TextContent(text="hello", raw_annotations=None),
        UnknownContent(type=str(sent["type"]), raw=JSON(sent)),
    ]


def test_content_without_a_kind_or_without_anything() -> None:
    assert content_from_wire(raws({}, None)) == [UnknownContent(type="", raw=JSON({}))] * 2
    assert content_from_wire(None) == content_from_wire([]) == []


def test_text_is_the_text_parts_joined_by_newlines() -> None:
    parts = [
        {"type": "text", "text": {"value": "one"}},
        {"type": "refusal", "refusal": "No."},
        {"type": "text", "text": "two"},
    ]
    assert text_from_content(message(content=parts).content) == "one\ntwo"
    assert text_from_content(message(content="bare").content) == "bare"
    assert text_from_content(message(content=None).content) == ""


@pytest.mark.parametrize(
    ("sent", "made"),
    [
        ({"type": "code_interpreter"}, CodeInterpreterTool(type="code_interpreter")),
        ({"type": "retrieval"}, RetrievalTool(type="retrieval")),
        (
            {"type": "file_search"},
            FileSearchTool(type="file_search", max_num_results=None, ranker=None, score_threshold=None),
        ),
        (
            {"type": "file_search", "file_search": {"max_num_results": 5, "ranking_options": {}}},
            FileSearchTool(type="file_search", max_num_results=5, ranker=None, score_threshold=None),
        ),
        (
            {"type": "file_search", "file_search": {"ranking_options": {"ranker": "auto", "score_threshold": 0.5}}},
            FileSearchTool(type="file_search", max_num_results=None, ranker=FileSearchRanker.AUTO, score_threshold=0.5),
        ),
        (
            {"type": "function", "function": {"name": "f"}},
            FunctionTool(name="f", description=None, parameters=None, strict=None),
        ),
        (
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}, "strict": False}},
            FunctionTool(name="f", description=None, parameters=JSON({"type": "object"}), strict=False),
        ),
        ({"type": "function"}, UnknownTool(type="function", raw=JSON({"type": "function"}))),
        (
            {"type": "bing_grounding", "x": 1},
            UnknownTool(type="bing_grounding", raw=JSON({"type": "bing_grounding", "x": 1})),
        ),
        ("code_interpreter", UnknownTool(type="", raw=JSON("code_interpreter"))),
    ],
)
def test_tools(sent: object, made: object) -> None:
    assert tools_from_wire(raws(sent)) == [made]
    assert tools_from_wire(None) == []


@pytest.mark.parametrize(
    ("sent", "made"),
    [
        (
            {"type": "function", "id": "call_1", "function": {"name": "f", "arguments": "{}"}},
            FunctionToolCall(call_id="call_1", name="f", arguments="{}", output=None),
        ),
        (
            {"type": "code_interpreter", "id": "call_1", "code_interpreter": {"input": "1", "outputs": None}},
            CodeInterpreterToolCall(call_id="call_1", input="1", raw_outputs=None),
        ),
        ({"type": "retrieval", "id": "call_1", "retrieval": {}}, RetrievalToolCall(call_id="call_1")),
        (
            {"type": "file_search", "id": "call_1"},
            FileSearchToolCall(call_id="call_1", ranker=None, score_threshold=None, results=[]),
        ),
        (
            {
                "type": "file_search",
                "id": "call_1",
                "file_search": {
                    "ranking_options": {"ranker": "auto", "score_threshold": 0},
                    "results": [
                        {
                            "file_id": "f",
                            "file_name": "n",
                            "score": 1,
                            "attributes": {"year": "2024"},
                            "content": [{"type": "text", "text": "a"}, {"type": "image"}],
                        },
                        {"file_id": "g"},
                    ],
                },
            },
            FileSearchToolCall(
                call_id="call_1",
                ranker=FileSearchRanker.AUTO,
                score_threshold=0.0,
                results=[
                    FileSearchResult(
                        upstream_file_id="f",
                        file_name="n",
                        score=1.0,
                        attributes=Metadata({"year": "2024"}),
                        content=["a"],
                        passages=[
                            FileSearchPassage(type="text", text="a"),
                            FileSearchPassage(type="image", text=None),
                        ],
                    ),
                    FileSearchResult(
                        upstream_file_id="g",
                        file_name=None,
                        score=None,
                        attributes=Metadata({}),
                        content=[],
                        passages=[],
                    ),
                ],
            ),
        ),
    ],
)
def test_a_tool_call_of_a_known_kind(sent: object, made: object) -> None:
    assert tool_calls_from_wire(raws(sent)) == [made]
    assert tool_calls_from_wire(None) == []


@pytest.mark.parametrize(
    ("sent", "call_id"),
    [
        ({"type": "browser", "id": "call_1", "browser": {}}, "call_1"),
        ({"type": "browser"}, None),
        ({"type": "function", "id": "call_1"}, "call_1"),
        ({"type": "function", "function": {"name": "f"}}, None),
        ({"type": "browser", "id": "call_1", "function": 7}, "call_1"),
        ({"type": "retrieval", "id": None}, None),
    ],
)
def test_a_tool_call_of_an_unknown_kind_or_shape_keeps_its_json(sent: dict[str, object], call_id: str | None) -> None:
    assert tool_calls_from_wire(raws(sent)) == [
        UnknownToolCall(call_id=call_id, type=str(sent["type"]), raw=JSON(sent))
    ]


FUNCTION_CALL = {"type": "function", "id": "call_1", "function": {"name": "f", "arguments": "{}"}}


def test_a_required_action_asks_for_the_outputs_of_function_calls() -> None:
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [FUNCTION_CALL]}}
    assert required_action_from_wire(raw(action)) == SubmitToolOutputsAction(
        tool_calls=[FunctionToolCall(call_id="call_1", name="f", arguments="{}", output=None)]
    )
    empty = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": None}}
    assert required_action_from_wire(raw(empty)) == SubmitToolOutputsAction(tool_calls=[])


@pytest.mark.parametrize(
    "action",
    [
        {"type": "submit_tool_approval", "submit_tool_approval": {"tool_calls": [FUNCTION_CALL]}},
        {"type": "submit_tool_outputs"},
        {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [FUNCTION_CALL, {"type": "mcp"}]}},
        {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": "call_1"}},
    ],
)
def test_an_unknown_required_action_keeps_its_json(action: dict[str, object]) -> None:
    assert required_action_from_wire(raw(action)) == UnknownRequiredAction(
        type=str(action.get("type", "")), raw=JSON(action)
    )


@pytest.mark.parametrize("nothing", [b"null", b"{}", b"{ }", b"{\n  }"])
def test_an_empty_required_action_is_null_however_it_is_spaced(nothing: bytes) -> None:
    assert required_action_from_wire(msgspec.Raw(nothing)) is None


def test_an_error_of_a_run_may_be_incomplete() -> None:
    assert run_error_from_wire(decoded(ErrorObject, {"code": "own_word"})) == RunError(code="own_word", message="")
    assert run_error_from_wire(decoded(ErrorObject, {"code": None, "message": "x"})) == RunError(code="", message="x")
    assert run_error_from_wire(None) is None


def test_truncation() -> None:
    for count in (5, 5.0):
        strategy = decoded(TruncationObject, {"type": "last_messages", "last_messages": count})
        assert truncation_from_wire(strategy) == TruncationStrategy(type=TruncationType.LAST_MESSAGES, last_messages=5)
    assert truncation_from_wire(None) is None


@pytest.mark.parametrize(
    ("sent", "cached", "reasoning"),
    [
        ({}, None, None),
        ({"prompt_token_details": {"cached_tokens": 4}}, 4, None),
        ({"prompt_tokens_details": {"cached_tokens": 4}}, 4, None),
        ({"prompt_tokens_details": None, "completion_tokens_details": {"reasoning_tokens": 3}}, None, 3),
        ({"prompt_token_details": {}, "completion_tokens_details": {}}, None, None),
    ],
)
def test_usage_in_every_spelling(sent: dict[str, object], cached: int | None, reasoning: int | None) -> None:
    counters = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    assert usage_from_wire(counters | sent) == Usage(
        prompt_tokens=1, completion_tokens=2, total_tokens=3, cached_tokens=cached, reasoning_tokens=reasoning
    )


@pytest.mark.parametrize("sent", [None, 7, [], "4", {}, {"prompt_tokens": 4.5}, {"completion_tokens_details": "none"}])
def test_a_usage_that_cannot_be_read_is_none(sent: object) -> None:
    assert usage_from_wire(sent) is None


def test_a_counter_may_be_a_float_or_null() -> None:
    sent = {"prompt_tokens": 4.0, "total_tokens": None, "prompt_token_details": {"cached_tokens": 1.0}}
    usage = usage_from_wire(sent)
    assert usage == Usage(prompt_tokens=4, completion_tokens=0, total_tokens=0, cached_tokens=1, reasoning_tokens=None)
    assert usage is not None
    assert type(usage.prompt_tokens) is type(usage.cached_tokens) is int


@pytest.mark.parametrize(("count", "made"), [(None, None), (4, 4), (4.0, 4), (4.5, None), (1e300, int(1e300))])
def test_a_count_is_an_integer(count: Count | None, made: int | None) -> None:
    assert integer_from_wire(count) == made
    assert not isinstance(integer_from_wire(count), float)


@pytest.mark.parametrize(
    ("sent", "arguments"), [(None, ""), ({"a": [1, None]}, '{"a":[1,null]}'), ([], "[]"), (7, "7"), ("{}", "{}")]
)
def test_arguments_of_a_call_are_a_text_and_the_call_can_be_answered(sent: object, arguments: str) -> None:
    call: dict[str, Any] = {"type": "function", "id": "call_1", "function": {"name": "f", "arguments": sent}}
    action = {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": [call]}}
    shown = FunctionToolCall(call_id="call_1", name="f", arguments=arguments, output=None)
    assert required_action_from_wire(raw(action)) == SubmitToolOutputsAction(tool_calls=[shown])
    answered = {"name": "f", "output": sent}
    output = None if sent is None else arguments
    assert tool_calls_from_wire(raws(call | {"function": answered})) == [
        FunctionToolCall(call_id="call_1", name="f", arguments="", output=output)
    ]


def citations(raw_annotations: list[msgspec.Raw]) -> list[Any]:
    return list(TextContent(text="", raw_annotations=raw_annotations).annotations())


@pytest.mark.parametrize(
    ("convert", "sent", "names"),
    [
        (content_from_wire, {"type": "text", "text": {"value": "x"}}, ["text.value"]),
        (content_from_wire, {"type": "refusal", "refusal": "x"}, ["refusal"]),
        (tools_from_wire, {"type": "function", "function": {"name": "x"}}, ["function.name"]),
        (
            tool_calls_from_wire,
            {"type": "function", "id": "c", "function": {"name": "x", "arguments": "x", "output": "x"}},
            ["function.name", "function.arguments", "function.output"],
        ),
        (
            tool_calls_from_wire,
            {"type": "code_interpreter", "id": "c", "code_interpreter": {"input": "x", "outputs": []}},
            ["code_interpreter.input"],
        ),
        (
            tool_calls_from_wire,
            {
                "type": "file_search",
                "id": "c",
                "file_search": {
                    "results": [{"file_id": "f", "file_name": "x", "score": 1, "attributes": {}, "content": []}]
                },
            },
            [f"file_search.results.0.{name}" for name in ("file_id", "file_name", "score", "attributes", "content")],
        ),
        (
            citations,
            {"type": "file_citation", "text": "x", "start_index": 1, "end_index": 2, "file_citation": {"file_id": "f"}},
            ["text", "start_index", "end_index", "file_citation.quote"],
        ),
    ],
)
def test_null_and_missing_mean_the_same_inside_parts(convert: Any, sent: Any, names: list[str]) -> None:
    (whole,) = convert(raws(sent))
    for name in names:
        *steps, last = name.split(".")
        changed = copy.deepcopy(sent)
        parent = changed
        for step in steps:
            parent = parent[int(step) if step.isdigit() else step]
        parent[last] = None
        (with_null,) = convert(raws(changed))
        del parent[last]
        assert convert(raws(changed)) == [with_null]
        assert type(with_null) is type(whole)
