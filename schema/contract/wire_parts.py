"""Wire objects of the parts that stay raw JSON until a query selects them.

Source: the schemas of the API's specification, versions 1 and 2, that the schemas of `wire.py` refer to.
"""

from __future__ import annotations

from typing import Any

from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import RawList, StringList, WireStruct


class FileIdsObject(WireStruct, frozen=True):
    """`tool_resources.code_interpreter`."""

    file_ids: StringList = None


class VectorStoreIdsObject(WireStruct, frozen=True):
    """`tool_resources.file_search`."""

    vector_store_ids: StringList = None


class ToolResourcesObject(WireStruct, frozen=True):
    """The resources of the tools of a thread, a run or an assistant (version 2). Some servers have more kinds."""

    code_interpreter: FileIdsObject | None = None
    file_search: VectorStoreIdsObject | None = None


class AttachmentObject(WireStruct, frozen=True):
    """A file attached to a message and the tools that may read it (version 2). Some servers attach other sources."""

    file_id: str | None = None
    tools: list[KindObject] | None = None


class KindObject(WireStruct, frozen=True):
    """An object of which only the kind matters."""

    type: str = ""


class TextBodyObject(WireStruct, frozen=True):
    """`text` of a text part."""

    value: str = ""
    annotations: RawList = None


class ImageFileBodyObject(WireStruct, frozen=True):
    """`image_file` of a content part or of a code interpreter's output."""

    file_id: str
    detail: str | None = None


class ImageUrlBodyObject(WireStruct, frozen=True):
    """`image_url` of a content part."""

    url: str
    detail: str | None = None


class ContentPartObject(WireStruct, frozen=True):
    """One part of a message's content, of any kind."""

    type: str = ""
    text: TextBodyObject | str | None = None
    image_file: ImageFileBodyObject | None = None
    image_url: ImageUrlBodyObject | None = None
    refusal: Any = None


class CitedFileObject(WireStruct, frozen=True):
    """`file_citation` or `file_path` of an annotation."""

    file_id: str
    quote: str | None = None


class AnnotationObject(WireStruct, frozen=True):
    """One annotation of a text part, of any kind."""

    type: str = ""
    text: str = ""
    start_index: int | None = None
    end_index: int | None = None
    file_citation: CitedFileObject | None = None
    file_path: CitedFileObject | None = None


class FunctionObject(WireStruct, frozen=True):
    """`function` of a tool."""

    name: str = ""
    description: str | None = None
    parameters: Any = None
    strict: bool | None = None


class FileSearchOptionsObject(WireStruct, frozen=True):
    """`file_search` of a tool."""

    max_num_results: int | None = None
    ranking_options: RankingOptionsObject | None = None


class ToolObject(WireStruct, frozen=True):
    """One tool of a run or an assistant, of any kind."""

    type: str = ""
    function: FunctionObject | None = None
    file_search: FileSearchOptionsObject | None = None


class FunctionCallObject(WireStruct, frozen=True):
    """`function` of a tool call. The specification says that arguments and output are texts; some servers send JSON."""

    name: str = ""
    arguments: Any = None
    output: Any = None


class CodeInterpreterOutputObject(WireStruct, frozen=True):
    """One output of a code interpreter's call, of any kind."""

    type: str = ""
    logs: str | None = None
    image: ImageFileBodyObject | None = None


class CodeInterpreterCallObject(WireStruct, frozen=True):
    """`code_interpreter` of a tool call."""

    input: str = ""
    outputs: RawList = None


class RankingOptionsObject(WireStruct, frozen=True):
    """`ranking_options` of a file search."""

    ranker: str | None = None
    score_threshold: float | None = None


class FoundTextObject(WireStruct, frozen=True):
    """One piece of a file that a file search found."""

    type: str = ""
    text: str | None = None


class FileSearchResultObject(WireStruct, frozen=True):
    """One result of a file search."""

    file_id: str | None = None
    file_name: str | None = None
    score: float | None = None
    attributes: dict[str, Any] | None = None
    content: list[FoundTextObject] | None = None


class FileSearchCallObject(WireStruct, frozen=True):
    """`file_search` of a tool call."""

    ranking_options: RankingOptionsObject | None = None
    results: list[FileSearchResultObject] | None = None


class ToolCallObject(WireStruct, frozen=True):
    """One tool call, of any kind. Calls of MCP servers have their fields beside the kind."""

    type: str = ""
    id: str | None = None
    function: FunctionCallObject | None = None
    code_interpreter: CodeInterpreterCallObject | None = None
    file_search: FileSearchCallObject | None = None
    name: str | None = None
    arguments: Any = None
    server_label: str | None = None


class CreatedMessageObject(WireStruct, frozen=True):
    """`message_creation` of a step."""

    message_id: str


class StepDetailsObject(WireStruct, frozen=True):
    """The details of a step, of any kind."""

    type: str = ""
    message_creation: CreatedMessageObject | None = None
    tool_calls: RawList = None


class AwaitedCallsObject(WireStruct, frozen=True):
    """`submit_tool_outputs` or `submit_tool_approval` of a required action."""

    tool_calls: RawList = None


class RequiredActionObject(WireStruct, frozen=True):
    """The action that a run waits for, of any kind."""

    type: str = ""
    submit_tool_outputs: AwaitedCallsObject | None = None
    submit_tool_approval: AwaitedCallsObject | None = None


STEP_DETAILS_DECODER = TolerantDecoder(StepDetailsObject, "step's details", strict=False)
TOOL_CALL_DECODER = TolerantDecoder(ToolCallObject, "tool call", strict=False)
