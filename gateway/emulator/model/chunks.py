"""The parser of a model's answer, streamed or whole. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/streaming, and the differences of compatible servers: no
`[DONE]`, calls without an index, numbers as `4.0`, arguments as an object, comments as keep-alive, content as a list of
parts, one `function_call` instead of tool calls, and errors in several forms.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import msgspec

from gateway.emulator.model import failures
from gateway.emulator.model.chat_events import BYTE_ORDER_MARK, ChatEvent, ChatEventReader
from gateway.emulator.objects import Usage

_DONE = b"[DONE]"
_PART_TYPES: Final = {"text": ("text", "output_text"), "refusal": ("refusal",)}
# Some servers write these into every chunk that has no reason.
_NO_REASON: Final = frozenset({"", "null", "none", "undefined"})
_NO_ERROR: Final = (None, False, "")
# Parts of the names that servers use for these ends, such as Mistral's `model_length`, OpenRouter's `error`, DeepSeek's
# `insufficient_system_resource`, vLLM's `abort` and Gemini's `SAFETY`.
_REASON_STEMS: Final = {
    "error": ("error", "fail", "abort", "cancel", "timeout", "timed_out", "insufficient", "overload", "malformed"),
    "length": ("length", "max_tokens", "max_output", "max_completion", "token_limit", "context_window"),
    "content_filter": (
        "filter",
        "safety",
        "sensitive",
        "prohibited",
        "blocklist",
        "recitation",
        "moderation",
        "refusal",
    ),
}


@dataclass(frozen=True, slots=True)
class CallPiece:
    """A piece of a function call. The first piece of a call has its id and its name."""

    index: int | None = None
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """The content that one event of a stream adds to the answer. A whole answer is one chunk."""

    text: str = ""
    refusal: str = ""
    calls: tuple[CallPiece, ...] = ()
    finish_reason: str | None = None
    usage: Usage | None = None
    has_choice: bool = field(default=True, compare=False)
    """False for a chunk without content, such as one that holds only the usage."""


class ChunkReader:
    """An incremental reader of a stream's chunks. The bytes may be split anywhere.

    Attributes:
        is_done: Whether the last event has come.
        failure: Set by an event that is no chunk. Nothing is read after it. The chunks before it are good, so `feed`
            returns them first.
    """

    def __init__(self) -> None:
        self.is_done = False
        self.failure: failures.ModelFailedError | None = None
        self._has_finished = False
        self._has_choice = False
        self._events = ChatEventReader()

    def feed(self, data: bytes) -> tuple[Chunk, ...]:
        """Return the chunks that these bytes complete, up to the `failure` if there is one."""
        chunks: list[Chunk] = []
        try:
            for event in self._events.feed(data) if self.failure is None else ():
                self._read_event(event, chunks)
        except failures.ModelFailedError as failure:
            self.failure = failure.with_traceback(None)
        return tuple(chunks)

    def finish(self) -> tuple[Chunk, ...]:
        """Return the last chunk, if no empty line has closed it.

        Raises:
            ModelFailedError: The answer is incomplete or unreadable.
        """
        if self.failure is not None:
            raise self.failure
        chunks: list[Chunk] = []
        # An event that was cut off looks like a garbled one. At the end it counts as cut off.
        try:
            for event in self._events.finish():
                self._read_event(event, chunks)
        except failures.ModelFailedError:
            raise failures.cut_off() from None
        if not (self.is_done or self._has_finished):
            raise failures.cut_off()
        self._check_choice()
        return tuple(chunks)

    def _read_event(self, event: ChatEvent, chunks: list[Chunk]) -> None:
        if self.is_done:
            return
        if event.name == b"error":
            raise failures.reported()
        if event.data == _DONE:
            self._check_choice()
            self.is_done = True
        elif event.data:
            chunks.append(chunk_from_json(event.data))
            self._has_finished = self._has_finished or chunks[-1].finish_reason is not None
            self._has_choice = self._has_choice or chunks[-1].has_choice

    def _check_choice(self) -> None:
        """Refuse an answer that ends without any choice, not even an empty one."""
        if not self._has_choice:
            raise failures.garbled()


def chunk_from_whole_answer(data: bytes) -> Chunk:
    """Return the chunk of an answer that is no stream.

    Raises:
        ModelFailedError: The answer is unreadable, reports an error, or has no choice.
    """
    answer = chunk_from_json(data.removeprefix(BYTE_ORDER_MARK))
    if not answer.has_choice:
        raise failures.garbled()
    return answer


def chunk_from_json(data: bytes) -> Chunk:
    """Return the chunk of a JSON text. Of several choices, only the first counts.

    Raises:
        ModelFailedError: The text is no chunk, or reports an error.
    """
    try:
        answer = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise failures.garbled() from None
    if answer.reports_error():
        raise failures.reported()
    usage = _usage_from_json(answer.usage)
    if not answer.choices:
        return Chunk(usage=usage, has_choice=False)
    choice = answer.choices[0]
    message = choice.delta or choice.message or _Message()
    return Chunk(
        text=_text_from_content(message.content, "text"),
        refusal=(message.refusal or "") + _text_from_content(message.content, "refusal"),
        calls=message.call_pieces(is_whole=choice.delta is None),
        finish_reason=_finish_reason(choice.finish_reason),
        usage=usage,
    )


def _text_from_content(content: str | list[Any] | None, kind: Literal["text", "refusal"]) -> str:
    """Return the text of a content: a text, or a list of parts. Other parts, such as thoughts, are no answer."""
    texts: list[str] = []
    for part in [content] if isinstance(content, str) else content or ():
        text = part if kind == "text" else ""
        if isinstance(part, dict):
            text = part.get(kind) if part.get("type", kind) in _PART_TYPES[kind] else ""
            text = text.get("value") if isinstance(text, dict) else text
        texts += [text] if isinstance(text, str) else []
    return "".join(texts)


def _finish_reason(reason: Any) -> str | None:
    """Return a reason under the API's name for it. None if the answer goes on.

    An unknown reason counts by its words. Any other one is the end of a good answer.
    """
    if not isinstance(reason, str):
        return None
    words = reason.strip().casefold()
    if words in _NO_REASON:
        return None
    return next((name for name, stems in _REASON_STEMS.items() if any(stem in words for stem in stems)), reason)


def _usage_from_json(raw: msgspec.Raw) -> Usage | None:
    """Return the usage of an answer. None if there is none, or if it is unreadable."""
    try:
        usage = _USAGE_DECODER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return None if usage is None else usage.to_usage()


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class _Call(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None

    def to_piece(self) -> CallPiece:
        function = self.function or _Function()
        arguments = function.arguments
        if arguments is not None and not isinstance(arguments, str):
            arguments = json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))
        return CallPiece(self.index, self.id or None, function.name or None, arguments or "")


class _Message(msgspec.Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: _Function | None = None

    def call_pieces(self, *, is_whole: bool) -> tuple[CallPiece, ...]:
        """Return the pieces of calls. In a whole message, each call is complete, so its place is its index."""
        calls = self.tool_calls or ([_Call(function=self.function_call)] if self.function_call else [])
        pieces = [call.to_piece() for call in calls]
        return tuple(replace(piece, index=place) if is_whole else piece for place, piece in enumerate(pieces))


class _Choice(msgspec.Struct):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: Any = None
    error: Any = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def to_usage(self) -> Usage:
        return Usage(max(0, self.prompt_tokens or 0), max(0, self.completion_tokens or 0))


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None
    object: Any = None
    type: Any = None
    message: Any = None
    detail: Any = None
    errors: Any = None

    def reports_error(self) -> bool:
        """Return whether this is an error object. One that is not nested has no choice."""
        if self.choices:
            return any(error not in _NO_ERROR for error in (self.error, self.choices[0].error))
        if "error" in {str(self.object), str(self.type)}:
            return True
        return any(words is not None for words in (self.error, self.errors, self.message, self.detail))


# Not strict, since a whole number may be written as 4.0.
_DECODER = msgspec.json.Decoder(_Answer, strict=False)
_USAGE_DECODER = msgspec.json.Decoder(_Usage | None, strict=False)
