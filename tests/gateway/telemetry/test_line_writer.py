import os
from collections.abc import Iterator

import pytest

from gateway.telemetry.line_writer import LineWriter

Pipe = tuple[int, int]

LINE = b"x" * 999 + b"\n"


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """The reading and the writing end of a pipe that holds 64 KiB."""
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        try:
            os.close(end)
        except OSError:
            continue


def read_all(reading: int, byte_count: int) -> bytes:
    received = b""
    while len(received) < byte_count:
        received += os.read(reading, byte_count - len(received))
    return received


def test_a_line_is_written_at_once(pipe: Pipe) -> None:
    LineWriter(pipe[1]).write_line(b"hello\n")
    assert os.read(pipe[0], 100) == b"hello\n"


def test_a_reader_that_reads_nothing_stops_nobody_and_gets_every_line_in_order_later(pipe: Pipe) -> None:
    writer = LineWriter(pipe[1])
    lines = [b"%05d" % number + LINE for number in range(500)]
    for line in lines:
        writer.write_line(line)  # would wait for ever, if it waited
    assert read_all(pipe[0], sum(map(len, lines))) == b"".join(lines)
    writer.flush(10)
    writer.write_line(b"and on\n")
    assert os.read(pipe[0], 100) == b"and on\n"
    assert writer.take_lost_count() == 0


def test_lines_beyond_the_backlog_are_dropped_whole_and_counted(pipe: Pipe) -> None:
    writer = LineWriter(pipe[1], max_backlog_bytes=10 * len(LINE))
    for _ in range(200):
        writer.write_line(LINE)
    assert writer.take_lost_count() == 0  # not before there is room again
    received = read_all(pipe[0], 10 * len(LINE))
    os.set_blocking(pipe[0], False)
    while not (lost := writer.take_lost_count()):
        received += read_what_is_there(pipe[0])
    received += read_what_is_there(pipe[0])
    assert received == LINE * (200 - lost)
    assert 0 < lost < 190


def read_what_is_there(reading: int) -> bytes:
    try:
        return os.read(reading, 1 << 20)
    except BlockingIOError:
        return b""


def test_a_long_line_is_whole(pipe: Pipe) -> None:
    writer = LineWriter(pipe[1])
    long = b"y" * 300_000 + b"\n"
    writer.write_line(long)
    writer.write_line(b"next\n")
    assert read_all(pipe[0], len(long) + 5) == long + b"next\n"
    writer.flush(10)


def test_a_reader_that_has_gone_is_no_error(pipe: Pipe) -> None:
    writer = LineWriter(pipe[1])
    os.close(pipe[0])
    writer.write_line(LINE)
    writer.write_line(LINE)
    writer.flush(10)


def test_a_reader_that_goes_while_lines_wait_is_no_error(pipe: Pipe) -> None:
    writer = LineWriter(pipe[1])
    for _ in range(200):
        writer.write_line(LINE)
    os.close(pipe[0])
    writer.flush(10)
    writer.write_line(LINE)
