"""Request bodies of the operations on conversations and responses.

The options that the emulator only shows again are taken in any form that is JSON. Source: `CreateResponse` of the
specification and the parameters of the official SDK.
"""

from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from gateway.emulator.bodies.fields import (
    STRING_OR_ARRAY,
    Body,
    MetadataField,
    ReasoningEffort,
    Temperature,
    TopP,
    json_type_name,
    missing,
    type_tag,
)
from gateway.emulator.bodies.item_bodies import MAX_ITEMS, InputItem
from gateway.emulator.objects import JsonObject

MIN_OUTPUT_TOKENS = 16
Includable: TypeAlias = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
Items: TypeAlias = tuple[InputItem, ...]
TextOrItems: TypeAlias = Annotated[
    Annotated[str, Tag("<string>")] | Annotated[Items, Tag("<array>")],
    STRING_OR_ARRAY,
]


class CreateConversation(Body):
    """A new conversation with its first items."""

    items: Annotated[Items, Field(max_length=MAX_ITEMS)] | None = None
    metadata: MetadataField = Field(default_factory=dict)


class UpdateConversation(Body):
    """The new metadata of a conversation."""

    metadata: MetadataField


class CreateItems(Body):
    """New items of a conversation."""

    items: Annotated[Items, Field(min_length=1, max_length=MAX_ITEMS)]


class NamedFunction(Body):
    """A function tool. Other than in a run, it is strict unless it says otherwise."""

    type: Literal["function"]
    name: Annotated[str, Field(min_length=1, max_length=128)]
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None
    output_schema: JsonObject | None = None
    defer_loading: bool | None = None
    allowed_callers: tuple[str, ...] | None = None

    def to_stored(self) -> JsonObject:
        """Return the tool as a run has it."""
        function: JsonObject = {
            "name": self.name,
            "parameters": self.parameters or {"type": "object", "properties": {}},
        }
        if self.description is not None:
            function["description"] = self.description
        return {"type": "function", "function": {**function, "strict": self.strict is not False}}

    def to_shown(self) -> JsonObject:
        """Return the tool as a response shows it."""
        return {
            "type": "function",
            "description": self.description,
            "name": self.name,
            "parameters": self.parameters,
            "strict": self.strict is not False,
        }


class SearchRanking(Body):
    """The way that a file search ranks its results."""

    ranker: str | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)] | None = None
    hybrid_search: JsonObject | None = None


class StoreSearch(Body):
    """A file search in vector stores."""

    type: Literal["file_search"]
    vector_store_ids: tuple[str, ...]
    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    ranking_options: SearchRanking | None = None
    filters: JsonObject | None = None

    def to_stored(self) -> JsonObject:
        """Return the tool as a run has it."""
        options: JsonObject = {"ranking_options": self._ranking()}
        if self.max_num_results is not None:
            options["max_num_results"] = self.max_num_results
        return {"type": "file_search", "file_search": options}

    def to_shown(self) -> JsonObject:
        """Return the tool as a response shows it."""
        return {
            "type": "file_search",
            "filters": self.filters,
            "max_num_results": self.max_num_results or 20,
            "ranking_options": {"ranker": "auto", "score_threshold": 0.0, **self._ranking()},
            "vector_store_ids": list(self.vector_store_ids),
        }

    def _ranking(self) -> JsonObject:
        return {} if self.ranking_options is None else self.ranking_options.model_dump(exclude_none=True)


class AutoContainer(Body):
    """A container that is made when it is needed, with files."""

    type: Literal["auto"] = "auto"
    file_ids: tuple[str, ...] | None = None
    memory_limit: str | None = None
    network_policy: JsonObject | None = None


def _string_or_object(value: Any) -> str | None:
    return "<string>" if isinstance(value, str) else "<object>" if json_type_name(value) == "an object" else None


class ContainerCode(Body):
    """The code interpreter, and the container in which it runs."""

    type: Literal["code_interpreter"]
    container: Annotated[
        Annotated[str, Tag("<string>")] | Annotated[AutoContainer, Tag("<object>")], Discriminator(_string_or_object)
    ]
    allowed_callers: tuple[str, ...] | None = None

    def to_stored(self) -> JsonObject:
        """Return the tool as a run has it."""
        return {"type": "code_interpreter"}

    def to_shown(self) -> JsonObject:
        """Return the tool as a response shows it."""
        shown = self.container if isinstance(self.container, str) else self.container.model_dump(exclude_none=True)
        return {"type": "code_interpreter", "container": shown}


def _tool_tag(value: Any) -> str | None:
    tag = type_tag(value)
    return tag if tag in {None, "<function>", "<file_search>", "<code_interpreter>"} else "<other>"


ResponseTool: TypeAlias = Annotated[
    Annotated[NamedFunction, Tag("<function>")]
    | Annotated[StoreSearch, Tag("<file_search>")]
    | Annotated[ContainerCode, Tag("<code_interpreter>")]
    | Annotated[JsonObject, Tag("<other>")],
    Discriminator(_tool_tag),
]


class ConversationReference(Body):
    """A conversation by its id."""

    id: str


class AnswerFormat(Body):
    """The format of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: JsonObject | None = Field(default=None, alias="schema")
    strict: bool | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if self.type == "json_schema":
            for name, value in (("name", self.name), ("schema", self.schema_)):
                if value is None:
                    raise missing(name)
        return self


class TextOptions(Body):
    """The format and the length of the answer."""

    format: AnswerFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ReasoningOptions(Body):
    """The way that the model thinks. All but the effort is only shown again."""

    model_config = ConfigDict(extra="allow")

    effort: ReasoningEffort | None = None


class ResponseOptions(Body):
    """The input and the options of a response."""

    model: str | None = None
    input: TextOrItems | None = None
    conversation: (
        Annotated[
            Annotated[str, Tag("<string>")] | Annotated[ConversationReference, Tag("<object>")],
            Discriminator(_string_or_object),
        ]
        | None
    ) = None
    previous_response_id: str | None = None
    instructions: TextOrItems | None = None
    background: bool | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: JsonObject | None = None
    include: tuple[Includable, ...] | None = None
    tools: tuple[ResponseTool, ...] | None = None
    tool_choice: (
        Annotated[
            Annotated[Literal["none", "auto", "required"], Tag("<string>")] | Annotated[JsonObject, Tag("<object>")],
            Discriminator(_string_or_object),
        ]
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: Annotated[int, Field(ge=MIN_OUTPUT_TOKENS)] | None = None
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    metadata: MetadataField = Field(default_factory=dict)
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    service_tier: str | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt: JsonObject | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: JsonObject | None = None
    prompt_cache_retention: str | None = None
    context_management: tuple[JsonObject, ...] | None = None
    moderation: JsonObject | None = None
    access_programs: JsonObject | None = None
    background_options: JsonObject | None = None
    image: JsonObject | None = None

    @property
    def conversation_id(self) -> str | None:
        """Return the id of the conversation that the response belongs to. None if it belongs to none."""
        return self.conversation.id if isinstance(self.conversation, ConversationReference) else self.conversation


class CreateResponse(ResponseOptions):
    """A new response."""

    model: str


class CountTokens(ResponseOptions):
    """The input whose tokens are counted. It may have no model."""

    personality: str | None = None
