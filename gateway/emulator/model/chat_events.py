"""The parser of a model's server-sent events. Pure.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. In addition, a line that
begins with a brace is an event of its own: some servers write a bare JSON object into the stream when they fail.
"""

import re
from dataclasses import dataclass

_LINE_END = re.compile(rb"\r\n|\r|\n")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class ChatEvent:
    """One event of a stream: its name, empty if it has none, and its data."""

    name: bytes
    data: bytes


class ChatEventReader:
    """An incremental parser of events. The bytes may be split anywhere, also within a line end."""

    def __init__(self) -> None:
        self._is_at_start = True
        self._has_carriage_return = False
        self._rest = b""
        self._name = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> list[ChatEvent]:
        """Return the events that these bytes complete."""
        if self._has_carriage_return and data:
            # The line has ended with the carriage return. The line feed after it ends no other line.
            data = data.removeprefix(b"\n")
            self._has_carriage_return = False
        data = self._rest + data
        if self._is_at_start:
            if BYTE_ORDER_MARK.startswith(data):
                self._rest = data
                if data != BYTE_ORDER_MARK:
                    return []
            data = data.removeprefix(BYTE_ORDER_MARK)
            self._is_at_start = False
        self._has_carriage_return = data.endswith(b"\r")
        *lines, self._rest = _LINE_END.split(data)
        return [event for line in lines for event in self._read_line(line)]

    def finish(self) -> list[ChatEvent]:
        """Return the last event, if no empty line has closed it."""
        return [event for line in (self._rest, b"") for event in self._read_line(line)]

    def _read_line(self, line: bytes) -> list[ChatEvent]:
        if not line:
            return self._end_event()
        if line.startswith(b"{"):
            return [*self._end_event(), ChatEvent(b"", line)]
        name, _, value = line.partition(b":")
        match name:
            case b"data":
                self._data.append(value.strip())
            case b"event":
                self._name = value.strip()
        return []

    def _end_event(self) -> list[ChatEvent]:
        name, data = self._name, b"\n".join(self._data)
        self._name, self._data = b"", []
        return [ChatEvent(name, data)] if name or data else []
