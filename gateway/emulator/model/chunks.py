"""The parser of a model's answer, streamed or whole. Pure.

Source: https://platform.openai.com/docs/api-reference/chat/streaming, and the differences of compatible servers: no
`[DONE]`, calls without an index, numbers as `4.0`, arguments as an object, comments as keep-alive.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gateway.emulator.model import failures
from gateway.emulator.objects import Usage

_DONE = b"[DONE]"


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
    """An incremental parser of server-sent events. The bytes may be split anywhere.

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
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> tuple[Chunk, ...]:
        """Return the chunks that these bytes complete, up to the `failure` if there is one."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        chunks: list[Chunk] = []
        try:
            for line in lines if self.failure is None else ():
                self._read_line(line.removesuffix(b"\r"), chunks)
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
            for line in (self._rest, b""):
                self._read_line(line.removesuffix(b"\r"), chunks)
        except failures.ModelFailedError:
            raise failures.cut_off() from None
        if not (self.is_done or self._has_finished):
            raise failures.cut_off()
        self._check_choice()
        return tuple(chunks)

    def _read_line(self, line: bytes, chunks: list[Chunk]) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].strip())
        elif not line and self._data:
            data, self._data = b"\n".join(self._data), []
            if data == _DONE:
                self._check_choice()
                self.is_done = True
            elif not self.is_done:
                chunks.append(chunk_from_json(data))
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
    answer = chunk_from_json(data)
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
    if answer.error is not None:
        raise failures.reported()
    usage = _usage_from_json(answer.usage)
    if not answer.choices:
        return Chunk(usage=usage, has_choice=False)
    choice = answer.choices[0]
    message = choice.delta or choice.message or _Message()
    return Chunk(
        text=message.content or "",
        refusal=message.refusal or "",
        calls=tuple(call.to_piece() for call in message.tool_calls or ()),
        finish_reason=choice.finish_reason,
        usage=usage,
    )


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
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    delta: _Message | None = None
    message: _Message | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None

    def to_usage(self) -> Usage:
        return Usage(max(0, self.prompt_tokens or 0), max(0, self.completion_tokens or 0))


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


# Not strict, since a whole number may be written as 4.0.
_DECODER = msgspec.json.Decoder(_Answer, strict=False)
_USAGE_DECODER = msgspec.json.Decoder(_Usage | None, strict=False)
