"""A run's event stream, from bytes to wire objects. Pure, and told nothing about where the bytes come from.

What an event says is in its object, not in its name: servers leave names out, wrap the object together with its name,
and send `thread.run.completed` for a run whose status is `incomplete`. A stream ends where its run can go no further,
whether or not `[DONE]` follows.

Source: the framing of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), the API's
specification, and recorded streams of several servers.
"""

from typing import Any

import msgspec

from gateway.upstream.error_replies import explain
from gateway.upstream.reply_readers import UnexpectedReplyError, check_id, decode_kind
from gateway.upstream.safe_text import safe_text
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import MessageObject, RunObject, RunStepObject, ThreadObject

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Largest event that is taken, in bytes: a message has at most 256,000 characters."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DONE = b"[DONE]"
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "thread": msgspec.json.Decoder(ThreadObject),
    "thread.message": msgspec.json.Decoder(MessageObject),
    "thread.run": msgspec.json.Decoder(RunObject),
    "thread.run.step": msgspec.json.Decoder(RunStepObject),
}


class StreamDecoder:
    """Turns bytes, however they are split, into events.

    `fault` is why it had to stop, once it had: from then on it gives nothing. `credential` is kept out of what
    errors say.
    """

    def __init__(self, credential: str | None = None, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.fault: GatewayError | None = None
        self._credential = credential
        self._max_event_bytes = max_event_bytes
        self._beginning: bytes | None = b""
        self._line: list[bytes] = []
        self._ended_in_return = False
        self._name: str | None = None
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Give the events that these bytes complete; sets `fault` behind them for one that is too large."""
        data = self._without_mark(data)
        if self._ended_in_return and data:
            # Its line has ended already, since nothing says when the next byte comes.
            data = data.removeprefix(b"\n")
            self._ended_in_return = False
        events: list[StreamEvent] = []
        for line in data.splitlines(keepends=True):
            if self.fault is not None:
                return events
            self._size += len(line)
            if self._size > self._max_event_bytes:
                expected = f"an event of at most {self._max_event_bytes} bytes"
                self.fault = _unreadable(expected, "a larger one")
                return events
            self._line.append(line)
            if line.endswith((b"\n", b"\r")):
                events += self._end_line()
        self._ended_in_return = data.endswith(b"\r")
        return events

    def end(self) -> list[StreamEvent]:
        """Give the last event where only the end of its line, or the empty line behind it, is missing.

        A part of an event is none.
        """
        if self.fault is not None:
            return []
        events = [*self._end_line(), *self._end_event()]
        return [event for event in events if event.decode_error is None]

    def _without_mark(self, data: bytes) -> bytes:
        if self._beginning is None:
            return data
        data = self._beginning + data
        self._beginning = data if BYTE_ORDER_MARK.startswith(data) else None
        return b"" if self._beginning is not None else data.removeprefix(BYTE_ORDER_MARK)

    def _end_line(self) -> list[StreamEvent]:
        whole = b"".join(self._line)
        self._line.clear()
        if not (line := whole.rstrip(b"\r\n")):
            return self._end_event()
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        else:
            self._size -= len(whole)  # a comment, of which nothing is kept
        return []

    def _end_event(self) -> list[StreamEvent]:
        name, data = self._name, b"\n".join(self._data)
        self._name, self._data, self._size = None, [], 0
        return [read_event(name, data, self._credential)] if data else []


class _Wrapped(msgspec.Struct):
    """An object together with the name of its event, as some servers send it."""

    event: str
    data: msgspec.Raw


def read_event(name: str | None, data: bytes, credential: str | None = None) -> StreamEvent:
    """Read one event; one that cannot be read is `decode_error`."""
    if name == "done" or data.strip().strip(b'"') == _DONE:
        return StreamEvent(name, is_done=True)
    if name == "error":
        return StreamEvent(name, error=_reported(data, credential))
    try:
        return _read_json(name, data, credential)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, UnexpectedReplyError):
        shown = safe_text(data[:2000].decode("utf-8", "replace"), credential, max_length=80)
        return StreamEvent(name, decode_error=_unreadable("an event of a run's stream", f"'{shown}'"))


def _read_json(name: str | None, data: bytes, credential: str | None) -> StreamEvent:
    parsed = msgspec.json.decode(data)
    if isinstance(parsed, dict) and isinstance(parsed.get("event"), str) and "data" in parsed:
        wrapped = msgspec.json.decode(data, type=_Wrapped)
        name, data = wrapped.event, bytes(wrapped.data)
        if name in {"done", "error"} or data.strip(b'"') == _DONE:
            return read_event(name, data, credential)
        parsed = msgspec.json.decode(data)
    if not isinstance(parsed, dict):
        raise UnexpectedReplyError("an object", "something else")
    return _read_object(name, parsed, data, credential)


def _read_object(name: str | None, parsed: dict[str, Any], data: bytes, credential: str | None) -> StreamEvent:
    kind = parsed.get("object")
    if not isinstance(kind, str):
        kind = "error" if parsed.get("error") else _kind_named(name or "")
    if kind == "error":
        return StreamEvent(name, error=_reported(data, credential))
    if kind.endswith(".delta"):
        return StreamEvent(name, delta=parsed)
    decoder = _DECODERS.get(kind)
    if decoder is None:
        return StreamEvent(name)
    wire = decode_kind(decoder, kind, data)
    check_id(wire.id, f"a {kind} object")
    return StreamEvent(name, wire=wire)


def _kind_named(name: str) -> str:
    """The kind of an object that says nothing of its own: its event's name, without what happened to it."""
    return name if name.endswith(".delta") else name.rpartition(".")[0]


def _reported(data: bytes, credential: str | None) -> GatewayError:
    message = safe_text(explain("application/json", data).message or "", credential)
    return GatewayError(ErrorCode.UPSTREAM_FAILED, message or "The upstream reported an error in the stream.")


def _unreadable(expected: str, got: str) -> GatewayError:
    return GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"Expected {expected}, got {got}.")
