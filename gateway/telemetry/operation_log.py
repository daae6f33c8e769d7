"""The log of operations: one line for each, and one more for the start of a subscription."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from gateway.telemetry.log_fields import OPERATION_LOGGER, OperationEvent, operation_fields
from gateway.telemetry.operation_record import OperationRecord, Outcome

_logger = logging.getLogger(OPERATION_LOGGER)


def log_start(record: OperationRecord | None) -> None:
    """Log that a subscription has started. What happens from now on is shared with other subscriptions."""
    if record is not None:
        record.is_shared = True
        _log(record, OperationEvent.STARTED)


def log_end(record: OperationRecord | None, outcome: Outcome, codes: Iterable[str] = ()) -> None:
    """Log how an operation ended. Does nothing if that was logged, or if the operation is not recorded."""
    if record is not None and record.end(outcome, codes):
        _log(record, OperationEvent.ENDED)
        if record.on_end is not None:
            record.on_end(record)


def _log(record: OperationRecord, event: OperationEvent) -> None:
    if _logger.isEnabledFor(logging.INFO):
        # Made here, because `info` would look for the line of the code that calls it, which takes long.
        line = logging.LogRecord(OPERATION_LOGGER, logging.INFO, __file__, 0, event.value, None, None, "_log")
        line.fields = operation_fields(record, event)
        _logger.handle(line)
