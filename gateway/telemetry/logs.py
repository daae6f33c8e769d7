"""Logging: one line per record on standard error, as JSON or readable in a terminal.

Slow imports stand in the function that needs them, so that `--help` is fast.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from typing import Any

from gateway.settings.setting_types import LogFormat

OWN_LOGGERS = ("gateway", "schema")

STANDARD_ERROR = 2


def configure_logging(level: str, log_format: LogFormat = "auto", *, is_development: bool = False) -> None:
    """Write records of this level and above (`debug`, `info`, ...) to standard error.

    With `auto`, lines are text in a terminal or in development, else JSON. Libraries log warnings and errors only:
    below, they show statements with their values, and internals of the event loop. aiohttp's own access log stays off,
    because it writes whole URLs, which hold the variables of operations. Exceptions that nothing catches are logged
    like any, since Python's own way shows their texts.
    """
    from gateway.telemetry.line_writer import LineWriter  # noqa: PLC0415 - see the module's docstring
    from gateway.telemetry.log_pipeline import LineForm, LineHandler  # noqa: PLC0415 - see the module's docstring

    is_terminal = os.isatty(STANDARD_ERROR)
    form: LineForm = "json"
    if log_format == "text" or (log_format == "auto" and (is_terminal or is_development)):
        form = "colored" if is_terminal and "NO_COLOR" not in os.environ else "text"
    number = logging.getLevelNamesMapping()[level.upper()]
    handler = LineHandler(LineWriter(STANDARD_ERROR), form)
    logging.basicConfig(handlers=[handler], level=max(number, logging.WARNING), force=True)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(number)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.server").addFilter(redact_bad_http)
    logging.getLogger("asyncio").addFilter(redact_tasks)
    logging.captureWarnings(True)
    _log_uncaught_exceptions()


def redact_bad_http(record: logging.LogRecord) -> bool:
    """Pass every record, without the caller's address. One about malformed HTTP loses its bytes first."""
    error = record.exc_info[1] if record.exc_info else None
    # Compared by name, because importing aiohttp would slow down `--help`.
    if error is not None and type(error).__module__ == "aiohttp.http_exceptions":
        record.msg, record.args, record.exc_info = (
            "Refused a request that is no HTTP (%s)",
            (type(error).__name__,),
            None,
        )
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    elif error is not None:
        record.msg, record.args = "Error handling a request", ()
    return True


def redact_tasks(record: logging.LogRecord) -> bool:
    """Pass every record, without the descriptions of tasks and handles, which show results and exceptions."""
    record.msg, record.args = record.getMessage().partition("\n")[0].partition("<")[0].rstrip(), ()
    return True


def _log_uncaught_exceptions() -> None:
    logger = logging.getLogger("gateway.uncaught")

    def on_exception(kind: type[BaseException], error: BaseException, _: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, None)
        else:
            logger.critical("the program ends by an exception that nothing caught", exc_info=error)

    def on_unraisable(unraisable: Any) -> None:
        logger.error("an exception could not be raised", exc_info=unraisable.exc_value)

    def on_thread_exception(arguments: threading.ExceptHookArgs) -> None:
        logger.error("a thread ended by an exception", exc_info=arguments.exc_value)

    sys.excepthook, sys.unraisablehook, threading.excepthook = on_exception, on_unraisable, on_thread_exception
