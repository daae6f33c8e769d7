"""Turns a script into a timeline: which event happens when, with the ids of what it makes.

The pace follows recorded traffic: a run is taken up about a second after it was made, a short answer takes one to
two seconds more, a function call waits about two seconds after the start.
"""

from collections.abc import Iterator

from gateway.emulator.ids import Mint
from gateway.emulator.objects import CodeCall, ContentPart, Failure, FunctionCall, SearchCall, TextPart, Usage
from gateway.emulator.runs.answer_texts import token_count, tokens_of
from gateway.emulator.runs.script import (
    CallFunctions,
    Fail,
    Hang,
    RunCode,
    Script,
    SearchFiles,
    StopShort,
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
    Timed,
    Timeline,
    ToolCallGrown,
    ToolCallStarted,
)

QUEUE_SECONDS = 1.0
_THINKING_SECONDS = 0.4
_TOOL_SECONDS = 0.8
# A long text comes in bigger pieces, not for longer, so that a demo stays brisk.
_MAX_PIECES = 24
_PIECE_SECONDS = 0.04
_SHORTEST_PIECE = 4


def schedule(script: Script, start: float, mint: Mint) -> Timeline:
    """Return the timeline of a script whose run was queued at ``start``."""
    writer = _Writer(start, script, mint)
    writer.wait(QUEUE_SECONDS)
    writer.add(RunStarted())
    for act in script.acts:
        match act:
            case WriteMessage():
                writer.write_message(act)
            case CallFunctions():
                writer.call_functions(act)
            case RunCode():
                writer.run_code(act)
            case SearchFiles():
                writer.search_files(act)
            case StopShort():
                writer.end(RunEnded(status="incomplete", incomplete_reason=act.reason))
            case Fail():
                writer.end(RunEnded(status="failed", error=act.failure))
            case Hang():
                writer.is_open = False
        if not writer.is_open:
            return tuple(writer.timeline)
    writer.end(RunEnded(status="completed"))
    return tuple(writer.timeline)


class _Writer:
    """Puts events on a timeline, one after the other; ``is_open`` is false once nothing may follow."""

    def __init__(self, start: float, script: Script, mint: Mint) -> None:
        self.timeline: list[Timed] = []
        self.is_open = True
        self._at = start
        self._pace = script.pace
        self._prompt_tokens = script.prompt_tokens
        self._mint = mint

    def wait(self, seconds: float) -> None:
        self._at += seconds * self._pace

    def add(self, event: Event) -> None:
        self.timeline.append(Timed(round(self._at, 3), event))

    def end(self, event: RunEnded) -> None:
        self.wait(0.1)
        self.add(event)
        self.is_open = False

    def write_message(self, act: WriteMessage) -> None:
        step_id, message_id = self._mint("step"), self._mint("msg")
        self.wait(_THINKING_SECONDS)
        self.add(StepStarted(step_id=step_id, message_id=message_id))
        self.add(MessageStarted(message_id=message_id))
        stops = act.incomplete_reason is not None or act.failure is not None
        for index, part in enumerate(act.parts):
            self._write_part(message_id, index, part, stops=stops)
        usage = self._usage(token_count(act.parts) // (2 if stops else 1))
        if act.failure is not None:
            self.add(MessageEnded(message_id=message_id, incomplete_reason="run_failed"))
            self._fail_step(step_id, act.failure)
            return
        # The step of a message cut off by a limit is completed all the same: seen in a recorded stream.
        reason = None if act.incomplete_reason is None else "max_tokens"
        self.add(MessageEnded(message_id=message_id, incomplete_reason=reason))
        self.add(StepEnded(step_id=step_id, status="completed", usage=usage))
        if act.incomplete_reason is not None:
            self.end(RunEnded(status="incomplete", incomplete_reason=act.incomplete_reason))

    def call_functions(self, act: CallFunctions) -> None:
        step_id = self._mint("step")
        self.wait(_THINKING_SECONDS)
        self.add(StepStarted(step_id=step_id))
        for name, arguments in act.calls:
            call_id = self._mint("call")
            self.add(ToolCallStarted(step_id=step_id, call=FunctionCall(id=call_id, name=name)))
            self._grow_call(step_id, call_id, arguments)
        self.wait(_THINKING_SECONDS)
        self.add(RunRequiresAction())
        self.is_open = False

    def run_code(self, act: RunCode) -> None:
        step_id, call_id = self._mint("step"), self._mint("call")
        self.wait(_THINKING_SECONDS)
        self.add(StepStarted(step_id=step_id))
        self.add(ToolCallStarted(step_id=step_id, call=CodeCall(id=call_id)))
        self._grow_call(step_id, call_id, act.input)
        self.wait(_TOOL_SECONDS)
        if act.failure is not None:
            self._fail_step(step_id, act.failure)
            return
        for output in act.outputs:
            self.add(CodeOutputAdded(step_id=step_id, call_id=call_id, output=output))
        self.add(StepEnded(step_id=step_id, status="completed", usage=self._usage(tokens_of(act.input))))

    def search_files(self, act: SearchFiles) -> None:
        step_id, call_id = self._mint("step"), self._mint("call")
        self.wait(_THINKING_SECONDS)
        self.add(StepStarted(step_id=step_id))
        self.wait(_TOOL_SECONDS)
        self.add(ToolCallStarted(step_id=step_id, call=SearchCall(id=call_id, results=act.results)))
        self.add(StepEnded(step_id=step_id, status="completed", usage=self._usage(tokens_of("file_search"))))

    def _fail_step(self, step_id: str, failure: Failure) -> None:
        self.add(StepEnded(step_id=step_id, status="failed", error=failure))
        self.end(RunEnded(status="failed", error=failure))

    def _grow_call(self, step_id: str, call_id: str, text: str) -> None:
        for piece in _pieces(text):
            self.wait(_PIECE_SECONDS)
            self.add(ToolCallGrown(step_id=step_id, call_id=call_id, text=piece))

    def _write_part(self, message_id: str, index: int, part: ContentPart, *, stops: bool) -> None:
        if not isinstance(part, TextPart):
            self.add(PartAdded(message_id=message_id, part=part))
            return
        self.add(PartAdded(message_id=message_id, part=TextPart(value="")))
        text = part.value[: len(part.value) // 2] if stops else part.value
        for piece in _pieces(text):
            self.wait(_PIECE_SECONDS)
            self.add(TextGrown(message_id=message_id, index=index, text=piece))
        for annotation in part.annotations:
            if annotation.end_index <= len(text):
                self.add(AnnotationAdded(message_id=message_id, index=index, annotation=annotation))

    def _usage(self, completion_tokens: int) -> Usage:
        return Usage(self._prompt_tokens, completion_tokens)


def _pieces(text: str) -> Iterator[str]:
    """Yield the text in at most ``_MAX_PIECES`` pieces."""
    length = max(_SHORTEST_PIECE, -(-len(text) // _MAX_PIECES))
    for place in range(0, len(text), length):
        yield text[place : place + length]
