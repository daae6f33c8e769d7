"""Logging: one line per record on standard error."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Write records of this level and above (`debug`, `info`, ...) to standard error.

    aiohttp's own access log stays off: it would write whole URLs, and with them the variables of an operation.
    """
    logging.basicConfig(stream=sys.stderr, format=FORMAT, level=level.upper(), force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.server").addFilter(redact_bad_http)
    # Each frame and each decision of the event loop is not what `debug` is asked for.
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def redact_bad_http(record: logging.LogRecord) -> bool:
    """Pass a record on; one about bytes that are no HTTP loses them, because they may hold a credential."""
    error = record.exc_info[1] if record.exc_info else None
    # By name: importing aiohttp would slow down every `--help`.
    if error is not None and type(error).__module__ == "aiohttp.http_exceptions":
        record.msg, record.args, record.exc_info = (
            "Refused a request that is no HTTP (%s)",
            (type(error).__name__,),
            None,
        )
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
