import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.content.bar_chart import draw_bar_chart
from gateway.emulator.content.canvas import Canvas


def chunks_of(png: bytes) -> dict[bytes, bytes]:
    """Return the chunks of a PNG by name. Fail if a checksum is wrong."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, rest = {}, png[8:]
    while rest:
        (length,) = struct.unpack(">I", rest[:4])
        name, data, (checksum,) = rest[4:8], rest[8 : 8 + length], struct.unpack(">I", rest[8 + length : 12 + length])
        assert checksum == zlib.crc32(name + data)
        chunks[name], rest = data, rest[12 + length :]
    assert list(chunks) == [b"IHDR", b"PLTE", b"IDAT", b"IEND"]
    return chunks


def rows_of(png: bytes) -> list[bytes]:
    """Return the rows of a PNG, a byte for each pixel."""
    chunks = chunks_of(png)
    width, height, *kind = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert kind == [8, 3, 0, 0, 0]
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == (width + 1) * height
    rows = [pixels[row * (width + 1) :][: width + 1] for row in range(height)]
    assert all(row[0] == 0 for row in rows)
    return [row[1:] for row in rows]


def test_shapes_fill_their_pixels() -> None:
    canvas = Canvas(8, 5, [(255, 255, 255), (0, 0, 0), (255, 0, 0)])
    canvas.fill_rectangle(-3, 1, 2, 3, 1)
    canvas.fill_ellipse(6, 2.5, 2, 2.5, 2)
    assert [list(row) for row in rows_of(canvas.to_png())] == [
        [0, 0, 0, 0, 0, 2, 2, 0],
        [1, 1, 0, 0, 2, 2, 2, 2],
        [1, 1, 0, 0, 2, 2, 2, 2],
        [0, 0, 0, 0, 2, 2, 2, 2],
        [0, 0, 0, 0, 0, 2, 2, 0],
    ]
    assert chunks_of(canvas.to_png())[b"PLTE"] == bytes([255, 255, 255, 0, 0, 0, 255, 0, 0])


def test_digits_are_written() -> None:
    canvas = Canvas(8, 6, [(255, 255, 255), (0, 0, 0)])
    canvas.write_digits("4 1", 0, 0, 1, 1)
    assert ["".join(map(str, row)) for row in rows_of(canvas.to_png())] == [
        "10100000", "10100000", "11100000", "00100000", "00100000", "00000000",
    ]  # fmt: skip


@given(st.lists(st.floats(-1e15, 1e15), max_size=20))
def test_any_numbers_make_a_chart_of_the_same_size(numbers: list[float]) -> None:
    rows = rows_of(draw_bar_chart(numbers))
    assert (len(rows), {len(row) for row in rows}) == (300, {480})


@pytest.mark.parametrize(("numbers", "ratio"), [((4, 2), 2), ((-4, -2), 2), ((9, 3, 1), 3)])
def test_bars_are_as_high_as_their_numbers(numbers: tuple[float, ...], ratio: float) -> None:
    rows = rows_of(draw_bar_chart(numbers))
    first, second = (sum(row.count(bytes([bar])) > 20 for row in rows) for bar in (3, 4))
    assert first / second == pytest.approx(ratio, rel=0.05)
