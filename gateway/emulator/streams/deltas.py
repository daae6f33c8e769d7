"""Delta events of a stream: the pieces that it adds to a message or to a step. Pure.

Source: recorded streams. Only the first piece of a text has `annotations`. No delta has a role.
"""

from dataclasses import replace

from gateway.emulator.bodies.reply_parts import (
    render_annotation,
    render_code_output,
    render_content_part,
    render_tool_call,
)
from gateway.emulator.objects import (
    ApiVersion,
    CodeCall,
    FileCitation,
    JsonObject,
    Message,
    SearchCall,
    Step,
    TextAnnotation,
    TextPart,
)
from gateway.emulator.runs.timeline_events import (
    AnnotationAdded,
    CodeOutputAdded,
    PartAdded,
    TextGrown,
    ToolCallGrown,
    ToolCallStarted,
)


def message_delta(
    before: Message, event: PartAdded | TextGrown | AnnotationAdded, version: ApiVersion
) -> JsonObject | None:
    """Return the delta that an event adds to the message as it was before.

    Returns:
        None for a new empty text: the stream shows the part with its first piece.
    """
    match event:
        case PartAdded(part=TextPart(value="")):
            return None
        case PartAdded(part=part):
            content: JsonObject = {"index": len(before.content), **render_content_part(part, version)}
        case TextGrown(index=index, text=text):
            part = before.content[index]
            is_first = isinstance(part, TextPart) and not part.value
            content = _text(index, {"value": text, **({"annotations": []} if is_first else {})})
        case AnnotationAdded(index=index):
            part = before.content[index]
            position = len(part.annotations) if isinstance(part, TextPart) else 0
            content = _text(index, {"annotations": [{"index": position, **_annotation(event.annotation, version)}]})
    return {"id": before.id, "object": "thread.message.delta", "delta": {"content": [content]}}


def step_delta(
    before: Step, event: ToolCallStarted | ToolCallGrown | CodeOutputAdded, version: ApiVersion
) -> JsonObject:
    """Return the delta that an event adds to the step as it was before."""
    match event:
        case ToolCallStarted(call=started):
            # Search results are shown with the completed step only.
            call = replace(started, results=()) if isinstance(started, SearchCall) else started
            shown = {"index": len(before.tool_calls), **render_tool_call(call, version, with_search_content=False)}
        case ToolCallGrown(call_id=call_id, text=text):
            index = _index(before, call_id)
            key, field = (
                ("code_interpreter", "input")
                if isinstance(before.tool_calls[index], CodeCall)
                else ("function", "arguments")
            )
            shown = {"index": index, "type": key, key: {field: text}}
        case CodeOutputAdded(call_id=call_id, output=output):
            index = _index(before, call_id)
            call = before.tool_calls[index]
            position = len(call.outputs) if isinstance(call, CodeCall) else 0
            outputs = [{"index": position, **render_code_output(output)}]
            shown = {"index": index, "type": "code_interpreter", "code_interpreter": {"outputs": outputs}}
    details = {"type": "tool_calls", "tool_calls": [shown]}
    return {"id": before.id, "object": "thread.run.step.delta", "delta": {"step_details": details}}


def _index(step: Step, call_id: str) -> int:
    return [call.id for call in step.tool_calls].index(call_id)


def _text(index: int, text: JsonObject) -> JsonObject:
    return {"index": index, "type": "text", "text": text}


def _annotation(added: TextAnnotation, version: ApiVersion) -> JsonObject:
    rendered = render_annotation(added, version)
    if isinstance(added, FileCitation):
        # A stream has the quote in version 2 too, though an empty one.
        rendered["file_citation"].setdefault("quote", "")
    return rendered
