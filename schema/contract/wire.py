"""Wire objects: the upstream's objects in its own names and units, for both versions of the API and its many servers.

An object's envelope is decoded eagerly. Parts of many kinds (content parts, tools, step details, ...) stay raw JSON
until a query selects them. Then each part is decoded on its own. Every field but an id has a default, which stands for
null, a missing key and a value that cannot be read (see `tolerant_decoder.py`). Unknown fields are ignored. Times are
Unix seconds, whole or fractional.

Source: the schemas `ThreadObject`, `MessageObject`, `RunObject`, `RunStepObject` and `AssistantObject` of the API's
specification, versions 1 and 2, and recorded traffic of several servers.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeAlias, TypeVar

from msgspec import Meta, Raw, Struct

_YEARS_1_TO_9999 = Meta(ge=-62_135_596_800, le=253_402_300_799)

Timestamp: TypeAlias = Annotated[int, _YEARS_1_TO_9999] | Annotated[float, _YEARS_1_TO_9999]
"""Unix time in seconds. The specification says whole seconds; some servers send fractions.

A `created_at` of 0 is not known.
"""

Count: TypeAlias = int | float
"""A whole number. The specification says integer; some servers write it as `4.0`."""

RawList: TypeAlias = list[Raw] | None
StringList: TypeAlias = list[str] | None
MetadataObject: TypeAlias = dict[str, Any] | None

NULL = Raw(b"null")
"""A raw part that is null or missing. (A raw field cannot be optional: it accepts null like any other JSON.)"""


class _Wire(Struct, frozen=True, gc=False):
    """Base of all wire objects: immutable, and invisible to the cyclic garbage collector."""


class FileIdsObject(_Wire, frozen=True):
    """`tool_resources.code_interpreter`."""

    file_ids: StringList = None


class VectorStoreIdsObject(_Wire, frozen=True):
    """`tool_resources.file_search`."""

    vector_store_ids: StringList = None


class ToolResourcesObject(_Wire, frozen=True):
    """The resources of the tools of a thread or an assistant (version 2)."""

    code_interpreter: FileIdsObject | None = None
    file_search: VectorStoreIdsObject | None = None


class ThreadObject(_Wire, frozen=True):
    """A thread. `object` is `thread`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    metadata: MetadataObject = None
    tool_resources: ToolResourcesObject | None = None


class ReasonObject(_Wire, frozen=True):
    """`incomplete_details` of a message or a run."""

    reason: str | None = None


class AttachmentObject(_Wire, frozen=True):
    """A file attached to a message and the tools that may read it (version 2)."""

    file_id: str | None = None
    tools: list[KindObject] | None = None


class KindObject(_Wire, frozen=True):
    """An object of which only the kind matters."""

    type: str = ""


class MessageObject(_Wire, frozen=True):
    """A message. `object` is `thread.message`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    role: str = ""
    status: str | None = None
    incomplete_details: ReasonObject | None = None
    completed_at: Timestamp | None = None
    incomplete_at: Timestamp | None = None
    content: list[Raw] | str | None = None
    attachments: list[AttachmentObject] | None = None
    assistant_id: str | None = None
    run_id: str | None = None
    file_ids: StringList = None
    metadata: MetadataObject = None


class MessageFileObject(_Wire, frozen=True):
    """A file of a message (version 1). `object` is `thread.message.file`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    message_id: str | None = None


class ErrorObject(_Wire, frozen=True):
    """`last_error` of a run or a step. The code is an open set: servers add their own."""

    code: str | None = None
    message: str | None = None


class CachedTokensObject(_Wire, frozen=True):
    """Part of a usage. Servers spell its key `prompt_token_details` or `prompt_tokens_details`."""

    cached_tokens: int | None = None


class ReasoningTokensObject(_Wire, frozen=True):
    """Part of a usage."""

    reasoning_tokens: int | None = None


class UsageObject(_Wire, frozen=True):
    """Tokens that a run or a step has used."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_token_details: CachedTokensObject | None = None
    prompt_tokens_details: CachedTokensObject | None = None
    completion_tokens_details: ReasoningTokensObject | None = None


class TruncationObject(_Wire, frozen=True):
    """The part of a thread that a run reads."""

    type: str = "auto"
    last_messages: Count | None = None


class RunObject(_Wire, frozen=True):
    """A run. `object` is `thread.run`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    thread_id: str | None = None
    assistant_id: str | None = None
    status: str = ""
    required_action: Raw = NULL
    last_error: ErrorObject | None = None
    incomplete_details: ReasonObject | None = None
    expires_at: Timestamp | None = None
    started_at: Timestamp | None = None
    cancelled_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    model: str | None = None
    instructions: str | None = None
    tools: RawList = None
    temperature: float | None = None
    top_p: float | None = None
    max_prompt_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    truncation_strategy: TruncationObject | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    response_format: Any = None
    usage: Any = None
    file_ids: StringList = None
    metadata: MetadataObject = None


class RunStepObject(_Wire, frozen=True):
    """A step of a run. `object` is `thread.run.step`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    assistant_id: str | None = None
    type: str = ""
    status: str = ""
    step_details: Raw = NULL
    last_error: ErrorObject | None = None
    expired_at: Timestamp | None = None
    cancelled_at: Timestamp | None = None
    failed_at: Timestamp | None = None
    completed_at: Timestamp | None = None
    usage: Any = None
    metadata: MetadataObject = None


class AssistantObject(_Wire, frozen=True):
    """An assistant. `object` is `assistant`."""

    id: str
    created_at: Timestamp = 0
    object: str | None = None
    name: str | None = None
    description: str | None = None
    model: str | None = None
    instructions: str | None = None
    tools: RawList = None
    tool_resources: ToolResourcesObject | None = None
    temperature: float | None = None
    top_p: float | None = None
    response_format: Any = None
    file_ids: StringList = None
    metadata: MetadataObject = None


ObjectT = TypeVar("ObjectT")


class Page(_Wire, Generic[ObjectT], frozen=True):
    """One upstream list reply. The next page starts after the last object's id.

    If objects that do not belong to the list were left out, it starts after the id `read_until`.
    """

    data: list[ObjectT]
    has_more: bool = False
    read_until: str | None = None


# ---- parts that stay raw until they are selected ----


class TextBodyObject(_Wire, frozen=True):
    """`text` of a text part."""

    value: str = ""
    annotations: RawList = None


class ImageFileBodyObject(_Wire, frozen=True):
    """`image_file` of a content part or of a code interpreter's output."""

    file_id: str
    detail: str | None = None


class ImageUrlBodyObject(_Wire, frozen=True):
    """`image_url` of a content part."""

    url: str
    detail: str | None = None


class ContentPartObject(_Wire, frozen=True):
    """One part of a message's content, of any kind."""

    type: str = ""
    text: TextBodyObject | str | None = None
    image_file: ImageFileBodyObject | None = None
    image_url: ImageUrlBodyObject | None = None
    refusal: Any = None


class CitedFileObject(_Wire, frozen=True):
    """`file_citation` or `file_path` of an annotation."""

    file_id: str
    quote: str | None = None


class AnnotationObject(_Wire, frozen=True):
    """One annotation of a text part, of any kind."""

    type: str = ""
    text: str = ""
    start_index: int | None = None
    end_index: int | None = None
    file_citation: CitedFileObject | None = None
    file_path: CitedFileObject | None = None


class FunctionObject(_Wire, frozen=True):
    """`function` of a tool."""

    name: str = ""
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class FileSearchOptionsObject(_Wire, frozen=True):
    """`file_search` of a tool."""

    max_num_results: int | None = None


class ToolObject(_Wire, frozen=True):
    """One tool of a run or an assistant, of any kind."""

    type: str = ""
    function: FunctionObject | None = None
    file_search: FileSearchOptionsObject | None = None


class FunctionCallObject(_Wire, frozen=True):
    """`function` of a tool call. The specification says that arguments and output are texts; some servers send JSON."""

    name: str = ""
    arguments: Any = None
    output: Any = None


class CodeInterpreterOutputObject(_Wire, frozen=True):
    """One output of a code interpreter's call, of any kind."""

    type: str = ""
    logs: str | None = None
    image: ImageFileBodyObject | None = None


class CodeInterpreterCallObject(_Wire, frozen=True):
    """`code_interpreter` of a tool call."""

    input: str = ""
    outputs: RawList = None


class RankingOptionsObject(_Wire, frozen=True):
    """`ranking_options` of a file search."""

    ranker: str | None = None
    score_threshold: float | None = None


class FoundTextObject(_Wire, frozen=True):
    """One piece of a file that a file search found."""

    text: str | None = None


class FileSearchResultObject(_Wire, frozen=True):
    """One result of a file search."""

    file_id: str | None = None
    file_name: str | None = None
    score: float | None = None
    content: list[FoundTextObject] | None = None


class FileSearchCallObject(_Wire, frozen=True):
    """`file_search` of a tool call."""

    ranking_options: RankingOptionsObject | None = None
    results: list[FileSearchResultObject] | None = None


class ToolCallObject(_Wire, frozen=True):
    """One tool call, of any kind."""

    type: str = ""
    id: str | None = None
    function: FunctionCallObject | None = None
    code_interpreter: CodeInterpreterCallObject | None = None
    file_search: FileSearchCallObject | None = None


class CreatedMessageObject(_Wire, frozen=True):
    """`message_creation` of a step."""

    message_id: str


class StepDetailsObject(_Wire, frozen=True):
    """The details of a step, of any kind."""

    type: str = ""
    message_creation: CreatedMessageObject | None = None
    tool_calls: RawList = None


class SubmitToolOutputsObject(_Wire, frozen=True):
    """`submit_tool_outputs` of a required action."""

    tool_calls: RawList = None


class RequiredActionObject(_Wire, frozen=True):
    """The action that a run waits for, of any kind."""

    type: str = ""
    submit_tool_outputs: SubmitToolOutputsObject | None = None
