import asyncio
import errno
import logging
import resource
import socket
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import web

from gateway.server.sockets.connection_limits import (
    MAX_FILES,
    ConnectionLimits,
    FittedCounts,
    fit_file_limit,
    raise_file_limit,
    read_file_limit,
)
from gateway.server.sockets.listener import Listener, bind_sockets
from tests.support.subscription_gateway import until

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class OpenListener:
    """A listener for two connections at most, over an application without routes."""

    def __init__(self, listener: Listener, port: int) -> None:
        self.listener = listener
        self._port = port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self._port)

    async def until_open(self, count: int) -> None:
        """Wait until so many connections are open."""
        await until(lambda: len(self.listener) == count)


@pytest.fixture
async def opened() -> AsyncIterator[OpenListener]:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    listener = Listener(cast("web.Server", runner.server), ConnectionLimits(max_connections=2))
    _, port = listener.listen(await bind_sockets("127.0.0.1", 0))
    yield OpenListener(listener, port)
    await listener.close(0)
    await runner.cleanup()


async def test_one_connection_too_many_is_closed_at_once(
    opened: OpenListener, caplog: pytest.LogCaptureFixture
) -> None:
    writers = []
    for count in (1, 2):
        _, writer = await opened.connect()
        writers.append(writer)
        await opened.until_open(count)
    for _ in range(3):
        reader, writer = await opened.connect()
        assert await reader.read() == b""
        writers.append(writer)
    assert len(opened.listener) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "closed a new connection because 2 are open; since the last such line: 1"
    ]
    writers.pop(0).close()
    await opened.until_open(1)
    reader, writer = await opened.connect()
    writer.write(REQUEST)
    assert (await reader.readline()).startswith(b"HTTP/1.1 404")
    for each in [*writers, writer]:
        each.close()
        await each.wait_closed()


async def test_a_failure_to_accept_is_logged_without_a_traceback_and_does_not_end_the_listener(
    opened: OpenListener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    accept, failures = socket.socket.accept, 5

    def failing(self: socket.socket) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    reader, writer = await opened.connect()
    writer.write(REQUEST)
    assert (await reader.readline()).startswith(b"HTTP/1.1 404")
    (record,) = caplog.records
    assert record.getMessage() == "cannot accept a connection (Too many open files); since the last such line: 1"
    assert (record.levelno, record.exc_info) == (logging.WARNING, None)
    writer.close()
    await writer.wait_closed()


async def test_a_connection_that_was_accepted_gets_its_response_although_the_listener_closes(
    opened: OpenListener,
) -> None:
    reader, writer = await opened.connect()
    closing = asyncio.create_task(opened.listener.close(10))
    await opened.until_open(1)
    writer.write(REQUEST)
    assert (await reader.readline()).startswith(b"HTTP/1.1 404")
    await closing
    with pytest.raises(ConnectionRefusedError):
        await opened.connect()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize(
    ("max_sockets", "max_files", "expected"),
    [
        (10_000, 65_536, FittedCounts(20_000, 10_000)),
        (10_000, 20_000, FittedCounts(18_736, 10_000)),
        (10_000, 1_024, FittedCounts(512, 384)),
        (10, 65_536, FittedCounts(1_010, 10)),
        (10_000, 2, FittedCounts(1, 1)),
    ],
)
def test_connections_fit_into_the_files_beside_those_of_the_upstream(
    max_sockets: int, max_files: int, expected: FittedCounts
) -> None:
    assert fit_file_limit(max_sockets, 1_200, max_files) == expected


def test_plain_requests_find_room_at_any_file_limit() -> None:
    for max_files in range(8, 30_000, 7):
        counts = fit_file_limit(10_000, 1_200, max_files)
        assert counts.max_sockets < counts.max_connections < max_files


class Limits:
    """The limits of files of a process, as the system would hold them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.soft, self.hard = soft, hard
        monkeypatch.setattr(resource, "getrlimit", lambda _: (self.soft, self.hard))
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, _kind: int, limits: tuple[int, int]) -> None:
        self.soft, self.hard = limits


UNLIMITED = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [
        (1_024, 4_096, 4_096),
        (1_024, UNLIMITED, MAX_FILES),
        (1_024, 2 * MAX_FILES, MAX_FILES),
        (2 * MAX_FILES, 4 * MAX_FILES, 2 * MAX_FILES),
        (UNLIMITED, UNLIMITED, MAX_FILES),
    ],
)
def test_the_limit_of_files_is_raised_as_far_as_it_goes_and_never_lowered(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, expected: int
) -> None:
    limits = Limits(monkeypatch, soft, hard)
    raise_file_limit()
    assert read_file_limit() == expected
    assert limits.hard == hard
    assert limits.soft == (UNLIMITED if soft == UNLIMITED else expected)
