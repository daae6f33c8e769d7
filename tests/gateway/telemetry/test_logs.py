"""Logs are lines on standard error: JSON or text, with no value that an error ran into."""

import json
import logging
import os
import pty
import re
import subprocess
import sys

import pytest

from gateway.telemetry.logs import redact_bad_http, redact_tasks
from gateway.telemetry.rare_warning import RareWarning

IMPORTS = """
import asyncio, logging, threading, warnings
from gateway.telemetry.logs import configure_logging
"""


def run(program: str) -> list[str]:
    """Run a program, and return the lines of its standard error."""
    command = [sys.executable, "-c", IMPORTS + program]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == ""
    return done.stderr.splitlines()


def run_in_terminal(program: str, **variables: str) -> str:
    """Run a program with a terminal as its standard error, and return what the terminal gets."""
    reading, writing = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name != "NO_COLOR"} | variables
    subprocess.run([sys.executable, "-c", IMPORTS + program], stderr=writing, env=environment, check=True)
    os.close(writing)
    received = b""
    try:
        while data := os.read(reading, 4096):
            received += data
    except OSError:  # the end of a terminal
        os.close(reading)
    return received.decode()


ONE_LINE = """
logging.getLogger("gateway.here").info("seen", extra={"fields": {"operation": "Käse\x1b[31m", "caller": None}})
"""


def test_lines_are_json_in_production() -> None:
    (line,) = run('configure_logging("info")' + ONE_LINE)
    fields = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", fields.pop("timestamp"))
    assert fields == {
        "level": "info",
        "logger": "gateway.here",
        "event": "seen",
        "operation": "Käse\x1b[31m",
        "caller": None,
    }


@pytest.mark.parametrize("arguments", ['"info", is_development=True', '"info", "text"'])
def test_lines_are_text_in_development_or_on_request(arguments: str) -> None:
    (line,) = run(f"configure_logging({arguments})" + ONE_LINE)
    assert re.fullmatch(r"\S+Z \[info +\] seen +\[gateway\.here\] operation='?Käse \[31m'?", line), line


def test_lines_are_colored_text_in_a_terminal() -> None:
    shown = run_in_terminal('configure_logging("info")' + ONE_LINE)
    assert "\x1b[" in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert re.search(r"\[info +\] seen +\[gateway\.here\] operation=", plain), shown


def test_a_terminal_can_do_without_colors_and_with_json() -> None:
    assert "\x1b" not in run_in_terminal('configure_logging("info")' + ONE_LINE, NO_COLOR="1")
    assert json.loads(run_in_terminal('configure_logging("info", "json")' + ONE_LINE))["event"] == "seen"


@pytest.mark.parametrize(
    ("level", "seen"),
    [
        ("debug", ["gateway.debug", "schema.info", "gateway.info", "library.warning", "gateway.error"]),
        ("info", ["schema.info", "gateway.info", "library.warning", "gateway.error"]),
        ("warning", ["library.warning", "gateway.error"]),
        ("error", ["gateway.error"]),
    ],
)
def test_the_level_applies_to_own_loggers_and_libraries_warn_only(level: str, seen: list[str]) -> None:
    program = f"""
configure_logging({level!r})
logging.getLogger("gateway.debug").debug("x")
logging.getLogger("schema.info").info("x")
logging.getLogger("gateway.info").info("x")
logging.getLogger("library.debug").debug("a statement with its values")
logging.getLogger("sqlalchemy.engine.Engine").info("a statement with its values")
logging.getLogger("aiosqlite").debug("a statement with its values")
logging.getLogger("asyncio").debug("Using selector")
logging.getLogger("aiohttp.access").error("GET /graphql?query=private")
logging.getLogger("library.warning").warning("x")
logging.getLogger("gateway.error").error("x")
"""
    assert [json.loads(line)["logger"] for line in run(program)] == seen


UNCAUGHT = """
configure_logging("info")
async def fail():
    raise ValueError("private")
async def main():
    asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
asyncio.run(main())
class Broken:
    def __del__(self):
        raise ValueError("private")
Broken()
thread = threading.Thread(target=lambda: int("private"))
thread.start()
thread.join()
warnings.warn("an old function")
raise ValueError("private")
"""


def test_what_nothing_catches_is_logged_without_its_text() -> None:
    lines = [json.loads(line) for line in run(UNCAUGHT)]
    assert [(line["level"], line["logger"], line["event"].partition("\n")[0]) for line in lines] == [
        ("error", "asyncio", "Task exception was never retrieved"),
        ("error", "gateway.uncaught", "an exception could not be raised"),
        ("error", "gateway.uncaught", "a thread ended by an exception"),
        ("warning", "py.warnings", "<string>:20: UserWarning: an old function"),
        ("critical", "gateway.uncaught", "the program ends by an exception that nothing caught"),
    ]
    tracebacks = [line["exception"] for line in lines if "exception" in line]
    assert [text.splitlines()[-1] for text in tracebacks] == ["ValueError"] * 4
    assert "private" not in json.dumps(lines)


def test_a_record_of_malformed_http_loses_the_bytes_and_the_address() -> None:
    program = """
configure_logging("info")
from aiohttp.http_exceptions import BadHttpMessage
for error in (BadHttpMessage("private"), ValueError("private")):
    try:
        raise error
    except Exception:
        logging.getLogger("aiohttp.server").exception("Error handling request from %s", "192.0.2.1")
"""
    lines = run(program)
    assert [(fields["level"], fields["event"]) for fields in map(json.loads, lines)] == [
        ("warning", "Refused a request that is no HTTP (BadHttpMessage)"),
        ("error", "Error handling a request"),
    ]
    assert "private" not in "".join(lines)
    assert "192.0.2.1" not in "".join(lines)


def test_a_slow_task_is_logged_without_its_result() -> None:
    handle = "<Task finished name='Task-5' coro=<work() done> result='private'>"
    record = logging.LogRecord("asyncio", logging.WARNING, "", 0, "Executing %s took %.3f seconds", (handle, 1.0), None)
    assert redact_tasks(record)
    assert record.getMessage() == "Executing"


def test_urls_in_messages_lose_their_queries() -> None:
    program = """
configure_logging("info")
logging.getLogger("gateway").warning("cannot read %s", "https://user:private@a.example/x?code=private")
"""
    (line,) = run(program)
    assert json.loads(line)["event"] == "cannot read https://[removed]@a.example/x?[removed]"


def test_values_that_json_lacks_are_written_all_the_same() -> None:
    program = """
configure_logging("info")
logging.getLogger("gateway").info("seen", extra={"fields": {"subject": "a\\ud800b", "count": 1 << 70, "odd": {1}}})
"""
    (line,) = run(program)
    fields = json.loads(line)
    assert (fields["subject"], fields["count"]) == ("a\ud800b", 1 << 70)


def test_a_record_that_cannot_be_formatted_shows_no_value() -> None:
    program = """
configure_logging("info")
logging.getLogger("gateway.here").info("%d of them", "private")
logging.getLogger("gateway.here").info("next")
"""
    lines = [json.loads(line) for line in run(program)]
    assert [(line["level"], line["event"]) for line in lines] == [
        ("warning", "a line of gateway.here could not be made: TypeError"),
        ("info", "next"),
    ]


def test_lines_that_wait_when_the_program_ends_are_written() -> None:
    program = """
configure_logging("info")
for number in range(3000):
    logging.getLogger("gateway").info("%s %d", "x" * 100, number)
"""
    lines = run(program)
    assert [int(json.loads(line)["event"].split()[1]) for line in lines] == list(range(3000))


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
