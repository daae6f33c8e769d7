"""A message as it is created again at another upstream, and its parts that have no place there. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schema.contract.bodies import (
    MAX_CONTENT_LENGTH,
    AttachmentBody,
    ContentPartBody,
    KindBody,
    MessageBody,
    MetadataBody,
)
from schema.contract.keys import is_upstream_id
from schema.contract.tolerant_decoder import TolerantDecoder, parse_raw
from schema.contract.wire import MessageObject, ThreadObject
from schema.contract.wire_parts import AttachmentObject, ToolResourcesObject

_ROLES = frozenset({"user", "assistant"})
_CODE_INTERPRETER = "code_interpreter"
_ATTACHMENT = TolerantDecoder(AttachmentObject, "attachment")
_RESOURCES = TolerantDecoder(ToolResourcesObject, "tool_resources")
_METADATA: TypeAdapter[dict[str, str]] = TypeAdapter(MetadataBody)
_JSON = dict[str, Any]


class Loss(StrEnum):
    """A kind of things that do not come along, in the words of the command's report."""

    RUNS = "runs, with their steps and tool calls"
    METADATA = "metadata of messages"
    TIMES = "times of messages"
    CITATIONS = "citations and links to files in texts"
    SEARCHED_FILES = "attachments for file search"
    ANSWERED_FILES = "images and files of assistants' messages"
    UNREADABLE_FILES = "files that the source does not give out, in messages"
    UNKNOWN_PARTS = "parts of messages of other kinds"
    EMPTY_MESSAGES = "messages without anything that comes along"
    TOOL_RESOURCES = "files and vector stores of threads, for their tools"


@dataclass(frozen=True, slots=True)
class MessageRules:
    """The limits of the upstream that is copied to. By default it has a place for everything."""

    takes_metadata: bool = True
    takes_searched_files: bool = True
    takes_answered_files: bool = True
    keeps_times: bool = False


@dataclass(frozen=True, slots=True)
class MessagePlan:
    """A message to create. Its files have the ids of the upstream that it is copied from.

    Attributes:
        source: The message.
        role: Whose it is.
        parts: Its content.
        attachments: The files that are attached for tools.
        metadata: Its metadata.
        losses: What of it does not come along.
    """

    source: MessageObject
    role: str
    parts: tuple[ContentPartBody, ...] = ()
    attachments: tuple[AttachmentBody, ...] = ()
    metadata: Mapping[str, str] | None = None
    losses: Counter[Loss] = field(default_factory=Counter)

    @property
    def file_ids(self) -> set[str]:
        """The files that it names."""
        images = (part.image_file.file_id for part in self.parts if part.image_file is not None)
        return {*images, *(attachment.file_id for attachment in self.attachments)}

    def to_body(self, new_ids: Mapping[str, str | None]) -> tuple[MessageBody | None, Counter[Loss]]:
        """Make the body to create, with the new ids of its files. None stands for a file that does not come along.

        Returns:
            The body, None if nothing is left of the message, and all that is lost.
        """
        losses = Counter(self.losses)
        parts = [moved for part in self.parts if (moved := _with_file(part, new_ids)) is not None]
        attachments = [
            attachment.model_copy(update={"file_id": new_id})
            for attachment in self.attachments
            if (new_id := new_ids.get(attachment.file_id)) is not None
        ]
        losses[Loss.UNREADABLE_FILES] += len(self.parts) - len(parts) + len(self.attachments) - len(attachments)
        if not parts:
            losses[Loss.EMPTY_MESSAGES] += 1
            return None, +losses
        optional: _JSON = {"attachments": attachments} if attachments else {}
        if self.metadata:
            optional["metadata"] = dict(self.metadata)
        return MessageBody(role=self.role, content=parts, **optional), +losses


def plan_message(message: MessageObject, rules: MessageRules) -> MessagePlan:
    """Plan how a message is created again."""
    losses: Counter[Loss] = Counter()
    if message.role not in _ROLES:
        losses[Loss.UNKNOWN_PARTS] += 1
        return MessagePlan(message, "user", losses=losses)
    keeps_files = message.role == "user" or rules.takes_answered_files
    parts: list[ContentPartBody] = []
    for part in _read_parts(message):
        if part.get("type") in {"image_file", "image_url"} and not keeps_files:
            losses[Loss.ANSWERED_FILES] += 1
            continue
        planned = list(_plan_valid_part(part, losses))
        losses[Loss.UNKNOWN_PARTS] += not planned and part.get("type") not in {"text", "refusal"}
        parts += planned
    attachments = list(_plan_attachments(message, rules, losses, keeps_files=keeps_files))
    metadata = valid_metadata(message.metadata) if rules.takes_metadata else None
    losses[Loss.METADATA] += bool(message.metadata) and metadata is None
    losses[Loss.TIMES] += not rules.keeps_times
    return MessagePlan(message, message.role, tuple(parts), tuple(attachments), metadata, +losses)


def valid_metadata(metadata: Mapping[str, object] | None) -> dict[str, str] | None:
    """Return metadata that may be created again. None if there is none, or if a server has more than the API allows."""
    try:
        return _METADATA.validate_python(dict(metadata)) if metadata else None
    except ValidationError:
        return None


def losses_of_thread(thread: ThreadObject) -> Counter[Loss]:
    """Find what does not come along of a thread itself."""
    resources = _RESOURCES.decode_part(thread.tool_resources)
    if resources is None:
        return Counter()
    files, search = resources.code_interpreter, resources.file_search
    ids = [*((files and files.file_ids) or ()), *((search and search.vector_store_ids) or ())]
    return Counter({Loss.TOOL_RESOURCES: len(ids)} if ids else {})


def _read_parts(message: MessageObject) -> Iterator[_JSON]:
    if isinstance(message.content, str):
        yield {"type": "text", "text": message.content}
        return
    for raw in message.content or ():
        part = parse_raw(raw)
        yield part if isinstance(part, dict) else {}


def _plan_valid_part(part: _JSON, losses: Counter[Loss]) -> Iterator[ContentPartBody]:
    try:
        yield from _plan_part(part, losses)
    except ValidationError:
        return


def _plan_part(part: _JSON, losses: Counter[Loss]) -> Iterator[ContentPartBody]:
    match part:
        case {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
            yield from _text_parts(text)
        case {"type": "text", "text": {"value": str(text), **rest}}:
            annotations = rest.get("annotations")
            losses[Loss.CITATIONS] += len(annotations) if isinstance(annotations, list) else 0
            yield from _text_parts(text)
        case {"type": "image_file", "image_file": {"file_id": str()} as image}:
            yield ContentPartBody(type="image_file", image_file=_only(image, "file_id", "detail"))
        case {"type": "image_url", "image_url": {"url": str(url)} as image} if url:
            yield ContentPartBody(type="image_url", image_url=_only(image, "url", "detail"))
        case _:
            return


def _text_parts(text: str) -> Iterator[ContentPartBody]:
    """Cut a text into parts that may be created. An empty one has none."""
    for start in range(0, len(text), MAX_CONTENT_LENGTH):
        yield ContentPartBody(type="text", text=text[start : start + MAX_CONTENT_LENGTH])


def _only(part: _JSON, *names: str) -> Any:
    """Take what a request may hold. A detail that is unknown is left to the upstream."""
    taken = {name: part[name] for name in names if part.get(name) is not None}
    if taken.get("detail") not in {"auto", "low", "high"}:
        taken.pop("detail", None)
    return taken


def _plan_attachments(
    message: MessageObject, rules: MessageRules, losses: Counter[Loss], *, keeps_files: bool
) -> Iterator[AttachmentBody]:
    for file_id, tools in _read_attachments(message):
        if not keeps_files:
            losses[Loss.ANSWERED_FILES] += 1
        elif rules.takes_searched_files or all(tool == _CODE_INTERPRETER for tool in tools):
            yield AttachmentBody(file_id=file_id, tools=[KindBody(type=tool) for tool in tools])
        else:
            losses[Loss.SEARCHED_FILES] += 1
            if _CODE_INTERPRETER in tools:
                yield AttachmentBody(file_id=file_id, tools=[KindBody(type=_CODE_INTERPRETER)])


def _read_attachments(message: MessageObject) -> Iterator[tuple[str, list[str]]]:
    """Read the files of a message: with the tools that may read them, or those of version 1, which any tool may."""
    for raw in message.attachments or ():
        attachment = _ATTACHMENT.decode_part(raw)
        if attachment is not None and attachment.file_id is not None and is_upstream_id(attachment.file_id):
            yield attachment.file_id, [tool.type for tool in attachment.tools or ()]
    for file_id in message.file_ids or ():
        yield file_id, [_CODE_INTERPRETER]


def _with_file(part: ContentPartBody, new_ids: Mapping[str, str | None]) -> ContentPartBody | None:
    image = part.image_file
    if image is None:
        return part
    new_id = new_ids.get(image.file_id)
    if new_id is None:
        return None
    return part.model_copy(update={"image_file": image.model_copy(update={"file_id": new_id})})
