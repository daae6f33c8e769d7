"""Inputs become the upstream's request: respelled, with the kinds it wants, and nothing that was not given."""

import dataclasses
from typing import Any

import pytest
import strawberry
from strawberry import UNSET

from schema import inputs
from schema.bodies import AssistantBody, AssistantUpdateBody, Body, MessageBody, RunBody, ThreadAndRunBody, ThreadBody
from schema.inputs import (
    AttachmentInput,
    AttachmentToolInput,
    BuiltInToolInput,
    ChunkingStrategyInput,
    CodeInterpreterResourcesInput,
    CreateAssistantInput,
    CreateRunInput,
    CreateThreadAndRunInput,
    CreateThreadInput,
    FileSearchRankerInput,
    FileSearchResourcesInput,
    FileSearchToolInput,
    FunctionToolInput,
    ImageDetailInput,
    ImageFileInput,
    JsonSchemaFormatInput,
    MessageContentInput,
    NamedFunctionInput,
    NewMessageInput,
    NewThreadInput,
    RankingOptionsInput,
    ResponseFormatInput,
    ResponseFormatTypeInput,
    StaticChunkingInput,
    ToolChoiceInput,
    ToolChoiceModeInput,
    ToolInput,
    ToolResourcesInput,
    TruncationStrategyInput,
    TruncationTypeInput,
    UpdateAssistantInput,
    VectorStoreInput,
    to_wire,
)
from schema.scalars import JSON, Metadata

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


MESSAGE = NewMessageInput(content=[MessageContentInput(text="a")], metadata=Metadata({"my_key": "v"}))
RESOURCES = ToolResourcesInput(
    code_interpreter=CodeInterpreterResourcesInput(file_ids=[FILE]),
    file_search=FileSearchResourcesInput(vector_store_ids=[strawberry.ID("vs_a")]),
)
THREAD = NewThreadInput(messages=[MESSAGE], tool_resources=RESOURCES, metadata=Metadata({}))


@pytest.mark.parametrize(
    ("given", "body_type", "elsewhere"),
    [
        (MESSAGE, MessageBody, set[str]()),
        (CreateThreadInput(messages=[MESSAGE], tool_resources=RESOURCES), ThreadBody, {"client_mutation_id"}),
        (
            CreateRunInput(assistant_id=strawberry.ID("asst_a"), thread_id=strawberry.ID("thread_a")),
            RunBody,
            {"thread_id", "client_mutation_id"},
        ),
        (
            CreateThreadAndRunInput(assistant_id=strawberry.ID("asst_a"), thread=THREAD),
            ThreadAndRunBody,
            {"client_mutation_id"},
        ),
        (CreateAssistantInput(model="m"), AssistantBody, {"client_mutation_id"}),
        (
            UpdateAssistantInput(assistant_id=strawberry.ID("asst_a")),
            AssistantUpdateBody,
            {"assistant_id", "client_mutation_id"},
        ),
    ],
)
def test_each_input_has_the_fields_of_the_request_it_becomes(
    given: Any, body_type: type[Body], elsewhere: set[str]
) -> None:
    wire = {name: value for name, value in to_wire(given).items() if name not in elsewhere}
    assert body_type.model_validate(wire).to_wire() == wire
    assert {field.name for field in dataclasses.fields(given)} - elsewhere == set(body_type.model_fields)


def test_what_is_not_given_is_not_there() -> None:
    assert to_wire(CreateThreadInput()) == {}
    assert CreateThreadInput().messages is UNSET


def test_every_input_and_enum_has_a_source_in_its_docstring() -> None:
    kinds = [
        value for value in vars(inputs).values() if isinstance(value, type) and value.__module__ == inputs.__name__
    ]
    assert len(kinds) > 30
    assert [kind.__name__ for kind in kinds if "Source:" not in (kind.__doc__ or "")] == []
