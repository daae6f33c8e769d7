"""Items as clients send them, and their stored form: the JSON that the API shows again, with an id and a status.

A message may come without its type, and its text without parts. An item of a type that is not checked here is stored as
it came. Source: `InputItem` of the specification.
"""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from gateway.emulator.bodies.fields import STRING_OR_ARRAY, Body, type_tag
from gateway.emulator.ids import IdFactory
from gateway.emulator.objects import JsonObject

MAX_ITEMS = 20
# The prefixes of the ids of items that are no messages.
_PREFIXES = {
    "function_call": "fc",
    "function_call_output": "fco",
    "file_search_call": "fs",
    "code_interpreter_call": "ci",
    "web_search_call": "ws",
    "reasoning": "rs",
    "mcp_approval_request": "mcpr",
    "mcp_approval_response": "mcpa",
}
ItemState: TypeAlias = Literal["in_progress", "completed", "incomplete"]


class InputText(Body):
    """A text that a client wrote."""

    type: Literal["input_text"]
    text: str
    prompt_cache_breakpoint: JsonObject | None = None

    def to_stored(self) -> JsonObject:
        """Return the part in its stored form."""
        return {"type": "input_text", "text": self.text}


class InputImage(Body):
    """An image: an uploaded file, or one at a URL."""

    type: Literal["input_image"]
    detail: Literal["low", "high", "auto", "original"] | None = None
    file_id: str | None = None
    image_url: str | None = None
    prompt_cache_breakpoint: JsonObject | None = None

    def to_stored(self) -> JsonObject:
        """Return the part in its stored form."""
        return {
            "type": "input_image",
            "detail": self.detail or "auto",
            "file_id": self.file_id,
            "image_url": self.image_url,
        }


class InputFile(Body):
    """A file: an uploaded one, one at a URL, or its content."""

    type: Literal["input_file"]
    detail: Literal["low", "high", "auto"] | None = None
    file_id: str | None = None
    file_url: str | None = None
    file_data: str | None = None
    filename: str | None = None
    prompt_cache_breakpoint: JsonObject | None = None

    def to_stored(self) -> JsonObject:
        """Return the part in its stored form."""
        return self.model_dump(exclude_none=True, exclude={"prompt_cache_breakpoint"})


class OutputText(Body):
    """A text that an assistant wrote earlier."""

    type: Literal["output_text"]
    text: str
    annotations: tuple[JsonObject, ...] = ()
    logprobs: tuple[JsonObject, ...] | None = None

    def to_stored(self) -> JsonObject:
        """Return the part in its stored form."""
        return {"type": "output_text", "annotations": list(self.annotations), "logprobs": [], "text": self.text}


class InputRefusal(Body):
    """A refusal that an assistant wrote earlier."""

    type: Literal["refusal"]
    refusal: str

    def to_stored(self) -> JsonObject:
        """Return the part in its stored form."""
        return {"type": "refusal", "refusal": self.refusal}


MessagePart: TypeAlias = Annotated[
    Annotated[InputText, Tag("<input_text>")]
    | Annotated[InputImage, Tag("<input_image>")]
    | Annotated[InputFile, Tag("<input_file>")]
    | Annotated[OutputText, Tag("<output_text>")]
    | Annotated[InputRefusal, Tag("<refusal>")],
    Discriminator(type_tag),
]
_ASSISTANT_PARTS = ("output_text", "refusal")
_CLIENT_PARTS = ("input_text", "input_image", "input_file")


class MessageItem(Body):
    """A message. Those of an assistant have other parts than those of a client."""

    type: Literal["message"] = "message"
    id: str | None = None
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[
        Annotated[str, Tag("<string>")] | Annotated[tuple[MessagePart, ...], Tag("<array>")], STRING_OR_ARRAY
    ]
    status: ItemState | None = None
    phase: Literal["commentary", "final_answer"] | None = None

    @model_validator(mode="after")
    def _has_parts_of_its_role(self) -> Self:
        allowed = _ASSISTANT_PARTS if self.role == "assistant" else _CLIENT_PARTS
        for place, part in enumerate(self.content if isinstance(self.content, tuple) else ()):
            if part.type not in allowed:
                quoted = [f"'{name}'" for name in allowed]
                supported = f"{', '.join(quoted[:-1])}{',' if len(quoted) > 2 else ''} and {quoted[-1]}"
                words = f"Invalid value: '{part.type}'. Supported values are: {supported}."
                context = {"words": words, "suffix": f".content[{place}].type"}
                raise PydanticCustomError("invalid_value", "{words}", context)  # type: ignore[arg-type,misc,unused-ignore]
        return self

    def to_stored(self) -> JsonObject:
        """Return the item without its id."""
        if isinstance(self.content, tuple):
            content = [part.to_stored() for part in self.content]
        elif self.role == "assistant":
            content = [OutputText(type="output_text", text=self.content).to_stored()]
        else:
            content = [InputText(type="input_text", text=self.content).to_stored()]
        return {"type": "message", "status": "completed", "role": self.role, "content": content}


class FunctionCallItem(Body):
    """A function call of an earlier response."""

    type: Literal["function_call"]
    id: str | None = None
    call_id: Annotated[str, Field(min_length=1, max_length=64)]
    name: str
    arguments: str
    status: ItemState | None = None
    namespace: str | None = None
    caller: JsonObject | None = None

    def to_stored(self) -> JsonObject:
        """Return the item without its id."""
        return {
            "type": "function_call",
            "status": "completed",
            "arguments": self.arguments,
            "call_id": self.call_id,
            "name": self.name,
        }


class FunctionCallOutputItem(Body):
    """The output of a function call."""

    type: Literal["function_call_output"]
    id: str | None = None
    call_id: Annotated[str, Field(min_length=1, max_length=64)]
    output: Annotated[
        Annotated[str, Tag("<string>")] | Annotated[tuple[MessagePart, ...], Tag("<array>")], STRING_OR_ARRAY
    ]
    status: ItemState | None = None
    name: str | None = None
    namespace: str | None = None
    caller: JsonObject | None = None

    def to_stored(self) -> JsonObject:
        """Return the item without its id."""
        output = self.output if isinstance(self.output, str) else [part.to_stored() for part in self.output]
        return {"type": "function_call_output", "status": "completed", "call_id": self.call_id, "output": output}


class ApprovalRequestItem(Body):
    """The question of an earlier response whether a tool of an MCP server may be called."""

    type: Literal["mcp_approval_request"]
    id: str | None = None
    server_label: str
    name: str
    arguments: str

    def to_stored(self) -> JsonObject:
        """Return the item without its id."""
        return self.model_dump(exclude={"id"})


class ApprovalItem(Body):
    """The decision on a call of an MCP server's tool."""

    type: Literal["mcp_approval_response"]
    id: str | None = None
    approval_request_id: str
    approve: bool
    reason: str | None = None

    def to_stored(self) -> JsonObject:
        """Return the item without its id."""
        return self.model_dump(exclude={"id"})


class ItemReference(Body):
    """A reference to an item that is stored."""

    type: Literal["item_reference"] | None = None
    id: str


def _item_tag(value: Any) -> str | None:
    kind = type_tag(value)
    if kind is not None:
        return kind if kind in _CHECKED else "<other>"
    if isinstance(value, ItemReference):
        return "<item_reference>"
    if isinstance(value, dict) and value.get("type") is None:
        return "<item_reference>" if value.keys() <= {"id", "type"} and "id" in value else "<message>"
    return None


_CHECKED = frozenset(
    f"<{kind}>"
    for kind in (
        "message",
        "function_call",
        "function_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "item_reference",
    )
)
InputItem: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("<message>")]
    | Annotated[FunctionCallItem, Tag("<function_call>")]
    | Annotated[FunctionCallOutputItem, Tag("<function_call_output>")]
    | Annotated[ApprovalRequestItem, Tag("<mcp_approval_request>")]
    | Annotated[ApprovalItem, Tag("<mcp_approval_response>")]
    | Annotated[ItemReference, Tag("<item_reference>")]
    | Annotated[JsonObject, Tag("<other>")],
    Discriminator(_item_tag),
]


def stored_items(
    items: Iterable[InputItem], new_id: IdFactory, find_item: Callable[[str], JsonObject]
) -> list[JsonObject]:
    """Return the items in their stored form, each with a new id. A reference becomes a copy of what `find_item` finds.

    An id that a client sends is not used: it may belong to an item that is stored already.
    """
    stored: list[JsonObject] = []
    for item in items:
        match item:
            case ItemReference(id=item_id):
                body = find_item(item_id)
            case dict():
                body = item
            case _:
                body = item.to_stored()
        prefix = "msg" if body["type"] == "message" else _PREFIXES.get(body["type"], "item")
        stored.append({**body, "id": new_id(prefix)})
    return stored
