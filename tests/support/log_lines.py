"""Log lines as the gateway writes them in production, collected from this process."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from gateway.telemetry.audit import AUDIT_LOGGER
from gateway.telemetry.log_fields import OPERATION_LOGGER
from gateway.telemetry.log_pipeline import LinePipeline

Line: TypeAlias = dict[str, Any]


class LogLines(logging.Handler):
    """The lines of all loggers, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self._pipeline = LinePipeline("json")
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self._pipeline.to_line(record).decode())

    @property
    def all(self) -> list[Line]:
        return [json.loads(text) for text in self.texts]

    @property
    def operations(self) -> list[Line]:
        return [line for line in self.all if line["logger"] == OPERATION_LOGGER]

    @property
    def audit(self) -> list[Line]:
        return [line for line in self.all if line["logger"] == AUDIT_LOGGER]

    def take(self) -> list[Line]:
        """Return the lines of operations so far, and forget all lines."""
        taken = self.operations
        self.texts.clear()
        return taken


@contextmanager
def collected_lines(level: int = logging.DEBUG) -> Iterator[LogLines]:
    """Collect the lines of this level and above."""
    lines, root, own = LogLines(), logging.getLogger(), logging.getLogger("gateway")
    former = own.level
    root.addHandler(lines)
    own.setLevel(level)
    try:
        yield lines
    finally:
        own.setLevel(former)
        root.removeHandler(lines)
