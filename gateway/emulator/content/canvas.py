"""A picture of a few colours, drawn by rectangles, ellipses and digits, and encoded as PNG.

Source: https://www.w3.org/TR/png-3/ (chunks, and the colour type of a palette).
"""

import struct
import zlib
from collections.abc import Sequence
from math import sqrt
from typing import Final, TypeAlias

Colour: TypeAlias = tuple[int, int, int]

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
GLYPH_WIDTH: Final = 3
GLYPH_HEIGHT: Final = 5
_PALETTE_COLOURS = 3
# Five rows of three pixels each.
_GLYPHS: Final = {
    "0": "111101101101111",
    "1": "010110010010111",
    "2": "111001111100111",
    "3": "111001111001111",
    "4": "101101111001001",
    "5": "111100111001111",
    "6": "111100111101111",
    "7": "111001010010010",
    "8": "111101111101111",
    "9": "111101111001111",
    "-": "000000111000000",
    "+": "000010111010000",
    "e": "000111110100111",
    ".": "000000000000010",
}


class Canvas:
    """A picture. Each pixel holds the place of its colour in the palette, at first 0."""

    def __init__(self, width: int, height: int, palette: Sequence[Colour]) -> None:
        self.width = width
        self.height = height
        self._palette = palette
        self._rows = [bytearray(width) for _ in range(height)]

    def fill_rectangle(self, left: float, top: float, right: float, bottom: float, colour: int) -> None:
        """Fill the pixels from left and top up to, not including, right and bottom."""
        start, end = max(0, round(left)), min(self.width, round(right))
        for row in self._rows[max(0, round(top)) : max(0, round(bottom))]:
            row[start:end] = bytes([colour]) * max(0, end - start)

    def fill_ellipse(self, x: float, y: float, x_radius: float, y_radius: float, colour: int) -> None:
        """Fill an ellipse around a point."""
        for row in range(max(0, round(y - y_radius)), min(self.height, round(y + y_radius))):
            half = x_radius * sqrt(max(0.0, 1 - ((row + 0.5 - y) / y_radius) ** 2))
            self.fill_rectangle(x - half, row, x + half, row + 1, colour)

    def write_digits(self, text: str, left: float, top: float, scale: int, colour: int) -> None:
        """Write digits and signs. Other characters leave a gap."""
        for place, character in enumerate(text):
            x = left + place * (GLYPH_WIDTH + 1) * scale
            for number, bit in enumerate(_GLYPHS.get(character, "")):
                if bit == "1":
                    pixel_x, pixel_y = x + number % GLYPH_WIDTH * scale, top + number // GLYPH_WIDTH * scale
                    self.fill_rectangle(pixel_x, pixel_y, pixel_x + scale, pixel_y + scale, colour)

    def to_png(self) -> bytes:
        """Return the picture as PNG."""
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, _PALETTE_COLOURS, 0, 0, 0)
        # Each row begins with its filter, here none.
        pixels = b"".join(b"\0" + row for row in self._rows)
        chunks = (
            (b"IHDR", header),
            (b"PLTE", b"".join(bytes(colour) for colour in self._palette)),
            (b"IDAT", zlib.compress(pixels, 9)),
            (b"IEND", b""),
        )
        return PNG_SIGNATURE + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
