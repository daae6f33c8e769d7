"""Logs are lines on standard error, hold no URL and no bytes of a request, and repeat a warning once a second."""

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from aiohttp.http_exceptions import BadHttpMessage

from gateway.telemetry.logs import configure_logging, redact_bad_http
from gateway.telemetry.rare_warning import RareWarning

PROGRAM = """
import logging
from gateway.telemetry.logs import configure_logging
configure_logging("info")
logging.getLogger("gateway.server").info("seen")
"""
CONFIGURED = ("", "aiohttp.access", "aiohttp.server", "asyncio")


@pytest.fixture
def _own_logging() -> Iterator[None]:
    """Give the loggers back their handlers, filters and levels after the test."""
    before = [(one, one.level, one.handlers[:], one.filters[:]) for one in map(logging.getLogger, CONFIGURED)]
    yield
    for logger, level, handlers, filters in before:
        logger.setLevel(level)
        logger.handlers[:], logger.filters[:] = handlers, filters


def test_records_go_to_standard_error() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert [line.split(" ", 2)[2] for line in done.stderr.splitlines()] == ["INFO gateway.server: seen"]


@pytest.mark.usefixtures("_own_logging")
def test_the_level_applies_and_urls_and_internals_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug")
    logging.getLogger("gateway.server").debug("seen")
    logging.getLogger("aiohttp.access").info("GET /graphql?query=private")
    logging.getLogger("asyncio").debug("Using selector")
    configure_logging("info")
    logging.getLogger("gateway.server").debug("too fine")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == ["DEBUG gateway.server: seen"]


@pytest.mark.usefixtures("_own_logging")
def test_a_record_of_malformed_http_loses_the_bytes_of_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    for error in (BadHttpMessage("private"), ValueError("a bug")):
        try:
            raise error
        except (BadHttpMessage, ValueError):
            logging.getLogger("aiohttp.server").exception("Error handling %s", "a request")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(" ", 2)[2] for line in lines[:2]] == [
        "WARNING aiohttp.server: Refused a request that is no HTTP (BadHttpMessage)",
        "ERROR aiohttp.server: Error handling a request",
    ]
    assert lines[-1] == "ValueError: a bug"


def test_a_record_without_an_exception_passes_unchanged() -> None:
    record = logging.LogRecord("aiohttp.server", logging.INFO, "", 0, "Started %s", ("now",), None)
    assert redact_bad_http(record)
    assert (record.getMessage(), record.levelno) == ("Started now", logging.INFO)


def test_a_warning_is_given_once_in_a_second(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 0.5, 0.9, 1.0, 1.5])
    warning = RareWarning(logging.getLogger("here"), "trouble (%s)", now=lambda: next(times))
    for number in range(5):
        warning.give(number)
    assert [record.getMessage() for record in caplog.records] == [
        "trouble (0); since the last such line: 1",
        "trouble (3); since the last such line: 3",
    ]
