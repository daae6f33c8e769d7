"""The server-sent events that a response's stream shows for each event of its timeline. Pure, except that it counts.

The timeline is the log of the stream: the same events, with the same sequence numbers, come from it at each reading. So
a reader can begin behind any number. A cancelled response has no last event: its stream ends.

Source: `ResponseStreamEvent` of the specification, whose order of events is that of the API's documentation.
"""

from collections.abc import Collection, Iterator, Sequence

from gateway.emulator.bodies.output_items import (
    call_item,
    call_item_id,
    message_item,
    output_items,
    output_part,
    render_text_annotation,
    shown_item,
)
from gateway.emulator.bodies.reply_responses import render_response, response_status
from gateway.emulator.bodies.response_errors import nothing_with_id
from gateway.emulator.objects import (
    CodeCall,
    ContentPart,
    FunctionCall,
    JsonObject,
    Message,
    RefusalPart,
    SearchCall,
    Step,
    TextPart,
    ToolCall,
)
from gateway.emulator.response_objects import Response
from gateway.emulator.runs.progress import Progress
from gateway.emulator.runs.timeline_events import (
    AnnotationAdded,
    CodeOutputAdded,
    Event,
    MessageEnded,
    MessageStarted,
    PartAdded,
    RunEnded,
    RunStarted,
    StepEnded,
    TextGrown,
    ToolCallGrown,
    ToolCallStarted,
)
from gateway.emulator.state.response_state import first_progress, with_progress
from gateway.emulator.streams.stream_events import ServerSentEvent

_DONE_FRAME = b"data: [DONE]\n\n"


class ResponseStream:
    """The form of a response's stream.

    Args:
        response: The response at any time.
        includes: The fields of items that the client asked for.
        starting_after: The last sequence number that the client has.
    """

    done_frame = _DONE_FRAME

    def __init__(self, response: Response, includes: Collection[str] = (), starting_after: int = -1) -> None:
        self._response = with_progress(response, first_progress(response))
        self._includes = includes
        self._starting_after = starting_after
        self._next_number = 0

    def opening_events(self) -> Sequence[ServerSentEvent]:
        """Return the events of the response's creation."""
        names = ["created", "queued"] if self._response.is_background else ["created"]
        return self._numbered(self._whole(name, self._response) for name in names)

    def render_event(self, before: Progress, event: Event, after: Progress) -> Sequence[ServerSentEvent]:
        """Return the stream's events for a timeline event that led from the progress `before` to `after`."""
        return self._numbered(
            self._events(with_progress(self._response, before), event, with_progress(self._response, after))
        )

    def render_missing(self, run_id: str) -> ServerSentEvent:
        """Return the event of a response that was deleted while its stream was open (assumed)."""
        refusal = nothing_with_id("Response", run_id)
        return ServerSentEvent(
            "error",
            {
                "type": "error",
                "sequence_number": self._next_number,
                "code": refusal.code,
                "message": refusal.message,
                "param": refusal.param,
            },
        )

    def _numbered(self, events: Iterator[JsonObject]) -> Sequence[ServerSentEvent]:
        numbered: list[ServerSentEvent] = []
        for event in events:
            number, self._next_number = self._next_number, self._next_number + 1
            if number > self._starting_after:
                shown = {"type": event["type"], "sequence_number": number, **event}
                numbered.append(ServerSentEvent(event["type"], shown))
        return numbered

    def _whole(self, name: str, response: Response) -> JsonObject:
        return {"type": f"response.{name}", "response": render_response(response, self._includes)}

    def _events(self, before: Response, event: Event, after: Response) -> Iterator[JsonObject]:
        match event:
            case RunStarted():
                yield self._whole("in_progress", after)
            case RunEnded(status=status) if status != "cancelled":
                yield self._whole(response_status(after), after)
            case MessageStarted(message_id=message_id):
                yield self._item("added", after, message_item(after, _message(after, message_id)))
            case PartAdded() | TextGrown() | AnnotationAdded():
                yield from self._content_events(before, event, after)
            case MessageEnded(incomplete_reason=reason) if reason != "run_cancelled":
                message = _message(after, event.message_id)
                yield from self._part_end(after, message)
                yield self._item("done", after, message_item(after, message))
            case ToolCallStarted(call=call, step_id=step_id):
                yield from self._call_end(before, _step(before, step_id), "completed")
                yield from self._call_start(after, call)
            case ToolCallGrown() | CodeOutputAdded():
                yield from self._growth_events(before, event, after)
            case StepEnded(status=status) if status != "cancelled":
                yield from self._call_end(after, _step(after, event.step_id), status)
            case _:
                # The other events change nothing that a stream shows.
                return

    def _content_events(
        self, before: Response, event: PartAdded | TextGrown | AnnotationAdded, after: Response
    ) -> Iterator[JsonObject]:
        message = _message(before, event.message_id)
        place = self._place(after, message.id)
        match event:
            case PartAdded(part=part):
                yield from self._part_end(after, message)
                place |= {"content_index": len(message.content)}
                empty = RefusalPart(refusal="") if isinstance(part, RefusalPart) else TextPart(value="")
                yield {"type": "response.content_part.added", **place, "part": output_part(after, empty)}
                if isinstance(part, RefusalPart):
                    yield {"type": "response.refusal.delta", **place, "delta": part.refusal}
                elif isinstance(part, TextPart) and part.value:
                    yield _text_delta(place, part.value)
            case TextGrown(index=index, text=text):
                yield _text_delta({**place, "content_index": index}, text)
            case AnnotationAdded(index=index, annotation=annotation):
                part = message.content[index]
                yield {
                    "type": "response.output_text.annotation.added",
                    **place,
                    "content_index": index,
                    "annotation_index": len(part.annotations) if isinstance(part, TextPart) else 0,
                    "annotation": render_text_annotation(after, annotation),
                }

    def _part_end(self, after: Response, message: Message) -> Iterator[JsonObject]:
        """Yield the end of a message's last part, if there is one."""
        if not message.content:
            return
        part: ContentPart = message.content[-1]
        place = {**self._place(after, message.id), "content_index": len(message.content) - 1}
        match part:
            case TextPart():
                yield {"type": "response.output_text.done", **place, "text": part.value, "logprobs": []}
            case RefusalPart():
                yield {"type": "response.refusal.done", **place, "refusal": part.refusal}
        yield {"type": "response.content_part.done", **place, "part": output_part(after, part)}

    def _call_start(self, after: Response, call: ToolCall) -> Iterator[JsonObject]:
        item = call_item(after, call, "in_progress")
        place = self._place(after, item["id"])
        match call:
            case SearchCall():
                yield self._item("added", after, {**item, "queries": [], "results": None})
                yield {"type": "response.file_search_call.in_progress", **place}
                yield {"type": "response.file_search_call.searching", **place}
            case CodeCall():
                yield self._item("added", after, item)
                yield {"type": "response.code_interpreter_call.in_progress", **place}
            case _:
                yield self._item("added", after, item)

    def _growth_events(
        self, before: Response, event: ToolCallGrown | CodeOutputAdded, after: Response
    ) -> Iterator[JsonObject]:
        call = next(call for call in _step(before, event.step_id).tool_calls if call.id == event.call_id)
        place = self._place(after, call_item_id(after, call))
        match event:
            case ToolCallGrown(text=text) if isinstance(call, CodeCall):
                yield {"type": "response.code_interpreter_call_code.delta", **place, "delta": text}
            case ToolCallGrown(text=text):
                yield {"type": "response.function_call_arguments.delta", **place, "delta": text}
            case CodeOutputAdded() if isinstance(call, CodeCall) and not call.outputs:
                yield from _code_written(place, call)

    def _call_end(self, shown: Response, step: Step, status: str) -> Iterator[JsonObject]:
        """Yield the end of a step's last call, if there is one."""
        if not step.tool_calls:
            return
        call = step.tool_calls[-1]
        item = call_item(shown, call, status)
        place = self._place(shown, item["id"])
        match call:
            case FunctionCall():
                done = {"name": call.name, "arguments": call.arguments}
                yield {"type": "response.function_call_arguments.done", **place, **done}
            case CodeCall():
                if not call.outputs:
                    yield from _code_written(place, call)
                if status == "completed":
                    yield {"type": "response.code_interpreter_call.completed", **place}
            case SearchCall() if status == "completed":
                yield {"type": "response.file_search_call.completed", **place}
        yield self._item("done", shown, item)

    def _item(self, name: str, shown: Response, item: JsonObject) -> JsonObject:
        index = self._place(shown, item["id"])["output_index"]
        return {
            "type": f"response.output_item.{name}",
            "output_index": index,
            "item": shown_item(item, self._includes),
        }

    def _place(self, shown: Response, item_id: str) -> JsonObject:
        ids = [item["id"] for item in output_items(shown)]
        return {"item_id": item_id, "output_index": ids.index(item_id)}


def _code_written(place: JsonObject, call: CodeCall) -> Iterator[JsonObject]:
    yield {"type": "response.code_interpreter_call_code.done", **place, "code": call.input}
    yield {"type": "response.code_interpreter_call.interpreting", **place}


def _text_delta(place: JsonObject, text: str) -> JsonObject:
    return {"type": "response.output_text.delta", **place, "delta": text, "logprobs": []}


def _message(response: Response, message_id: str) -> Message:
    return next(message for message in response.messages if message.id == message_id)


def _step(response: Response, step_id: str) -> Step:
    return next(step for step in response.steps if step.id == step_id)
