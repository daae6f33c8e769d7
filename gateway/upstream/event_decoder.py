"""Decodes the event stream of a run, from bytes to wire objects. Pure, and independent of the source of the bytes.

The object of an event says what the event is, not its name: servers leave names out, wrap the object together with its
name, and send `thread.run.completed` for a run whose status is `incomplete`. A stream ends when its run can go no
further, with or without `[DONE]`.

Source: server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), schema
`AssistantStreamEvent` of the specification, and recorded streams of several servers.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import msgspec

from gateway.media_types import JSON
from gateway.upstream.error_replies import is_credential_refusal, parse_error_body, retry_after_from_message
from gateway.upstream.reply_readers import BYTE_ORDER_MARK, UnexpectedReplyError, check_id, decode_kind
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError, OwnKeyRefusedError
from schema.contract.run_streams import StreamEvent
from schema.contract.statuses import TERMINAL_STATUSES
from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import MessageObject, RunObject, RunStepObject, ThreadObject

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Largest accepted event, in bytes. A message has at most 256,000 characters."""

MAX_DELTA_DEPTH = 100
"""How deep a delta may be nested. Deltas are merged by recursion, and no known one is nested ten deep."""

_EVENTS_OF_OBJECTS = TERMINAL_STATUSES | {"created", "queued", "in_progress", "requires_action", "cancelling"}

EventParser: TypeAlias = Callable[[str | None, bytes], list[StreamEvent]]
"""Returns what an event means: its name, if it has one, and its data."""

_DONE = b"[DONE]"
_DECODERS: dict[str, TolerantDecoder[Any]] = {
    "thread": TolerantDecoder(ThreadObject, "thread"),
    "thread.message": TolerantDecoder(MessageObject, "thread.message"),
    "thread.run": TolerantDecoder(RunObject, "thread.run"),
    "thread.run.step": TolerantDecoder(RunStepObject, "thread.run.step"),
}
_DELTA_KINDS = frozenset({"thread.message.delta", "thread.run.step.delta"})
_KINDS = _DECODERS.keys() | _DELTA_KINDS | {"error"}


class StreamDecoder:
    """Decodes bytes, split at any point, into events.

    `error` is set when decoding has to stop; after that there are no more events. `credential` is removed from the text
    of errors. With `is_own_key` it is the gateway's own, and an error that refuses it has none of the upstream's text.
    `parse` reads each event; without it, as one of the Threads API.
    """

    def __init__(
        self,
        credential: str | None = None,
        *,
        is_own_key: bool = False,
        max_event_bytes: int = MAX_EVENT_BYTES,
        parse: EventParser | None = None,
    ) -> None:
        self.error: GatewayError | None = None
        self._parse = parse or partial(_parse_one, credential, is_own_key)
        self._max_event_bytes = max_event_bytes
        self._undecided_start: bytes | None = b""
        self._line: list[bytes] = []
        self._ended_in_carriage_return = False
        self._event_name: str | None = None
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Return the events that these bytes complete.

        For an event that is too large, sets `error` after the events before it.
        """
        data = self._strip_byte_order_mark(data)
        if self._ended_in_carriage_return and data:
            # The carriage return has ended the line already, since the next byte may come much later.
            data = data.removeprefix(b"\n")
            self._ended_in_carriage_return = False
        events: list[StreamEvent] = []
        for line in data.splitlines(keepends=True):
            if self.error is not None:
                return events
            self._size += len(line)
            if self._size > self._max_event_bytes:
                expected = f"an event of at most {self._max_event_bytes} bytes"
                self.error = _unreadable_error(expected, "a larger one")
                return events
            self._line.append(line)
            if line.endswith((b"\n", b"\r")):
                events += self._end_line()
        self._ended_in_carriage_return = data.endswith(b"\r")
        return events

    def finish(self) -> list[StreamEvent]:
        """Return the last event if only the end of its line or the empty line after it is missing.

        An event that is cut off is dropped.
        """
        if self.error is not None:
            return []
        events = [*self._end_line(), *self._end_event()]
        return [event for event in events if event.decode_error is None]

    def _strip_byte_order_mark(self, data: bytes) -> bytes:
        if self._undecided_start is None:
            return data
        data = self._undecided_start + data
        self._undecided_start = data if BYTE_ORDER_MARK.startswith(data) else None
        return b"" if self._undecided_start is not None else data.removeprefix(BYTE_ORDER_MARK)

    def _end_line(self) -> list[StreamEvent]:
        raw_line = b"".join(self._line)
        self._line.clear()
        if not (line := raw_line.rstrip(b"\r\n")):
            return self._end_event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._event_name = value.decode("utf-8", "replace")
        else:
            self._size -= len(raw_line)  # a comment, which is dropped
        return []

    def _end_event(self) -> list[StreamEvent]:
        name, data = self._event_name, b"\n".join(self._data)
        self._event_name, self._data, self._size = None, [], 0
        return self._parse(name, data) if data else []


def is_done_marker(name: str | None, data: bytes) -> bool:
    """Tell whether an event is the one behind the last event of a stream."""
    return name == "done" or data.strip().strip(b'"') == _DONE


def _parse_one(credential: str | None, is_own_key: bool, name: str | None, data: bytes) -> list[StreamEvent]:
    return [parse_event(name, data, credential, is_own_key=is_own_key)]


class _Wrapped(msgspec.Struct):
    """An object together with the name of its event, as some servers send it."""

    event: str
    data: msgspec.Raw


def parse_event(
    name: str | None, data: bytes, credential: str | None = None, *, is_own_key: bool = False
) -> StreamEvent:
    """Parse one event. The result of an unreadable event has `decode_error` set."""
    if is_done_marker(name, data):
        return StreamEvent(name, is_done=True)
    try:
        event = _parse_json(name, data, credential) if name != "error" else _error_event(name, data, credential)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UnexpectedReplyError):
        shown = safe_text(data[:2000].decode("utf-8", "replace"), credential, max_length=80)
        return StreamEvent(name, decode_error=_unreadable_error("an event of a run's stream", f"'{shown}'"))
    if event.error is not None and is_own_key and is_credential_refusal(data):
        return StreamEvent(name, error=OwnKeyRefusedError())
    return event


def _parse_json(name: str | None, data: bytes, credential: str | None) -> StreamEvent:
    parsed = msgspec.json.decode(data)
    if isinstance(parsed, dict) and isinstance(parsed.get("event"), str) and "data" in parsed:
        wrapped = msgspec.json.decode(data, type=_Wrapped)
        name, data = wrapped.event, bytes(wrapped.data)
        if name in {"done", "error"} or data.strip(b'"') == _DONE:
            return parse_event(name, data, credential)
        parsed = msgspec.json.decode(data)
    if not isinstance(parsed, dict):
        raise UnexpectedReplyError("an object", "something else")
    return _read_object(name, parsed, data, credential)


def _read_object(name: str | None, parsed: dict[str, Any], data: bytes, credential: str | None) -> StreamEvent:
    kind = parsed.get("object")
    if not isinstance(kind, str) and parsed.get("error"):
        kind = "error"
    elif not (isinstance(kind, str) and kind in _KINDS):
        kind = _kind_from_event_name(name or "", is_named=isinstance(kind, str))
    if kind == "error":
        return _error_event(name, data, credential)
    if kind in _DELTA_KINDS:
        if data.count(b"{") + data.count(b"[") > MAX_DELTA_DEPTH:
            _check_depth(parsed)
        return StreamEvent(name, delta=parsed | {"object": kind})
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return StreamEvent(name)
    wire = decode_kind(decoder, kind, data)
    check_id(wire.id, f"a {kind} object")
    return StreamEvent(name, wire=wire)


def _check_depth(delta: dict[str, Any]) -> None:
    level: list[Any] = [delta]
    for _ in range(MAX_DELTA_DEPTH):
        containers = [part for part in level if isinstance(part, dict | list)]
        level = [part for one in containers for part in (one.values() if isinstance(one, dict) else one)]
        if not level:
            return
    raise UnexpectedReplyError(f"a delta that is nested at most {MAX_DELTA_DEPTH} deep", "a deeper one")


def _kind_from_event_name(name: str, *, is_named: bool) -> str:
    """Return the kind of an object that does not say its own kind. The name of a known event tells it.

    If the object `is_named` by an unknown word, an unknown event is of that unknown kind.
    """
    base, _, word = name.rpartition(".")
    if name in _DELTA_KINDS:
        return name
    return base if word in _EVENTS_OF_OBJECTS or not is_named else ""


def _error_event(name: str | None, data: bytes, credential: str | None) -> StreamEvent:
    message = parse_error_body(JSON, data).message or ""
    error = GatewayError(
        ErrorCode.UPSTREAM_FAILED,
        safe_text(message, credential) or "The upstream reported an error in the stream.",
        retry_after_ms=retry_after_from_message(message),
    )
    return StreamEvent(name, error=error)


def _unreadable_error(expected: str, got: str) -> GatewayError:
    return GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"Expected {expected}, got {got}.")
