"""The objects as the emulator stores them: one form, from which both API versions are rendered.

All times are whole unix seconds. A value that the emulator only echoes (tools, tool resources, formats) stays JSON.
The database holds these objects as JSON, so a change of a stored class name or a field needs a new `SCHEMA_VERSION`.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field

ApiVersion: TypeAlias = Literal["v1", "v2"]
ServerKind: TypeAlias = Literal["openai", "azure", "foundry", "azure_v1", "foundry_v1"]
JsonObject: TypeAlias = dict[str, Any]
Metadata: TypeAlias = dict[str, str]
RunStatus: TypeAlias = Literal[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "incomplete",
    "expired",
]
StepStatus: TypeAlias = Literal["in_progress", "cancelled", "failed", "completed", "expired"]
MessageStatus: TypeAlias = Literal["in_progress", "incomplete", "completed"]
Role: TypeAlias = Literal["user", "assistant"]
FileTool: TypeAlias = Literal["code_interpreter", "file_search"]

TERMINAL_RUN_STATUSES: frozenset[RunStatus] = frozenset({"cancelled", "failed", "completed", "incomplete", "expired"})
RUN_LIFETIME_SECONDS = 600
# Seen in a recorded stream of a run whose tool names no options.
DEFAULT_RANKING: Final[JsonObject] = {"ranker": "default_2024_08_21", "score_threshold": 0.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCitation:
    """An annotation where a text quotes a file. Indexes count Unicode code points of the text."""

    kind: Literal["file_citation"] = "file_citation"
    text: str
    start_index: int
    end_index: int
    file_id: str
    quote: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePath:
    """An annotation where a text names a file that the code interpreter wrote."""

    kind: Literal["file_path"] = "file_path"
    text: str
    start_index: int
    end_index: int
    file_id: str


TextAnnotation: TypeAlias = Annotated[FileCitation | FilePath, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextPart:
    """Text with its annotations."""

    kind: Literal["text"] = "text"
    value: str
    annotations: tuple[TextAnnotation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFilePart:
    """An image that a client uploaded or a tool made."""

    kind: Literal["image_file"] = "image_file"
    file_id: str
    detail: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageUrlPart:
    """An image at an external URL."""

    kind: Literal["image_url"] = "image_url"
    url: str
    detail: str = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusalPart:
    """The assistant's refusal to answer."""

    kind: Literal["refusal"] = "refusal"
    refusal: str


ContentPart: TypeAlias = Annotated[
    TextPart | ImageFilePart | ImageUrlPart | RefusalPart,
    Field(discriminator="kind"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeLogs:
    """Text that code printed."""

    kind: Literal["logs"] = "logs"
    logs: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeImage:
    """An image that code drew."""

    kind: Literal["image"] = "image"
    file_id: str


CodeOutput: TypeAlias = Annotated[CodeLogs | CodeImage, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResult:
    """A passage that a file search found. The score lies between 0 and 1."""

    file_id: str
    file_name: str
    score: float
    text: str
    attributes: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionCall:
    """A call of a client's function. The output is None until the client submits it."""

    kind: Literal["function"] = "function"
    id: str
    name: str
    arguments: str = ""
    output: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeCall:
    """A piece of code that was run, and its outputs."""

    kind: Literal["code_interpreter"] = "code_interpreter"
    id: str
    input: str = ""
    outputs: tuple[CodeOutput, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchCall:
    """A search of files, and its results."""

    kind: Literal["file_search"] = "file_search"
    id: str
    query: str = ""
    results: tuple[SearchResult, ...] = ()
    ranking_options: JsonObject = field(default_factory=lambda: dict(DEFAULT_RANKING))


@dataclass(frozen=True, slots=True, kw_only=True)
class McpCall:
    """A call of an MCP server's tool, which a client has to approve (Foundry only)."""

    kind: Literal["mcp"] = "mcp"
    id: str
    name: str
    arguments: str
    server_label: str
    output: str | None = None


ToolCall: TypeAlias = Annotated[FunctionCall | CodeCall | SearchCall | McpCall, Field(discriminator="kind")]
AwaitedCall: TypeAlias = Annotated[FunctionCall | McpCall, Field(discriminator="kind")]


@dataclass(frozen=True, slots=True)
class Usage:
    """Numbers of tokens read and written."""

    prompt_tokens: int
    completion_tokens: int

    def __add__(self, other: "Usage") -> "Usage":
        """Return the sum of both usages."""
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True, slots=True)
class Failure:
    """The reason why a run or a step failed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a message, and the tools that may read it."""

    file_id: str
    tools: tuple[FileTool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedFile:
    """A file that a client uploaded. The store holds its content apart."""

    id: str
    created_at: int
    filename: str
    purpose: str
    size: int


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A file of an assistant, and the time when it was attached. Only version 1 shows the time."""

    file_id: str
    created_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """A conversation."""

    id: str
    created_at: int
    metadata: Metadata = field(default_factory=dict)
    tool_resources: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message of a conversation. Streams show its status, REST does not."""

    id: str
    thread_id: str
    created_at: int
    role: Role
    content: tuple[ContentPart, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    assistant_id: str | None = None
    run_id: str | None = None
    status: MessageStatus = "completed"
    completed_at: int | None = None
    incomplete_at: int | None = None
    incomplete_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An assistant's work on a thread.

    Attributes:
        awaited_calls: The calls whose outputs or approvals a run in `requires_action` waits for.
        asks_model: Whether a model answers the run. Otherwise a script does.
    """

    id: str
    thread_id: str
    assistant_id: str
    created_at: int
    expires_at: int
    model: str
    status: RunStatus = "queued"
    instructions: str | None = None
    tools: tuple[JsonObject, ...] = ()
    tool_resources: JsonObject = field(default_factory=dict)
    file_ids: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    temperature: float | None = 1.0
    top_p: float | None = 1.0
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    max_prompt_tokens: int | None = None
    truncation_strategy: JsonObject = field(default_factory=lambda: {"type": "auto", "last_messages": None})
    response_format: Any = "auto"
    tool_choice: Any = "auto"
    parallel_tool_calls: bool = True
    started_at: int | None = None
    cancelled_at: int | None = None
    failed_at: int | None = None
    completed_at: int | None = None
    awaited_calls: tuple[AwaitedCall, ...] = ()
    last_error: Failure | None = None
    incomplete_reason: str | None = None
    usage: Usage | None = None
    asks_model: bool = False

    @property
    def is_terminal(self) -> bool:
        """Return whether the status can no longer change."""
        return self.status in TERMINAL_RUN_STATUSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action of a run: it wrote a message (`message_id`) or called tools."""

    id: str
    run_id: str
    thread_id: str
    assistant_id: str
    created_at: int
    expires_at: int
    status: StepStatus = "in_progress"
    message_id: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    cancelled_at: int | None = None
    completed_at: int | None = None
    failed_at: int | None = None
    last_error: Failure | None = None
    usage: Usage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistant:
    """A configured assistant. `files` are those that a client attached by version 1."""

    id: str
    created_at: int
    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    tools: tuple[JsonObject, ...] = ()
    tool_resources: JsonObject = field(default_factory=dict)
    files: tuple[AttachedFile, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    temperature: float | None = 1.0
    top_p: float | None = 1.0
    reasoning_effort: str | None = None
    response_format: Any = "auto"
