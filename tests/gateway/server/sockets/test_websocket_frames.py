import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.server.sockets.websocket_frames import FrameReader
from tests.attacks.wires import frame

MASK = 4
PING = frame(b"x" * 125, opcode=9)


def unfinished(data: bytes, *, piece: int = 1 << 20) -> int:
    reader = FrameReader()
    for start in range(0, len(data), piece):
        reader.feed(data[start : start + piece])
    return reader.unfinished_bytes


@pytest.mark.parametrize("piece", [1, 3, 1 << 20])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_the_bytes_of_an_unfinished_message_are_counted(size: int, piece: int) -> None:
    begun = frame(b" " * size, is_final=False)
    assert unfinished(frame(b" " * size), piece=piece) == 0
    assert unfinished(begun, piece=piece) == size + MASK
    assert unfinished(frame(b"{}") + begun + PING + frame(b"ab", opcode=0, is_final=False), piece=piece) == (
        size + 2 + 2 * MASK
    )
    assert unfinished(begun + frame(b"ab", opcode=0), piece=piece) == 0


def test_the_bytes_of_an_unfinished_frame_are_counted() -> None:
    whole = frame(b" " * 1_000)
    assert unfinished(whole[:-1]) == 1_000 + MASK - 1
    assert unfinished(PING[:-1]) == 0
    assert unfinished(whole[:3]) == 0
    assert unfinished(b"\x81\x02ab" + b"\x81\x00") == 0  # frames without a mask


@given(st.lists(st.tuples(st.integers(0, 70_000), st.booleans(), st.booleans()), max_size=6), st.integers(1, 90_000))
@settings(deadline=None, max_examples=50)
def test_random_frames_are_counted_the_same_however_they_are_cut(
    frames: list[tuple[int, bool, bool]], piece: int
) -> None:
    data, expected = b"", 0
    for size, is_final, has_ping in frames:
        data += (PING if has_ping else b"") + frame(random.randbytes(size), is_final=is_final)
        expected = 0 if is_final else expected + size + MASK
    assert unfinished(data, piece=piece) == expected
