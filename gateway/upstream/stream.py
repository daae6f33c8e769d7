"""A run's event stream, from bytes to wire objects. Pure, and told nothing about where the bytes come from.

What an event says is in its object, not in its name: servers leave names out, wrap the object together with its name,
and send `thread.run.completed` for a run whose status is `incomplete`. A stream ends where its run can go no further,
whether or not `[DONE]` follows.

Source: the framing of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), the API's
specification, and recorded streams of several servers.
"""

import re
from typing import Any

import msgspec

from gateway.upstream.refusals import explain
from gateway.upstream.safe_text import safe_text
from schema.errors import ErrorCode, GatewayError
from schema.run_streams import StreamEvent
from schema.wire import MessageObject, RunObject, RunStepObject, ThreadObject

MAX_EVENT_BYTES = 8 * 1024 * 1024
"""Largest event that is taken, in bytes: a message has at most 256,000 characters."""

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_DONE = b"[DONE]"
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    "thread": msgspec.json.Decoder(ThreadObject),
    "thread.message": msgspec.json.Decoder(MessageObject),
    "thread.run": msgspec.json.Decoder(RunObject),
    "thread.run.step": msgspec.json.Decoder(RunStepObject),
}


class StreamDecoder:
    """Turns bytes, however they are split, into events. An event that the stream breaks off in is none."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._name: str | None = None
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[StreamEvent]:
        """Give the events that these bytes complete; raises a `GatewayError` for one that is too large."""
        self._rest += data
        if not self._begun:
            if _BYTE_ORDER_MARK.startswith(self._rest):
                return []
            self._rest, self._begun = self._rest.removeprefix(_BYTE_ORDER_MARK), True
        # A carriage return at the end may be half of a line's end; it waits for what follows.
        *lines, self._rest = _LINE_END.split(self._rest)
        events = [event for line in lines if (event := self._take(line)) is not None]
        if len(self._rest) + sum(map(len, self._data)) > MAX_EVENT_BYTES:
            raise _unreadable(f"an event of at most {MAX_EVENT_BYTES} bytes", "a larger one")
        return events

    def _take(self, line: bytes) -> StreamEvent | None:
        if not line:
            name, data = self._name, b"\n".join(self._data)
            self._name, self._data = None, []
            return read_event(name, data) if data else None
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value.decode("utf-8", "replace")
        return None


def read_event(name: str | None, data: bytes) -> StreamEvent:
    """Read one event; what is no JSON object becomes an event with an error."""
    if data.strip() == _DONE:
        return StreamEvent(name, is_done=True)
    try:
        parsed = msgspec.json.decode(data)
        if isinstance(parsed, dict) and isinstance(parsed.get("event"), str) and isinstance(parsed.get("data"), dict):
            name, parsed = parsed["event"], parsed["data"]
            data = msgspec.json.encode(parsed)
        if not isinstance(parsed, dict):
            raise msgspec.ValidationError("no object")
        return _read_object(name, parsed, data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        shown = safe_text(data[:200].decode("utf-8", "replace"), max_length=80)
        return StreamEvent(name, error=_unreadable("an event of a run's stream", f"'{shown}'"))


def _read_object(name: str | None, parsed: dict[str, Any], data: bytes) -> StreamEvent:
    kind = parsed.get("object")
    if name == "error" or (parsed.get("error") and not isinstance(kind, str)):
        said = explain("application/json", data)
        message = safe_text(said.message or "The upstream reported an error in the stream.")
        return StreamEvent(name, error=GatewayError(ErrorCode.UPSTREAM_FAILED, message))
    if isinstance(kind, str) and kind.endswith(".delta"):
        return StreamEvent(name, delta=parsed)
    decoder = _DECODERS.get(kind) if isinstance(kind, str) else None
    return StreamEvent(name, wire=None if decoder is None else decoder.decode(data))


def _unreadable(expected: str, got: str) -> GatewayError:
    return GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, f"Expected {expected}, got {got}.")
