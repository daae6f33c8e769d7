"""The fields that several request bodies share, with the API's limits.

A check with an error text of its own raises a `PydanticCustomError`. Its context holds the text as `words`, with
`{param}` for the path of the value, and as `suffix` the rest of the path if only a part of the value is wrong.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

from gateway.emulator.objects import JsonObject, Metadata

MAX_METADATA_PAIRS = 16
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512
MAX_CONTENT = 256_000
MAX_TEMPERATURE = 2
_JSON_TYPES: dict[type, str] = {
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    list: "an array",
    dict: "an object",
    type(None): "null",
}


class Body(BaseModel):
    """A JSON object from a client, without type conversions and without unknown keys."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


# Their contents are the client's own.
_FREE_FORM = frozenset(
    {
        "metadata",
        "parameters",
        "json_schema",
        "chunking_strategy",
        "annotations",
        "results",
        "outputs",
        "text",
        "schema",
    }
)


def file_references(value: Any, param: str = "") -> Iterator[tuple[str, str]]:
    """Yield each file that a body attaches, with its path in the body: the values of `file_id` and `file_ids`."""
    if isinstance(value, dict):
        for key, one in value.items():
            path = f"{param}.{key}" if param else str(key)
            if key == "file_id" and isinstance(one, str):
                yield path, one
            elif key == "file_ids" and isinstance(one, list | tuple):
                yield from (
                    (f"{path}[{place}]", file_id) for place, file_id in enumerate(one) if isinstance(file_id, str)
                )
            elif key not in _FREE_FORM:
                yield from file_references(one, path)
    elif isinstance(value, list | tuple):
        for place, one in enumerate(value):
            yield from file_references(one, f"{param}[{place}]")


def json_type_name(value: Any) -> str:
    """Return the API's name for a value's JSON type, with its article."""
    return _JSON_TYPES.get(type(value), "an object")


def type_tag(value: Any) -> str | None:
    """Return the tag of the union member that the value's `type` names. None if there is no type."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"<{kind}>" if isinstance(kind, str) else None


def _string_or_array(value: Any) -> str | None:
    if isinstance(value, str):
        return "<string>"
    return "<array>" if isinstance(value, list | tuple) else None


def _string_or_object(value: Any) -> str | None:
    return "<string>" if isinstance(value, str) else type_tag(value)


def _custom_error(code: str, words: str, suffix: str = "") -> PydanticCustomError:
    return PydanticCustomError(code, "{words}", {"words": words, "suffix": suffix})  # type: ignore[arg-type,misc,unused-ignore]


def missing(name: str) -> PydanticCustomError:
    """Return the error of a field that another field requires."""
    return _custom_error("missing_required_parameter", "Missing required parameter: '{param}'.", f".{name}")


def _checked_metadata(value: Any) -> Any:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _custom_error(
            "invalid_type",
            f"Invalid type for '{{param}}': expected an object, but got {json_type_name(value)} instead.",
        )
    if len(value) > MAX_METADATA_PAIRS:
        raise _custom_error(
            "object_above_max_properties",
            f"Invalid '{{param}}': too many properties. Expected an object with at most {MAX_METADATA_PAIRS} "
            f"properties, but got an object with {len(value)} properties instead.",
        )
    for key, one in value.items():
        _check_pair(key, one)
    return value


def _check_pair(key: str, value: Any) -> None:
    if len(key) > MAX_METADATA_KEY:
        raise _custom_error(
            "property_name_above_max_length",
            f"Invalid property name in '{{parent}}': '{key[:3]}...{key[-3:]}' is too long. Expected a string with "
            f"maximum length {MAX_METADATA_KEY}, but got a string with length {len(key)} instead.",
            f".{key}",
        )
    if not isinstance(value, str):
        raise _custom_error(
            "invalid_type",
            f"Invalid type for '{{param}}': expected a string, but got {json_type_name(value)} instead.",
            f".{key}",
        )
    if len(value) > MAX_METADATA_VALUE:
        raise _custom_error(
            "string_above_max_length",
            f"Invalid '{{param}}': string too long. Expected a string with maximum length {MAX_METADATA_VALUE}, "
            f"but got a string with length {len(value)} instead.",
            f".{key}",
        )


MetadataField: TypeAlias = Annotated[Metadata, BeforeValidator(_checked_metadata)]
FileIds: TypeAlias = Annotated[tuple[str, ...], Field(max_length=20)]
Temperature: TypeAlias = Annotated[float, Field(ge=0, le=MAX_TEMPERATURE)]
TopP: TypeAlias = Annotated[float, Field(ge=0, le=1)]
ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class CodeTool(Body):
    """The code interpreter."""

    type: Literal["code_interpreter"]

    def to_stored(self) -> JsonObject:
        """Return the tool in its stored form."""
        return {"type": "code_interpreter"}


class RetrievalTool(Body):
    """The file search of version 1, stored under its later name."""

    type: Literal["retrieval"]

    def to_stored(self) -> JsonObject:
        """Return the tool in its stored form."""
        return {"type": "file_search"}


class RankingOptions(Body):
    """The way that a file search ranks its results. One without its threshold is refused."""

    ranker: Literal["auto", "default_2024_08_21"] | None = None
    score_threshold: Annotated[float, Field(ge=0, le=1)]


class FileSearchOptions(Body):
    """The options of a file search."""

    max_num_results: Annotated[int, Field(ge=1, le=50)] | None = None
    ranking_options: RankingOptions | None = None


class FileSearchTool(Body):
    """The file search."""

    type: Literal["file_search"]
    file_search: FileSearchOptions | None = None

    def to_stored(self) -> JsonObject:
        """Return the tool in its stored form."""
        return self.model_dump(exclude_none=True)


class FunctionDescription(Body):
    """The description of a client's function."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | None = None


class FunctionTool(Body):
    """A function tool, echoed with the API's own defaults, as seen in recorded traffic."""

    type: Literal["function"]
    function: FunctionDescription

    def to_stored(self) -> JsonObject:
        """Return the tool in its stored form."""
        function: JsonObject = {"name": self.function.name}
        if self.function.description is not None:
            function["description"] = self.function.description
        function["parameters"] = self.function.parameters or {"type": "object", "properties": {}}
        function["strict"] = bool(self.function.strict)
        return {"type": "function", "function": function}


ToolV1: TypeAlias = Annotated[
    Annotated[CodeTool, Tag("<code_interpreter>")]
    | Annotated[RetrievalTool, Tag("<retrieval>")]
    | Annotated[FunctionTool, Tag("<function>")],
    Discriminator(type_tag),
]
ToolV2: TypeAlias = Annotated[
    Annotated[CodeTool, Tag("<code_interpreter>")]
    | Annotated[FileSearchTool, Tag("<file_search>")]
    | Annotated[FunctionTool, Tag("<function>")],
    Discriminator(type_tag),
]


class CodeResources(Body):
    """The files of the code interpreter."""

    file_ids: FileIds = ()


class VectorStore(Body):
    """A vector store to create. The emulator only gives it an id."""

    file_ids: tuple[str, ...] = ()
    chunking_strategy: JsonObject | None = None
    metadata: MetadataField = Field(default_factory=dict)


class SearchResources(Body):
    """The vector stores of the file search: existing ones by id, and one to create."""

    vector_store_ids: Annotated[tuple[str, ...], Field(max_length=1)] = ()
    vector_stores: Annotated[tuple[VectorStore, ...], Field(max_length=1)] = ()


class ToolResources(Body):
    """The resources that tools may read."""

    code_interpreter: CodeResources | None = None
    file_search: SearchResources | None = None

    def to_stored(self, vector_store_id: str) -> JsonObject:
        """Return the resources in their stored form. A vector store to create gets the id `vector_store_id`."""
        stored: JsonObject = {}
        if self.code_interpreter is not None:
            stored["code_interpreter"] = {"file_ids": list(self.code_interpreter.file_ids)}
        if self.file_search is not None:
            created = [vector_store_id] if self.file_search.vector_stores else []
            stored["file_search"] = {"vector_store_ids": [*self.file_search.vector_store_ids, *created]}
        return stored


class ChosenFunction(Body):
    """The name of a function to call."""

    name: str


class ChosenTool(Body):
    """A tool that the run has to use."""

    type: Literal["function", "code_interpreter", "file_search"]
    function: ChosenFunction | None = None

    @model_validator(mode="after")
    def _has_its_function(self) -> Self:
        if self.type == "function" and self.function is None:
            raise missing("function")
        return self


class ChosenRetrieval(Body):
    """The file search of version 1, if the run has to use it. Stored under its later name."""

    type: Annotated[Literal["retrieval"], PlainSerializer(lambda _: "file_search")]


ToolChoiceV1: TypeAlias = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<string>")]
    | Annotated[ChosenTool, Tag("<function>")]
    | Annotated[ChosenTool, Tag("<code_interpreter>")]
    | Annotated[ChosenRetrieval, Tag("<retrieval>")],
    Discriminator(_string_or_object),
]
ToolChoiceV2: TypeAlias = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<string>")]
    | Annotated[ChosenTool, Tag("<function>")]
    | Annotated[ChosenTool, Tag("<code_interpreter>")]
    | Annotated[ChosenTool, Tag("<file_search>")],
    Discriminator(_string_or_object),
]


class FormatV1(Body):
    """The format that answers must have, in version 1. Only echoed."""

    type: Literal["text", "json_object"]


class Format(Body):
    """The format that answers must have, in version 2. Only echoed."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonObject | None = None

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if self.type == "json_schema":
            if self.json_schema is None:
                raise missing("json_schema")
            for name, kind in (("name", str), ("schema", dict)):
                if self.json_schema.get(name) is None:
                    raise missing(f"json_schema.{name}")
                if not isinstance(self.json_schema[name], kind):
                    got = json_type_name(self.json_schema[name])
                    words = f"Invalid type for '{{param}}': expected {_JSON_TYPES[kind]}, but got {got} instead."
                    raise _custom_error("invalid_type", words, f".json_schema.{name}")
        return self


ResponseFormatV1: TypeAlias = Annotated[
    Annotated[Literal["auto"], Tag("<string>")]
    | Annotated[FormatV1, Tag("<text>")]
    | Annotated[FormatV1, Tag("<json_object>")],
    Discriminator(_string_or_object),
]
ResponseFormatV2: TypeAlias = Annotated[
    Annotated[Literal["auto"], Tag("<string>")]
    | Annotated[Format, Tag("<text>")]
    | Annotated[Format, Tag("<json_object>")]
    | Annotated[Format, Tag("<json_schema>")],
    Discriminator(_string_or_object),
]


class Truncation(Body):
    """The part of a thread that a run reads."""

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _has_its_number(self) -> Self:
        if self.type == "last_messages" and self.last_messages is None:
            raise missing("last_messages")
        return self


STRING_OR_ARRAY = Discriminator(_string_or_array)
