"""The node type `Assistant`."""

from __future__ import annotations

from typing import ClassVar

import strawberry

from schema.contract.keys import AssistantKey
from schema.contract.kinds import ASSISTANTS
from schema.contract.wire import AssistantObject
from schema.graph.documented_field import deprecated, documented_field
from schema.graph.enums import ReasoningEffort, recognize_optional
from schema.graph.from_wire import tool_resources_from_wire, tools_from_wire
from schema.graph.leaf_types import Tool, ToolResources
from schema.graph.node import NOT_LOADED, VERSION_1, Node
from schema.graph.scalars import JSON, DateTime, Metadata, global_file_ids, to_date_time, to_json, to_metadata


@strawberry.type(description="An assistant: a model with instructions and tools.")
class Assistant(Node):
    """Source: schema `AssistantObject`."""

    KIND: ClassVar = ASSISTANTS
    TYPE_NAME: ClassVar = KIND.type_name

    key: strawberry.Private[AssistantKey]
    wire: strawberry.Private[AssistantObject] = NOT_LOADED

    @documented_field
    def upstream_id(self) -> str:
        """The upstream's id of the assistant, such as `asst_abc123`."""
        return self.key.assistant_id

    @documented_field
    def created_at(self) -> DateTime | None:
        """The time when the assistant was created. Null if the upstream does not send it."""
        return to_date_time(self.wire.created_at or None)

    @documented_field
    def name(self) -> str | None:
        """The name of the assistant."""
        return self.wire.name

    @documented_field
    def description(self) -> str | None:
        """The purpose of the assistant."""
        return self.wire.description

    @documented_field
    def model(self) -> str | None:
        """The model that answers. Null if the upstream does not send it."""
        return self.wire.model

    @documented_field
    def instructions(self) -> str | None:
        """The instructions for the model. Null for users who may not see them."""
        return self.wire.instructions

    @documented_field
    def tools(self) -> list[Tool]:
        """The tools that the model may use."""
        return tools_from_wire(self.wire.tools)

    @documented_field
    def tool_resources(self) -> ToolResources | None:
        """The files and vector stores that the tools may use.

        Null in version 1 of the API, and for users who may not see them.
        """
        return tool_resources_from_wire(self.wire.tool_resources)

    @documented_field
    def reasoning_effort(self) -> ReasoningEffort | None:
        """The reasoning effort of a reasoning model. Null if none is set, and in version 1 of the API."""
        return recognize_optional(ReasoningEffort, self.wire.reasoning_effort)

    @documented_field
    def temperature(self) -> float | None:
        """The sampling temperature, from 0 to 2. Higher values make the answer more random."""
        return self.wire.temperature

    @documented_field
    def top_p(self) -> float | None:
        """The share of likely words that the model chooses from (nucleus sampling), from 0 to 1."""
        return self.wire.top_p

    @documented_field
    def response_format(self) -> JSON | None:
        """The format of the answers: `auto`, or an object that describes a format."""
        return to_json(self.wire.response_format)

    @documented_field
    def metadata(self) -> Metadata:
        """Key-value pairs that the client stores with the assistant. Empty for users who may not see them."""
        return to_metadata(self.wire.metadata)

    @deprecated(VERSION_1)
    def file_ids(self) -> list[strawberry.ID]:
        """The global IDs of the files that the assistant may read.

        Empty in version 2 of the API, and for users who may not see them.
        """
        return global_file_ids(self.wire.file_ids)
