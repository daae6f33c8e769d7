import logging
import subprocess
import sys

PROGRAM = """
import logging
from gateway.telemetry.logs import configure_logging
configure_logging("info")
logging.getLogger("gateway.server").info("seen")
logging.getLogger("gateway.server").debug("too fine")
logging.getLogger("aiohttp.access").info("GET /graphql?query=private")
from aiohttp.http_exceptions import BadHttpMessage
for error in (BadHttpMessage("private"), ValueError("a bug")):
    try:
        raise error
    except Exception:
        logging.getLogger("aiohttp.server").exception("Error handling %s", "private")
"""


def test_records_go_to_standard_error_without_urls_and_bytes_of_requests() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line.split(" ", 2)[2] for line in lines[:3]] == [
        "INFO gateway.server: seen",
        "WARNING aiohttp.server: Refused a request that is no HTTP (BadHttpMessage)",
        "ERROR aiohttp.server: Error handling private",
    ]
    assert lines[-1] == "ValueError: a bug"
    assert logging.getLogger("aiohttp.access").level == logging.NOTSET
