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


@dataclass(slots=True)
class _OpenCall:
    """A call that the model is still writing. `call_id`, its id in the run, is set once the call's name is known."""

    model_call_id: str | None
    call_id: str | None = None
    arguments: str = ""


class ReplyWriter:
    """A converter of one answer to events.

    A call has the model's own id, since some servers insist on it when they get the output. A call without an id, or
    with one of `used_ids`, gets a new one. `prompt_tokens` is the usage of the request if the model reports none.
    `failure` is set by an answer with too many calls. The events before it are good.
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
        self._refusal += chunk.refusal
        self._written += chunk.text + chunk.refusal + "".join(piece.arguments for piece in chunk.calls)
        self._finish_reason = chunk.finish_reason or self._finish_reason
        self._usage = chunk.usage or self._usage
        return events

    def finish(self) -> list[Event]:
        """Return the events of the answer's end.

        Raises:
            ModelFailedError: The answer failed, or a call has no name.
        """
        if self.failure is not None:
            raise self.failure
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
        call.arguments += piece.arguments
        if call.call_id is None:
            if piece.name is None:
                return
            self._close_message(events, _NO_USAGE)
            if self._calls_step is None:
                self._calls_step = self._new_id("step")
                events.append(StepStarted(step_id=self._calls_step))
            call.call_id = self._new_call_id(call.model_call_id)
            started = FunctionCall(id=call.call_id, name=piece.name)
            events.append(ToolCallStarted(step_id=self._calls_step, call=started))
        if call.arguments and self._calls_step is not None:
            events.append(ToolCallGrown(step_id=self._calls_step, call_id=call.call_id, text=call.arguments))
            call.arguments = ""

    def _call_for_piece(self, piece: CallPiece) -> _OpenCall:
        """Return the call that a piece belongs to.

        Some servers use the same index for all calls, or none. Then a new id or a new name begins a new call.
        """
        call = self._call_by_index.get(piece.index)
        if call is not None:
            has_other_id = piece.id is not None and call.model_call_id is not None and piece.id != call.model_call_id
            is_another = piece.index is None and piece.name is not None and call.call_id is not None
            if not (has_other_id or is_another):
                call.model_call_id = call.model_call_id or piece.id
                return call
        if len(self._calls) == MAX_CALLS:
            raise failures.garbled()
        call = _OpenCall(piece.id)
        self._calls.append(call)
        self._call_by_index[piece.index] = call
        return call

    def _new_call_id(self, model_id: str | None) -> str:
        is_usable = model_id is not None and len(model_id) <= _MAX_ID_LENGTH and model_id not in self._used_ids
        call_id = model_id if is_usable and model_id is not None else self._new_id("call")
        self._used_ids.add(call_id)
        return call_id
