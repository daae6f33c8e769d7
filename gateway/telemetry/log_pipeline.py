"""The way of every log record to a line: structlog's processors, with JSON or text for a terminal at the end."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

from gateway.telemetry.line_writer import LineWriter
from gateway.telemetry.operation_record import current_record
from gateway.telemetry.safe_traceback import format_safely
from gateway.telemetry.scrubbing import scrub, to_printable

LineForm: TypeAlias = Literal["json", "text", "colored"]
Processor: TypeAlias = Callable[[WrappedLogger, str, EventDict], Any]

MAX_EVENT_LENGTH = 4096

_ALIGNED_EVENT_WIDTH = 20


class LineHandler(logging.Handler):
    """Writes each record as one line. A record with `fields` is written with them; its message is the event."""

    def __init__(self, writer: LineWriter, form: LineForm) -> None:
        super().__init__()
        self._writer = writer
        self._pipeline = LinePipeline(form)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and before it how many lines were lost, if any."""
        try:
            line = self._pipeline.to_line(record)
            if lost := self._writer.take_lost_count():
                self._warn(f"{lost} lines were lost, because standard error was not read fast enough")
            self._writer.write_line(line)
        except Exception as error:
            # The base class would show the record with its values.
            self._warn(f"a line of {record.name} could not be made: {type(error).__name__}")

    def flush(self) -> None:
        """Wait a moment for lines that a slow reader has not taken yet."""
        self._writer.flush(1.0)

    def _warn(self, message: str) -> None:
        warning = logging.LogRecord(__name__, logging.WARNING, "", 0, message, None, None)
        self._writer.write_line(self._pipeline.to_line(warning))


class LinePipeline:
    """Turns records into lines, whoever logs them.

    structlog's own bridge from the standard library copies each record and formats it twice, which costs as much as all
    the rest. So its processors are called directly.
    """

    def __init__(self, form: LineForm) -> None:
        self._processors: Sequence[Processor]
        if form == "json":
            self._processors = [structlog.processors.JSONRenderer(serializer=_encode)]
        else:
            console = structlog.dev.ConsoleRenderer(
                colors=form == "colored",
                pad_event_to=_ALIGNED_EVENT_WIDTH,
                exception_formatter=structlog.dev.plain_traceback,
                sort_keys=False,
            )
            self._processors = [make_readable, console]

    def to_line(self, record: logging.LogRecord) -> bytes:
        """Make the line of a record, with its line break."""
        event_dict: Any = fields_from_record(record)
        for processor in self._processors:
            event_dict = processor(None, record.levelname, event_dict)
        rendered = event_dict if isinstance(event_dict, bytes) else str(event_dict).encode(errors="backslashreplace")
        return rendered + b"\n"


def fields_from_record(record: logging.LogRecord) -> EventDict:
    """Make the fields of a record, without any value that an exception ran into."""
    fields: dict[str, Any] | None = getattr(record, "fields", None)
    made: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": scrub(record.getMessage()[:MAX_EVENT_LENGTH]) if fields is None else record.msg,
    }
    if (operation := current_record()) is not None:
        made["request_id"] = operation.request_id
    if fields is not None:
        made |= fields
    if record.exc_info and record.exc_info[1] is not None:
        made["exception"] = format_safely(record.exc_info[1])
    return made


def make_readable(_: WrappedLogger, __: str, event_dict: EventDict) -> EventDict:
    """Leave out empty fields, and let no text move the cursor of a terminal."""
    return {
        name: to_printable(value) if isinstance(value, str) else value
        for name, value in event_dict.items()
        if value is not None
    }


def _encode(event_dict: EventDict, **_: Any) -> bytes:
    try:
        return orjson.dumps(event_dict, default=repr)
    except TypeError:  # half of a surrogate pair, or an integer beyond 64 bits
        return json.dumps(event_dict, default=repr).encode()
