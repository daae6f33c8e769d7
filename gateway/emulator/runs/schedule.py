"""The schedule of a script: its timeline, with the time of each event and the ids of new objects.

The pace follows recorded traffic: a run starts about a second after its creation, a short answer takes one to two
seconds more, and a run with a function call waits for outputs about two seconds after the start.
"""

from collections.abc import Iterator

from gateway.emulator.ids import IdFactory
from gateway.emulator.objects import CodeCall, ContentPart, Failure, FunctionCall, McpCall, SearchCall, TextPart, Usage
from gateway.emulator.runs.answer_texts import count_content_tokens, count_tokens
from gateway.emulator.runs.script import (
    AskForApproval,
    CallFunctions,
    EndIncomplete,
    Fail,
    Hang,
    RunCode,
    Script,
    SearchFiles,
    WriteMessage,
)
from gateway.emulator.runs.timeline_events import (
    AnnotationAdded,
    CodeOutputAdded,
    Event,
    MessageEnded,
    MessageStarted,
    PartAdded,
    RunEnded,
    RunRequiresAction,
    RunStarted,
    StepEnded,
    StepStarted,
    TextGrown,
    TimedEvent,
    Timeline,
    ToolCallGrown,
    ToolCallStarted,
)

QUEUE_SECONDS = 1.0
_THINKING_SECONDS = 0.4
_TOOL_SECONDS = 0.8
# A long text comes in bigger pieces, not in more pieces, so that a demo stays quick.
_MAX_PIECES = 24
_PIECE_SECONDS = 0.04
_SHORTEST_PIECE = 4


def timeline_from_script(script: Script, start: float, new_id: IdFactory) -> Timeline:
    """Return the timeline of a script whose run was queued at `start`."""
    writer = _TimelineWriter(start, script, new_id)
    writer.advance(QUEUE_SECONDS)
    writer.add_event(RunStarted())
    for action in script.actions:
        match action:
            case WriteMessage():
                writer.write_message(action)
            case CallFunctions():
                writer.call_functions(action)
            case AskForApproval():
                writer.ask_for_approval(action)
            case RunCode():
                writer.run_code(action)
            case SearchFiles():
                writer.search_files(action)
            case EndIncomplete():
                writer.end_run(RunEnded(status="incomplete", incomplete_reason=action.reason))
            case Fail():
                writer.end_run(RunEnded(status="failed", error=action.failure))
            case Hang():
                writer.is_open = False
        if not writer.is_open:
            return tuple(writer.timeline)
    writer.end_run(RunEnded(status="completed"))
    return tuple(writer.timeline)


class _TimelineWriter:
    """A writer that adds events to a timeline, in order. `is_open` is false once no event may follow."""

    def __init__(self, start: float, script: Script, new_id: IdFactory) -> None:
        self.timeline: list[TimedEvent] = []
        self.is_open = True
        self._at = start
        self._pace = script.pace
        self._prompt_tokens = script.prompt_tokens
        self._new_id = new_id

    def advance(self, seconds: float) -> None:
        self._at += seconds * self._pace

    def add_event(self, event: Event) -> None:
        self.timeline.append(TimedEvent(round(self._at, 3), event))

    def end_run(self, event: RunEnded) -> None:
        self.advance(0.1)
        self.add_event(event)
        self.is_open = False

    def write_message(self, action: WriteMessage) -> None:
        step_id, message_id = self._new_id("step"), self._new_id("msg")
        self.advance(_THINKING_SECONDS)
        self.add_event(StepStarted(step_id=step_id, message_id=message_id))
        self.add_event(MessageStarted(message_id=message_id))
        stops = action.incomplete_reason is not None or action.failure is not None
        for index, part in enumerate(action.parts):
            self._write_part(message_id, index, part, stops=stops)
        usage = self._usage(count_content_tokens(action.parts) // (2 if stops else 1))
        if action.failure is not None:
            self.add_event(MessageEnded(message_id=message_id, incomplete_reason="run_failed"))
            self._fail_step(step_id, action.failure)
            return
        # The step of a message that a limit cuts short is completed nevertheless: seen in a recorded stream.
        reason = None if action.incomplete_reason is None else "max_tokens"
        self.add_event(MessageEnded(message_id=message_id, incomplete_reason=reason))
        self.add_event(StepEnded(step_id=step_id, status="completed", usage=usage))
        if action.incomplete_reason is not None:
            self.end_run(RunEnded(status="incomplete", incomplete_reason=action.incomplete_reason))

    def call_functions(self, action: CallFunctions) -> None:
        step_id = self._new_id("step")
        self.advance(_THINKING_SECONDS)
        self.add_event(StepStarted(step_id=step_id))
        for name, arguments in action.calls:
            call_id = self._new_id("call")
            self.add_event(ToolCallStarted(step_id=step_id, call=FunctionCall(id=call_id, name=name)))
            self._append_call_text(step_id, call_id, arguments)
        self._wait_for_client(sum(count_tokens(arguments) for _, arguments in action.calls))

    def ask_for_approval(self, action: AskForApproval) -> None:
        step_id, call_id = self._new_id("step"), self._new_id("call")
        self.advance(_THINKING_SECONDS)
        self.add_event(StepStarted(step_id=step_id))
        call = McpCall(id=call_id, name=action.name, arguments=action.arguments, server_label=action.server_label)
        self.add_event(ToolCallStarted(step_id=step_id, call=call))
        self._wait_for_client(count_tokens(action.arguments))

    def run_code(self, action: RunCode) -> None:
        step_id, call_id = self._new_id("step"), self._new_id("call")
        self.advance(_THINKING_SECONDS)
        self.add_event(StepStarted(step_id=step_id))
        self.add_event(ToolCallStarted(step_id=step_id, call=CodeCall(id=call_id)))
        self._append_call_text(step_id, call_id, action.input)
        self.advance(_TOOL_SECONDS)
        if action.failure is not None:
            self._fail_step(step_id, action.failure)
            return
        for output in action.outputs:
            self.add_event(CodeOutputAdded(step_id=step_id, call_id=call_id, output=output))
        self.add_event(StepEnded(step_id=step_id, status="completed", usage=self._usage(count_tokens(action.input))))

    def search_files(self, action: SearchFiles) -> None:
        step_id, call_id = self._new_id("step"), self._new_id("call")
        self.advance(_THINKING_SECONDS)
        self.add_event(StepStarted(step_id=step_id))
        self.advance(_TOOL_SECONDS)
        call = SearchCall(
            id=call_id, query=action.query, results=action.results, ranking_options=action.ranking_options
        )
        self.add_event(ToolCallStarted(step_id=step_id, call=call))
        self.add_event(StepEnded(step_id=step_id, status="completed", usage=self._usage(count_tokens("file_search"))))

    def _wait_for_client(self, completion_tokens: int) -> None:
        self.advance(_THINKING_SECONDS)
        self.add_event(RunRequiresAction(usage=self._usage(completion_tokens)))
        self.is_open = False

    def _fail_step(self, step_id: str, failure: Failure) -> None:
        self.add_event(StepEnded(step_id=step_id, status="failed", error=failure))
        self.end_run(RunEnded(status="failed", error=failure))

    def _append_call_text(self, step_id: str, call_id: str, text: str) -> None:
        for piece in _pieces(text):
            self.advance(_PIECE_SECONDS)
            self.add_event(ToolCallGrown(step_id=step_id, call_id=call_id, text=piece))

    def _write_part(self, message_id: str, index: int, part: ContentPart, *, stops: bool) -> None:
        if not isinstance(part, TextPart):
            self.add_event(PartAdded(message_id=message_id, part=part))
            return
        self.add_event(PartAdded(message_id=message_id, part=TextPart(value="")))
        text = part.value[: len(part.value) // 2] if stops else part.value
        for piece in _pieces(text):
            self.advance(_PIECE_SECONDS)
            self.add_event(TextGrown(message_id=message_id, index=index, text=piece))
        for annotation in part.annotations:
            if annotation.end_index <= len(text):
                self.add_event(AnnotationAdded(message_id=message_id, index=index, annotation=annotation))

    def _usage(self, completion_tokens: int) -> Usage:
        return Usage(self._prompt_tokens, completion_tokens)


def _pieces(text: str) -> Iterator[str]:
    """Yield the text in at most `_MAX_PIECES` pieces."""
    length = max(_SHORTEST_PIECE, -(-len(text) // _MAX_PIECES))
    for start in range(0, len(text), length):
        yield text[start : start + length]
