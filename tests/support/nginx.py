"""Debian's nginx with the configuration of `docker/`, on loopback ports and in a directory of a test."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.ports import free_port

CONFIGURATION = Path(__file__).parents[2] / "docker" / "nginx.conf"
START_SECONDS = 10.0
ATTEMPTS = 3


@dataclass(frozen=True)
class Call:
    """A line of the proxy's log: a request, the gateways that got it in turn, and the status of each."""

    request: str
    status: int
    gateways: tuple[str, ...]
    statuses: tuple[str, ...]


@dataclass(frozen=True)
class Proxy:
    """A running proxy: its base URL and its log."""

    url: str
    port: int
    directory: Path

    def calls(self, count: int) -> list[Call]:
        """Return all requests to a gateway so far.

        Waits until there are this many, since a response leaves before its log line.
        """
        until = time.monotonic() + START_SECONDS
        while len(found := self._calls()) < count:
            assert time.monotonic() < until, f"expected {count} calls, got {found}"
            time.sleep(0.01)
        return found

    def _calls(self) -> list[Call]:
        lines = (self.directory / "access.log").read_text().splitlines()
        return [
            Call(line[1], int(line[2]), _listed(line[3]), _listed(line[4]))
            for line in (re.search(r'"(.+?)" (\d+) .* by \[(.*)\] said \[(.*)\]', text) for text in lines)
            if line is not None and line[3] != "-"
        ]


def _listed(addresses: str) -> tuple[str, ...]:
    # A comma separates servers of one group; a colon with spaces separates groups.
    return tuple(re.split(r", | : ", addresses))


def find_nginx() -> str:
    """Return the path of nginx. Skips the test if nginx is not installed."""
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        pytest.skip("no nginx here: apt-get install nginx")
    return found


def local_configuration(directory: Path, port: int, gateways: Sequence[str]) -> Path:
    """Write the configuration with this machine's addresses instead of the containers'. All else is unchanged."""
    text = CONFIGURATION.read_text()
    replaced = {
        "listen 8080 ": f"listen 127.0.0.1:{port} ",
        " /tmp/": f" {directory}/",
        **{f"gateway-{number}:8000": address for number, address in enumerate(gateways, 1)},
    }
    for old, new in replaced.items():
        assert old in text, f"expected {old!r} in {CONFIGURATION.name}"
        text = text.replace(old, new)
    made = directory / "nginx.conf"
    made.write_text(text)
    return made


def nginx_command(configuration: Path, *options: str) -> list[str]:
    own = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    return [find_nginx(), "-e", "stderr", "-p", str(configuration.parent), "-c", str(configuration), "-g", own,
            *options]  # fmt: skip


@contextmanager
def running_proxy(directory: Path, gateways: Sequence[str]) -> Iterator[Proxy]:
    """Run the proxy over three gateways, given as `host:port`."""
    with contextlib.ExitStack() as stack:
        for _ in range(ATTEMPTS):
            port = free_port()
            configuration = local_configuration(directory, port, gateways)
            process = stack.enter_context(_process(configuration))
            if _is_listening(process, port):
                yield Proxy(f"http://127.0.0.1:{port}", port, directory)
                return
        raise AssertionError((directory / "error.log").read_text())


@contextmanager
def _process(configuration: Path) -> Iterator[subprocess.Popen[bytes]]:
    directory = configuration.parent
    with (directory / "access.log").open("ab") as access, (directory / "error.log").open("ab") as errors:
        process = subprocess.Popen(nginx_command(configuration), stdout=access, stderr=errors)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_listening(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until the proxy responds. Returns False if it ended because its port was in use."""

    def answers() -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5):
            return True
        return process.poll() is not None

    wait_until(answers)
    return process.poll() is None


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < until, "expected the condition to come true in time"
        time.sleep(0.01)
