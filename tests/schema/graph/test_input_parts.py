"""Parts of inputs become the upstream's parts, with its names and the `type` that it requires."""

from typing import Any

import pytest
import strawberry

from schema.graph.input_parts import (
    AttachmentInput,
    AttachmentToolInput,
    BuiltInToolInput,
    ChunkingStrategyInput,
    FileSearchRankerInput,
    FileSearchToolInput,
    FunctionToolInput,
    ImageDetailInput,
    ImageFileInput,
    JsonSchemaFormatInput,
    MessageContentInput,
    NamedFunctionInput,
    RankingOptionsInput,
    ResponseFormatInput,
    ResponseFormatTypeInput,
    StaticChunkingInput,
    ToolChoiceInput,
    ToolChoiceModeInput,
    ToolInput,
    TruncationStrategyInput,
    TruncationTypeInput,
    VectorStoreInput,
    to_wire,
)
from schema.graph.inputs import UpdateAssistantInput
from schema.graph.scalars import JSON

FILE = strawberry.ID("file-a")


@pytest.mark.parametrize(
    ("given", "wire"),
    [
        (MessageContentInput(text="a"), {"type": "text", "text": "a"}),
        (
            MessageContentInput(image_file=ImageFileInput(file_id=FILE, detail=ImageDetailInput.HIGH)),
            {"type": "image_file", "image_file": {"file_id": "file-a", "detail": "high"}},
        ),
        (
            AttachmentInput(file_id=FILE, tools=[AttachmentToolInput.FILE_SEARCH]),
            {"file_id": "file-a", "tools": [{"type": "file_search"}]},
        ),
        (ToolInput(built_in=BuiltInToolInput.CODE_INTERPRETER), {"type": "code_interpreter"}),
        (
            ToolInput(
                file_search=FileSearchToolInput(
                    max_num_results=3,
                    ranking_options=RankingOptionsInput(score_threshold=0.5, ranker=FileSearchRankerInput.AUTO),
                )
            ),
            {
                "type": "file_search",
                "file_search": {"max_num_results": 3, "ranking_options": {"score_threshold": 0.5, "ranker": "auto"}},
            },
        ),
        (
            ToolInput(function=FunctionToolInput(name="f", parameters=JSON({"type": "object"}))),
            {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}},
        ),
        (ToolChoiceInput(mode=ToolChoiceModeInput.REQUIRED), "required"),
        (ToolChoiceInput(built_in=BuiltInToolInput.FILE_SEARCH), {"type": "file_search"}),
        (
            ToolChoiceInput(function=NamedFunctionInput(name="f")),
            {"type": "function", "function": {"name": "f"}},
        ),
        (ResponseFormatInput(type=ResponseFormatTypeInput.AUTO), "auto"),
        (ResponseFormatInput(type=ResponseFormatTypeInput.TEXT), {"type": "text"}),
        (
            ResponseFormatInput(json_schema=JsonSchemaFormatInput(name="a", schema=JSON({}), strict=False)),
            {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": False}},
        ),
        (
            TruncationStrategyInput(type=TruncationTypeInput.LAST_MESSAGES, last_messages=2),
            {"type": "last_messages", "last_messages": 2},
        ),
        (
            VectorStoreInput(
                file_ids=[FILE],
                chunking_strategy=ChunkingStrategyInput(
                    static=StaticChunkingInput(max_chunk_size_tokens=800, chunk_overlap_tokens=400)
                ),
            ),
            {
                "file_ids": ["file-a"],
                "chunking_strategy": {
                    "type": "static",
                    "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
                },
            },
        ),
        (UpdateAssistantInput(assistant_id=strawberry.ID("a"), name=None), {"assistant_id": "a", "name": None}),
    ],
)
def test_an_input_becomes_the_upstreams_shape(given: Any, wire: Any) -> None:
    assert to_wire(given) == wire
