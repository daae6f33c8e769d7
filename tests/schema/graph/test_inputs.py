"""Each input has the fields of the request that it becomes, and sends no field that is not set."""

import dataclasses
from typing import Any

import pytest
import strawberry
from strawberry import UNSET

from schema.contract.bodies import (
    AssistantBody,
    AssistantUpdateBody,
    Body,
    MessageBody,
    RunBody,
    ThreadAndRunBody,
    ThreadBody,
)
from schema.graph import input_parts, inputs
from schema.graph.input_parts import (
    CodeInterpreterResourcesInput,
    FileSearchResourcesInput,
    MessageContentInput,
    NewMessageInput,
    NewThreadInput,
    ToolResourcesInput,
    to_wire,
)
from schema.graph.inputs import (
    CreateAssistantInput,
    CreateRunInput,
    CreateThreadAndRunInput,
    CreateThreadInput,
    UpdateAssistantInput,
)
from schema.graph.scalars import Metadata

FILE = strawberry.ID("file-a")
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
        (CreateThreadInput(messages=[MESSAGE], tool_resources=RESOURCES), ThreadBody, {"title", "client_mutation_id"}),
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


def test_a_field_that_is_not_set_is_not_sent() -> None:
    assert to_wire(CreateThreadInput()) == {}
    assert CreateThreadInput().messages is UNSET


def test_every_input_and_enum_has_a_source_in_its_docstring() -> None:
    known = [value for module in (inputs, input_parts) for value in vars(module).values()]
    kinds = {kind for kind in known if isinstance(kind, type) and kind.__module__.startswith("schema.graph.input")}
    assert len(kinds) > 30
    assert [kind.__name__ for kind in kinds if "Source:" not in (kind.__doc__ or "")] == []
