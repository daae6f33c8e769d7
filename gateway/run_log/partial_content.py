"""Partial objects: a message's texts and a step's tool calls, built from deltas. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from gateway.run_log.delta_merging import merge_delta, merge_items
from schema.contract.run_events import TextDeltaChange, ToolCallDeltaChange
from schema.contract.tolerant_decoder import TolerantDecoder, parse_raw, text_from_json
from schema.contract.wire import MessageObject, RunStepObject
from schema.contract.wire_parts import ContentPartObject, TextBodyObject

_PART = TolerantDecoder(ContentPartObject, "content part")

_NO_PART = Raw(b"{}")
"""Fills the index of a part without deltas, so that the parts behind it keep their index."""


class _PartialText:
    """A text part, as the pieces received so far."""

    __slots__ = ("annotations", "length", "pieces")

    def __init__(self, body: TextBodyObject) -> None:
        self.pieces = [body.value] if body.value else []
        self.length = utf16_length(body.value)
        self.annotations = [parse_raw(raw) for raw in body.annotations or ()]

    def to_content_part(self) -> Raw:
        text = {"value": "".join(self.pieces), "annotations": self.annotations}
        return Raw(msgspec.json.encode({"type": "text", "text": text}))


class PartialContent:
    """A message's content built from deltas of texts and of other parts."""

    __slots__ = ("_memo", "_parts")

    def __init__(self, content: list[Raw] | str | None = None) -> None:
        self._memo: list[Raw] | None = None
        self._parts: dict[int, Raw | _PartialText]
        if isinstance(content, str):
            self._parts = {0: _PartialText(TextBodyObject(content))}
        else:
            self._parts = dict(enumerate(content or ()))

    def add_delta(self, delta: TextDeltaChange) -> None:
        """Append one delta. Text for a part that is not text is dropped."""
        part = self._parts.get(delta.index)
        if delta.rest is not None:
            known = None if part is None or isinstance(part, _PartialText) else parse_raw(part)
            merged = merge_delta(known if isinstance(known, dict) else {}, delta.rest)
            self._parts[delta.index] = Raw(msgspec.json.encode(merged))
            self._memo = None
            return
        if not isinstance(part, _PartialText):
            body = TextBodyObject() if part is None else text_body_from_part(part)
            if body is None:
                return
            part = self._parts[delta.index] = _PartialText(body)
        if delta.value:
            part.pieces.append(delta.value)
            part.length += utf16_length(delta.value)
        if delta.annotations:
            part.annotations = merge_items(part.annotations, [parse_raw(raw) for raw in delta.annotations])
        self._memo = None

    def to_content_parts(self) -> list[Raw]:
        """Return the parts received so far, in order."""
        if self._memo is None:
            parts = (self._parts.get(index, _NO_PART) for index in range(max(self._parts, default=-1) + 1))
            self._memo = [part.to_content_part() if isinstance(part, _PartialText) else part for part in parts]
        return self._memo

    def text_length(self, index: int) -> int:
        """Return the UTF-16 units of a part's text."""
        part = self._parts.get(index)
        if isinstance(part, _PartialText):
            return part.length
        body = None if part is None else text_body_from_part(part)
        return 0 if body is None else utf16_length(body.value)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was received yet."""
        return not self._parts


class PartialToolCalls:
    """A step's tool calls, built from deltas of their arguments and code, and of all that other kinds have."""

    __slots__ = ("_calls", "_lengths", "_memo")

    def __init__(self, details: Raw) -> None:
        self._memo: Raw | None = None
        self._calls: dict[int, dict[str, Any]] = {}
        known = parse_raw(details)
        calls = known.get("tool_calls") if isinstance(known, dict) else None
        if isinstance(calls, list):
            self._calls = {index: dict(call) for index, call in enumerate(calls) if isinstance(call, dict)}
        self._lengths: dict[tuple[int, str, str], int] = {}
        """The lengths of the texts that were asked for, by call, kind and name."""

    def add_delta(self, delta: ToolCallDeltaChange) -> None:
        """Append one delta."""
        call = self._calls.setdefault(delta.index, {})
        if delta.call_id is not None:
            call["id"] = delta.call_id
        if delta.name is not None or delta.arguments is not None:
            call.setdefault("type", "function")
            function = call["function"] = _fields(call.get("function"), name="", arguments="")
            function["name"] = delta.name or function["name"]
            self._append(delta.index, "function", "arguments", function, delta.arguments or "")
        if delta.code is not None:
            call.setdefault("type", "code_interpreter")
            code = call["code_interpreter"] = _fields(call.get("code_interpreter"), input="")
            code.setdefault("outputs", [])
            self._append(delta.index, "code_interpreter", "input", code, delta.code)
        if delta.rest is not None:
            self._calls[delta.index] = merge_delta(call, delta.rest)
        self._memo = None

    def arguments_length(self, index: int) -> int:
        """Return the UTF-16 units of a call's arguments."""
        return self._length(index, "function", "arguments")

    def code_length(self, index: int) -> int:
        """Return the UTF-16 units of a call's code."""
        return self._length(index, "code_interpreter", "input")

    def _length(self, index: int, kind: str, name: str) -> int:
        length = self._lengths.get((index, kind, name))
        if length is None:
            text = _fields(self._calls.get(index, {}).get(kind), **{name: ""})[name]
            length = self._lengths[index, kind, name] = utf16_length(text)
        return length

    def _append(self, index: int, kind: str, name: str, fields: dict[str, Any], text: str) -> None:
        fields[name] += text
        if (index, kind, name) in self._lengths:
            self._lengths[index, kind, name] += utf16_length(text)

    def to_step_details(self) -> Raw:
        """Return the step's details as received so far."""
        if self._memo is None:
            calls = [self._calls.get(index, {}) for index in range(max(self._calls, default=-1) + 1)]
            self._memo = Raw(msgspec.json.encode({"type": "tool_calls", "tool_calls": calls}))
        return self._memo


def utf16_length(text: str) -> int:
    """Return the length of a text as JavaScript counts it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def text_body_from_part(part: Raw) -> TextBodyObject | None:
    """Return the text of a content part. Returns None for a part of another kind."""
    decoded = _PART.decode_part(part)
    if decoded is None or decoded.type not in {"text", ""}:
        return None
    if decoded.text is None:
        return TextBodyObject() if decoded.type or decoded == ContentPartObject() else None
    return TextBodyObject(decoded.text) if isinstance(decoded.text, str) else decoded.text


def texts_from_message(message: MessageObject) -> list[str]:
    """Return the texts of a message that are not empty."""
    if isinstance(message.content, str):
        return [message.content] if message.content else []
    bodies = (text_body_from_part(part) for part in message.content or ())
    return [body.value for body in bodies if body is not None and body.value]


def says_nothing(message: MessageObject) -> bool:
    """Return whether a message has no content but empty texts."""
    if isinstance(message.content, str):
        return not message.content
    bodies = (text_body_from_part(part) for part in message.content or ())
    return all(body is not None and not body.value for body in bodies)


def message_with_content(message: MessageObject, partial: PartialContent | None) -> MessageObject:
    """Return the message with its partial content, if any."""
    return message if partial is None else msgspec.structs.replace(message, content=partial.to_content_parts())


def step_with_tool_calls(step: RunStepObject, partial: PartialToolCalls | None) -> RunStepObject:
    """Return the step with its partial tool calls, if any."""
    if partial is None:
        return step
    return msgspec.structs.replace(step, step_details=partial.to_step_details(), type=step.type or "tool_calls")


def _fields(known: object, **missing: str) -> dict[str, Any]:
    """Return a copy of an object's fields in which each of `missing` is a string."""
    fields = dict(known) if isinstance(known, dict) else {}
    return fields | {name: text_from_json(fields.get(name)) or text for name, text in missing.items()}
