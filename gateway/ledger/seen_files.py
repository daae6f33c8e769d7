"""The files that runs made, found in the objects and changes that pass through the gateway. Pure.

A run makes the images, the files of paths and what its code attaches in its messages, and the images in the outputs of
its code interpreter. What a message merely cites, and what a person put into one, was not made by a run.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from schema.contract.run_events import (
    Change,
    MessageCreatedChange,
    MessageFinishedChange,
    SnapshotChange,
    StepChange,
    TextDeltaChange,
)
from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import MessageObject, Page, RunStepObject
from schema.contract.wire_parts import (
    STEP_DETAILS_DECODER,
    TOOL_CALL_DECODER,
    AnnotationObject,
    AttachmentObject,
    CodeInterpreterOutputObject,
    ContentPartObject,
    TextBodyObject,
)

_CONTENT_PART = TolerantDecoder(ContentPartObject, "content part", strict=False)
_ANNOTATION = TolerantDecoder(AnnotationObject, "annotation", strict=False)
_ATTACHMENT = TolerantDecoder(AttachmentObject, "attachment", strict=False)
_OUTPUT = TolerantDecoder(CodeInterpreterOutputObject, "output of a code interpreter", strict=False)


def find_made_files(seen: object) -> Iterator[str]:
    """Find the files that runs made, by id, in an object or a page. Errors and other kinds have none."""
    if isinstance(seen, Page):
        for item in seen.data:
            yield from find_made_files(item)
    elif isinstance(seen, MessageObject):
        # The messages that a person adds with a run may name it.
        if seen.run_id is not None and seen.role != "user":
            yield from _made_in_content(seen.content if isinstance(seen.content, list) else ())
            yield from _made_in_attachments(seen.attachments or ())
    elif isinstance(seen, RunStepObject):
        yield from _made_in_step(seen)


def find_files_made_in_changes(changes: Sequence[Change]) -> Iterator[str]:
    """Find the files that runs made, by id, in the changes of a run or a thread."""
    for change in changes:
        match change:
            case SnapshotChange():
                for seen in (*change.messages, *change.steps):
                    yield from find_made_files(seen)
            case StepChange():
                yield from _made_in_step(change.step)
            case MessageCreatedChange() | MessageFinishedChange():
                yield from find_made_files(change.message)
            case TextDeltaChange():  # runs alone write texts in pieces
                yield from _made_in_annotations(change.annotations)
            case _:
                pass


def _made_in_content(content: Sequence[msgspec.Raw]) -> Iterator[str]:
    for raw in content:
        if not _may_name_file(raw):
            continue
        part = _CONTENT_PART.decode_part(raw)
        if part is None:
            continue
        if part.image_file is not None:
            yield part.image_file.file_id
        if isinstance(part.text, TextBodyObject) and part.text.annotations:
            yield from _made_in_annotations(part.text.annotations)


def _made_in_attachments(attachments: Sequence[msgspec.Raw]) -> Iterator[str]:
    """Find the files that code made. OpenAI's service attaches them, also those that no annotation names."""
    for raw in attachments:
        attachment = _ATTACHMENT.decode_part(raw)
        if attachment is None or attachment.file_id is None:
            continue
        if any(tool.type == "code_interpreter" for tool in attachment.tools or ()):
            yield attachment.file_id


def _made_in_annotations(annotations: Sequence[msgspec.Raw]) -> Iterator[str]:
    for raw in annotations:
        annotation = _ANNOTATION.decode_part(raw)
        if annotation is not None and annotation.file_path is not None:
            yield annotation.file_path.file_id


def _made_in_step(step: RunStepObject) -> Iterator[str]:
    if not _may_name_file(step.step_details):
        return
    details = STEP_DETAILS_DECODER.decode_part(step.step_details)
    for raw_call in (details and details.tool_calls) or ():
        call = TOOL_CALL_DECODER.decode_part(raw_call)
        if call is None or call.code_interpreter is None:
            continue
        for raw_output in call.code_interpreter.outputs or ():
            output = _OUTPUT.decode_part(raw_output)
            if output is not None and output.image is not None:
                yield output.image.file_id


def _may_name_file(raw: msgspec.Raw) -> bool:
    """Return whether a part names a file, perhaps. Most do not, and need not be decoded."""
    return b"file_id" in bytes(raw)
