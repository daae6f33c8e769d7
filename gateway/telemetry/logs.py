"""Logging: one line per record on standard error."""

import logging
import sys

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Write records of this level and above (`debug`, `info`, ...) to standard error.

    aiohttp's own access log stays off, because it writes whole URLs, which hold the variables of operations.
    """
    logging.basicConfig(stream=sys.stderr, format=FORMAT, level=level.upper(), force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.CRITICAL)
    logging.getLogger("aiohttp.server").addFilter(redact_bad_http)
    # At `debug`, asyncio would log internals of the event loop.
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def redact_bad_http(record: logging.LogRecord) -> bool:
    """Pass every record. A record about malformed HTTP loses its bytes first, because they may hold a credential."""
    error = record.exc_info[1] if record.exc_info else None
    # Compared by name, because importing aiohttp would slow down `--help`.
    if error is not None and type(error).__module__ == "aiohttp.http_exceptions":
        record.msg, record.args, record.exc_info = (
            "Refused a request that is no HTTP (%s)",
            (type(error).__name__,),
            None,
        )
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True
