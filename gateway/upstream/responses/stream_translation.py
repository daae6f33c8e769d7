"""The events of a response's stream as those of a run's stream. Only the texts of open messages are remembered.

The recorder of a run reads both kinds of streams alike, then: the run, its steps and messages as whole objects, and the
pieces of texts and calls between them. An event of an unknown type carries nothing but its name; one that cannot be
read says why.

A message is finished by `output_item.done`, since some servers never send `output_text.done`. A stream may end without
a last event: a cancelled one always does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from gateway.upstream.error_replies import is_credential_refusal
from gateway.upstream.event_decoder import MAX_DELTA_DEPTH
from gateway.upstream.responses.item_parts import annotation_from_item, call_from_item
from gateway.upstream.responses.response_wire import (
    ITEM_DECODER,
    RESPONSE_DECODER,
    RESPONSE_EVENT_DECODER,
    ItemObject,
    ResponseEventObject,
    ResponseObject,
)
from gateway.upstream.responses.run_chains import message_from_item, run_from_chain, step_from_item
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError
from schema.contract.run_streams import StreamEvent
from schema.contract.tolerant_decoder import parse_raw

_STATES = frozenset(
    f"response.{word}"
    for word in ("created", "queued", "in_progress", "completed", "failed", "incomplete", "cancelled")
)
# The fields of a call that pieces make up, by the type of the event.
_CALL_PIECES = {
    "response.function_call_arguments.delta": ("function", "arguments"),
    "response.custom_tool_call_input.delta": ("function", "arguments"),
    "response.code_interpreter_call_code.delta": ("code_interpreter", "input"),
}


class ResponseTranslator:
    """Translates the events of one response, in order.

    Args:
        earlier: The earlier responses of the run's chain, oldest first.
        answers: The outputs that the client has submitted in the chain, by the id of their call.
        known: The response as it was last read, where its stream is opened behind its beginning.
        credential: A text that must not appear in errors.
        is_own_key: Whether that is the gateway's own. An error that refuses it has none of the upstream's text.
    """

    def __init__(
        self,
        earlier: Sequence[ResponseObject] = (),
        answers: Mapping[str, str] | None = None,
        credential: str | None = None,
        *,
        known: ResponseObject | None = None,
        is_own_key: bool = False,
    ) -> None:
        self.last_sequence_number: int | None = None
        self._earlier = earlier
        self._answers = answers or {}
        self._credential = credential
        self._is_own_key = is_own_key
        self._response = known
        self._texts: dict[tuple[str, int], str] = {}
        self._finished_items: set[str] = set()
        self._skips_until = -1

    @property
    def response(self) -> ResponseObject | None:
        """The response as its latest event shows it. None before the first one."""
        return self._response

    def resume_after(self, sequence_number: int) -> None:
        """Skip the events up to this number: some servers send them again."""
        self.last_sequence_number = self._skips_until = sequence_number

    def has_whole_text(self, item: ItemObject) -> bool:
        """Return whether the pieces of a message that were translated make up its text, as it is read now."""
        if item.id in self._finished_items:
            return True
        pieces = [text for place, text in sorted(self._texts.items()) if place[0] == item.id]
        parts = [] if isinstance(item.content, str) else [parse_raw(raw) for raw in item.content or ()]
        texts = [part.get("text") for part in parts if isinstance(part, dict) and part.get("type") == "output_text"]
        return [text for text in texts if text] == pieces

    def translate(self, data: bytes) -> list[StreamEvent]:
        """Return the events of a run that an event of its response means, in order."""
        try:
            event = RESPONSE_EVENT_DECODER.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            shown = safe_text(data[:2000].decode("utf-8", "replace"), self._credential, max_length=80)
            message = f"Expected an event of a response's stream, got '{shown}'."
            return [StreamEvent(decode_error=GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, message))]
        if event.sequence_number is not None:
            if event.sequence_number <= self._skips_until:
                return []
            self.last_sequence_number = event.sequence_number
        if event.type == "error" or event.error is not None:
            is_refusal = self._is_own_key and is_credential_refusal(data)
            return [StreamEvent(event.type, error=OwnKeyRefusedError()) if is_refusal else self._failure(event)]
        if event.annotation is not None and data.count(b"{") + data.count(b"[") > MAX_DELTA_DEPTH:
            return [StreamEvent(event.type)]
        return self._translated(event)

    def _translated(self, event: ResponseEventObject) -> list[StreamEvent]:
        match event.type:
            case kind if kind in _STATES:
                return self._run_events(event)
            case "response.output_item.added":
                return self._item_events(event, is_done=False)
            case "response.output_item.done":
                return self._item_events(event, is_done=True)
            case _ if event.item_id is not None:
                return [self._piece(event, event.item_id)]
            case kind:
                return [StreamEvent(kind)]

    def _piece(self, event: ResponseEventObject, item_id: str) -> StreamEvent:
        match event.type, event.delta:
            case "response.output_text.delta", str(piece):
                place = (item_id, event.content_index or 0)
                self._texts[place] = self._texts.get(place, "") + piece
                return _message_delta(event, item_id, {"type": "text", "text": {"value": piece}})
            case "response.refusal.delta", str(piece):
                return _message_delta(event, item_id, {"type": "refusal", "refusal": piece})
            case "response.output_text.annotation.added", _ if event.annotation is not None:
                text = self._texts.get((item_id, event.content_index or 0), "")
                notes = [annotation_from_item(event.annotation, text)]
                return _message_delta(event, item_id, {"type": "text", "text": {"annotations": notes}})
            case kind, str(piece) if kind in _CALL_PIECES:
                key, field = _CALL_PIECES[kind]
                return _step_delta(kind, item_id, {"type": key, key: {field: piece}})
            case _:
                return StreamEvent(event.type)

    def _run_events(self, event: ResponseEventObject) -> list[StreamEvent]:
        try:
            response = RESPONSE_DECODER.decode(event.response)
        except msgspec.DecodeError:
            return [StreamEvent(event.type)]
        self._response = response
        return [StreamEvent(event.type, wire=run_from_chain([*self._earlier, response], self._answers))]

    def _item_events(self, event: ResponseEventObject, *, is_done: bool) -> list[StreamEvent]:
        try:
            item = ITEM_DECODER.decode(event.item)
        except msgspec.DecodeError:
            return [StreamEvent(event.type)]
        if item.id is None:
            return [StreamEvent(event.type)]
        created_at = self._response.created_at if self._response else 0
        if is_done:
            self._finished_items.add(item.id)
        if item.type == "message":
            return self._message_events(event.type, item, created_at, is_done=is_done)
        if is_done:
            return [StreamEvent(event.type, wire=step_from_item(item, event.item, created_at, self._answers))]
        empty = Raw(msgspec.json.encode({"type": "tool_calls", "tool_calls": []}))
        step = msgspec.structs.replace(
            step_from_item(item, event.item, created_at), status="in_progress", step_details=empty
        )
        call = call_from_item(item, event.item)
        return [StreamEvent(event.type, wire=step), _step_delta(event.type, item.id, call)]

    def _message_events(self, name: str, item: ItemObject, created_at: float, *, is_done: bool) -> list[StreamEvent]:
        first = self._earlier[0] if self._earlier else self._response
        run_id = None if first is None else first.id
        message = message_from_item(item, created_at, run_id)
        step = step_from_item(item, Raw(b"null"), created_at)
        if is_done:
            self._texts = {place: text for place, text in self._texts.items() if place[0] != item.id}
            status = item.status if item.status == "incomplete" else "completed"
            ended = msgspec.structs.replace(step, status="completed")
            finished = msgspec.structs.replace(message, status=status)
            return [StreamEvent(name, wire=finished), StreamEvent(name, wire=ended)]
        begun = msgspec.structs.replace(message, status="in_progress")
        return [
            StreamEvent(name, wire=msgspec.structs.replace(step, status="in_progress")),
            StreamEvent(name, wire=begun),
        ]

    def _failure(self, event: ResponseEventObject) -> StreamEvent:
        said = event.message or (event.error.message if event.error else None) or ""
        message = safe_text(said, self._credential) or "The upstream reported an error in the stream."
        return StreamEvent(event.type, error=GatewayError(ErrorCode.UPSTREAM_FAILED, message))


def _message_delta(event: ResponseEventObject, message_id: str, part: dict[str, Any]) -> StreamEvent:
    content = [{"index": event.content_index or 0, **part}]
    delta = {"id": message_id, "object": "thread.message.delta", "delta": {"content": content}}
    return StreamEvent(event.type, delta=delta)


def _step_delta(name: str, step_id: str, call: dict[str, Any]) -> StreamEvent:
    details = {"type": "tool_calls", "tool_calls": [{"index": 0, **call}]}
    delta = {"id": step_id, "object": "thread.run.step.delta", "delta": {"step_details": details}}
    return StreamEvent(name, delta=delta)
