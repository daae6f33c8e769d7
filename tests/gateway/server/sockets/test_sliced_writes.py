"""Tests of the slices in which a connection is written."""

import asyncio
import random
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.sockets.sliced_writes import SLICE_BYTES, SlicedWrites


class FakeTransport:
    """A transport that takes bytes at once while it has `room`, and holds the rest."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.taken = b""
        self.held = b""
        self.pieces = list[int]()
        self.writes: SlicedWrites | None = None

    def write(self, data: bytes) -> None:
        self.pieces.append(len(data))
        was_empty = not self.held
        self.held += bytes(data)
        self._take()
        if was_empty and self.held and self.writes is not None:
            self.writes.on_full()

    def make_room(self, room: int) -> None:
        self.room += room
        if self.held:
            self._take()
            if not self.held and self.writes is not None:
                self.writes.on_empty()

    def get_write_buffer_size(self) -> int:
        return len(self.held)

    def _take(self) -> None:
        taken = self.held[: self.room]
        self.taken += taken
        self.held = self.held[self.room :]
        self.room -= len(taken)


def written_to(transport: FakeTransport) -> tuple[SlicedWrites, list[bool]]:
    waits = list[bool]()
    transport.writes = SlicedWrites(cast("asyncio.Transport", transport), waits.append)
    return transport.writes, waits


async def test_a_long_response_is_written_in_slices_and_turns() -> None:
    transport = FakeTransport(room=1 << 30)
    writes, waits = written_to(transport)
    data = random.randbytes(10 * SLICE_BYTES + 1)
    writes.write(data)
    for turns in range(10):
        assert len(transport.pieces) == 1 + turns
        assert writes.waiting_bytes == len(data) - (1 + turns) * SLICE_BYTES
        await asyncio.sleep(0)
    assert (transport.taken, writes.waiting_bytes) == (data, 0)
    assert transport.pieces == [SLICE_BYTES] * 10 + [1]
    assert waits == [True, False]


async def test_a_short_response_is_written_at_once() -> None:
    transport = FakeTransport(room=1 << 30)
    writes, waits = written_to(transport)
    writes.write(b"short")
    assert (transport.taken, waits) == (b"short", [])


async def test_nothing_is_written_while_the_system_takes_nothing() -> None:
    transport = FakeTransport(room=0)
    writes, waits = written_to(transport)
    writes.write(b"a")
    writes.write(b"b" * 3 * SLICE_BYTES)
    for _ in range(10):
        await asyncio.sleep(0)
    assert (len(transport.pieces), waits) == (1, [True])
    assert writes.waiting_bytes == 1 + 3 * SLICE_BYTES
    while writes.waiting_bytes:
        transport.make_room(SLICE_BYTES)
        await asyncio.sleep(0)
    assert (transport.taken, waits) == (b"a" + b"b" * 3 * SLICE_BYTES, [True, False])


async def test_bytes_that_may_change_are_copied() -> None:
    transport = FakeTransport(room=1 << 30)
    writes, _ = written_to(transport)
    data = bytearray(b"a" * 2 * SLICE_BYTES)
    writes.write(data)
    data[-1] = 0
    await asyncio.sleep(0)
    assert transport.taken == b"a" * 2 * SLICE_BYTES


@pytest.mark.parametrize("room", [0, 1 << 30])
async def test_the_rest_is_flushed_before_the_end_or_forgotten_after_it(room: int) -> None:
    transport = FakeTransport(room)
    writes, waits = written_to(transport)
    writes.write(b"a" * 5 * SLICE_BYTES)
    writes.flush()
    assert transport.taken + transport.held == b"a" * 5 * SLICE_BYTES
    assert waits == [True]
    count = len(transport.pieces)
    writes.write(b"b" * 5 * SLICE_BYTES)
    writes.clear()
    await asyncio.sleep(0)
    assert len(transport.pieces) <= count + 1


@given(st.lists(st.tuples(st.integers(0, 3 * SLICE_BYTES), st.integers(0, 2 * SLICE_BYTES)), max_size=8))
def test_whatever_is_written_arrives_in_order_and_each_wait_has_an_end(steps: list[tuple[int, int]]) -> None:
    async def run() -> None:
        transport = FakeTransport(room=0)
        writes, waits = written_to(transport)
        sent = b""
        for size, room in steps:
            data = random.randbytes(size)
            sent += data
            if data:
                writes.write(data)
            transport.make_room(room)
            await asyncio.sleep(0)
        while writes.waiting_bytes:
            transport.make_room(SLICE_BYTES // 2)
            await asyncio.sleep(0)
        assert transport.taken == sent
        assert waits == [True, False] * (len(waits) // 2)

    asyncio.run(run())
