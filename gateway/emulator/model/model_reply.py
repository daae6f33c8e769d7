"""The conversion of a model's answer to timeline events, chunk by chunk. Pure.

Text becomes a message. Function calls become a step that waits for their outputs. Text before calls is a separate
message whose step has a usage of zero: the usage of an answer is known at its end, and belongs to its last step.
"""

from collections.abc import Collection
from dataclasses import dataclass

from gateway.emulator.ids import IdFactory
from gateway.emulator.model import failures
from gateway.emulator.model.chunks import CallPiece, Chunk
from gateway.emulator.objects import FunctionCall, RefusalPart, TextPart, Usage
from gateway.emulator.runs.answer_texts import count_tokens
from gateway.emulator.runs.timeline_events import (
    Event,
    MessageEnded,
    MessageStarted,
    PartAdded,
    RunEnded,
    RunRequiresAction,
    StepEnded,
    StepStarted,
    TextGrown,
    ToolCallGrown,
    ToolCallStarted,
)

# The most tools of a request to the chat-completions API, so no honest answer has more calls.
MAX_CALLS = 128
_MAX_ID_LENGTH = 256
_NO_USAGE = Usage(0, 0)
# The reason of the message and of the run. The specification lists no reason of a run for a content filter. By Azure's
# own specification such a run ends as incomplete. The name of its reason is assumed to be that of the message.
_CUT_SHORT = {"length": ("max_tokens", "max_completion_tokens"), "content_filter": ("content_filter", "content_filter")}

_CALLS_REASONS = ("tool_calls", "function_call")


@dataclass(slots=True)
class _OpenCall:
    """A call that the model is still writing. `call_id`, its id in the run, is set once the call's name is known."""

    model_call_id: str | None
    index: int | None
    name: str | None = None
    call_id: str | None = None
    arguments: str = ""
    last_character: str = ""
    is_named_again: bool = False

    def continues_with(self, piece: CallPiece) -> bool:
        """Return whether a piece with this call's index or id belongs to it.

        Some servers use one index for all calls, or none. Then another id, another name, or the beginning of a second
        JSON object begins the next call. Other servers repeat id and name in every piece of one call.
        """
        has_same_id = piece.id is not None and piece.id == self.model_call_id
        if piece.id is not None and self.model_call_id is not None and not has_same_id:
            return False
        if piece.name is not None and self.name is not None:
            if piece.name != self.name or (piece.index is None and not has_same_id):
                return False
            self.is_named_again = True
        begins_again = self.last_character == "}" and piece.arguments.lstrip().startswith("{")
        return not (self.is_named_again and begins_again)


class ReplyWriter:
    """A converter of one answer to events.

    A call has the model's own id, since some servers insist on it when they get the output. A call without an id, or
    with one of `used_ids`, gets a new one. `prompt_tokens` is the usage of the request if the model reports none.
    `failure` is set by an answer with too many calls, and by one that says that it failed. The events before it are
    good.
    """

    def __init__(self, new_id: IdFactory, prompt_tokens: int, used_ids: Collection[str] = ()) -> None:
        self.failure: failures.ModelFailedError | None = None
        self._new_id = new_id
        self._prompt_tokens = prompt_tokens
        self._used_ids = set(used_ids)
        self._message: tuple[str, str] | None = None
        self._has_text = False
        self._calls_step: str | None = None
        self._calls: list[_OpenCall] = []
        self._call_by_index: dict[int | None, _OpenCall] = {}
        self._refusal = ""
        self._written = ""
        self._finish_reason: str | None = None
        self._usage: Usage | None = None

    def add_chunk(self, chunk: Chunk) -> list[Event]:
        """Return the events of the next chunk, up to the `failure` if there is one."""
        events: list[Event] = []
        if self.failure is not None:
            return events
        if chunk.text:
            message_id = self._open_message(events)
            if not self._has_text:
                events.append(PartAdded(message_id=message_id, part=TextPart(value="")))
                self._has_text = True
            events.append(TextGrown(message_id=message_id, index=0, text=chunk.text))
        try:
            for piece in chunk.calls:
                self._add_call_piece(piece, events)
        except failures.ModelFailedError as failure:
            self.failure = failure.with_traceback(None)
        if chunk.finish_reason == "error":
            self.failure = failures.reported()
        self._refusal += chunk.refusal
        self._written += chunk.text + chunk.refusal + "".join(piece.arguments for piece in chunk.calls)
        if self._finish_reason not in _CUT_SHORT:
            self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage
        return events

    def finish(self) -> list[Event]:
        """Return the events of the answer's end.

        Raises:
            ModelFailedError: The answer failed, a call has no name, or the calls that its reason tells of are missing.
        """
        if self.failure is not None:
            raise self.failure
        if self._finish_reason in _CALLS_REASONS and not (self._calls or self._written):
            raise failures.garbled()
        events: list[Event] = []
        usage = self._usage or Usage(self._prompt_tokens, count_tokens(self._written))
        if not self._calls or self._refusal:
            self._finish_content(events)
        if self._finish_reason in _CUT_SHORT:
            message_reason, run_reason = _CUT_SHORT[self._finish_reason]
            if self._calls_step is not None:
                # No recording shows a call cut short by a limit, so the step's status is assumed.
                self._close_message(events, _NO_USAGE)
                events.append(StepEnded(step_id=self._calls_step, status="cancelled", usage=usage))
            else:
                self._close_message(events, usage, message_reason)
            events.append(RunEnded(status="incomplete", incomplete_reason=run_reason))
        elif self._calls:
            if any(call.call_id is None for call in self._calls):
                raise failures.garbled()
            self._close_message(events, _NO_USAGE)
            events.append(RunRequiresAction(usage=usage))
        else:
            self._close_message(events, usage)
            events.append(RunEnded(status="completed"))
        return events

    def _open_message(self, events: list[Event]) -> str:
        if self._message is None:
            step_id, message_id = self._new_id("step"), self._new_id("msg")
            self._message, self._has_text = (step_id, message_id), False
            events.append(StepStarted(step_id=step_id, message_id=message_id))
            events.append(MessageStarted(message_id=message_id))
        return self._message[1]

    def _finish_content(self, events: list[Event]) -> None:
        """Add the refusal to the message. Add an empty text to an empty message, so that clients can show it."""
        message_id = self._open_message(events)
        if self._refusal:
            events.append(PartAdded(message_id=message_id, part=RefusalPart(refusal=self._refusal)))
        elif not self._has_text:
            events.append(PartAdded(message_id=message_id, part=TextPart(value="")))

    def _close_message(self, events: list[Event], usage: Usage, reason: str | None = None) -> None:
        if self._message is None:
            return
        step_id, message_id = self._message
        # The step of a message that a limit cuts short is completed nevertheless: seen in a recorded stream.
        events.append(MessageEnded(message_id=message_id, incomplete_reason=reason))
        events.append(StepEnded(step_id=step_id, status="completed", usage=usage))
        self._message = None

    def _add_call_piece(self, piece: CallPiece, events: list[Event]) -> None:
        call = self._call_for_piece(piece)
        call.name = call.name or piece.name
        call.model_call_id = call.model_call_id or piece.id
        call.arguments += piece.arguments
        call.last_character = piece.arguments.rstrip()[-1:] or call.last_character
        if call.name is None:
            return
        if call.call_id is None:
            self._close_message(events, _NO_USAGE)
            if self._calls_step is None:
                self._calls_step = self._new_id("step")
                events.append(StepStarted(step_id=self._calls_step))
            call.call_id = self._new_call_id(call.model_call_id)
            started = FunctionCall(id=call.call_id, name=call.name)
            events.append(ToolCallStarted(step_id=self._calls_step, call=started))
        if call.arguments and self._calls_step is not None:
            events.append(ToolCallGrown(step_id=self._calls_step, call_id=call.call_id, text=call.arguments))
            call.arguments = ""

    def _call_for_piece(self, piece: CallPiece) -> _OpenCall:
        """Return the call that a piece belongs to, by its index, or else by its id, or else the last one."""
        call = self._call_by_index.get(piece.index)
        if piece.id is not None and (piece.index is None or (call is None and piece.name is None)):
            call = next((one for one in reversed(self._calls) if one.model_call_id == piece.id), call)
        if call is None and piece.id is None and piece.name is None and self._calls:
            call = self._calls[-1] if piece.index is None or self._calls[-1].index is None else None
        if call is not None and call.continues_with(piece):
            return call
        if len(self._calls) == MAX_CALLS:
            raise failures.garbled()
        # A second object under a repeated name may come without the name.
        name = call.name if call is not None and call.is_named_again and piece.id is None else None
        call = _OpenCall(piece.id, piece.index, name)
        self._calls.append(call)
        self._call_by_index[piece.index] = call
        return call

    def _new_call_id(self, model_id: str | None) -> str:
        is_usable = model_id is not None and len(model_id) <= _MAX_ID_LENGTH and model_id not in self._used_ids
        call_id = model_id if is_usable and model_id is not None else self._new_id("call")
        self._used_ids.add(call_id)
        return call_id
