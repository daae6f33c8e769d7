"""Reads the frames of a WebSocket's client, to tell how much of a message has come whose end has not. Pure.

Source: RFC 6455, section 5.2 "Base Framing Protocol".
"""

from __future__ import annotations

_LONG_LENGTH_BYTES = {126: 2, 127: 8}
_MASK_BYTES = 4


class FrameReader:
    """Follows the frames in the bytes of one client. Counts those of its unfinished message, `unfinished_bytes`."""

    __slots__ = ("_bytes_left", "_header", "unfinished_bytes")

    def __init__(self) -> None:
        """Start between two frames."""
        self.unfinished_bytes = 0
        self._header = bytearray()
        self._bytes_left = -1  # of the frame whose header is complete

    def feed(self, data: bytes) -> None:
        """Read the next bytes."""
        position = 0
        while position < len(data) or self._bytes_left == 0:
            if self._bytes_left >= 0:
                taken = min(self._bytes_left, len(data) - position)
                self._bytes_left -= taken
                if not self._is_control:
                    self.unfinished_bytes += taken
                if self._bytes_left == 0:
                    self._end_frame()
            else:
                taken = self._header_size - len(self._header)
                self._header += data[position : position + taken]
                if len(self._header) == self._header_size:
                    self._bytes_left = self._frame_bytes()
            position += taken

    @property
    def _is_control(self) -> bool:
        return bool(self._header[0] & 0x08)

    @property
    def _header_size(self) -> int:
        return 2 if len(self._header) < 2 else 2 + _LONG_LENGTH_BYTES.get(self._header[1] & 0x7F, 0)

    def _frame_bytes(self) -> int:
        """Return the number of bytes behind the header: the mask and the payload."""
        length = self._header[1] & 0x7F
        if length in _LONG_LENGTH_BYTES:
            length = int.from_bytes(self._header[2:], "big")
        return length + (_MASK_BYTES if self._header[1] & 0x80 else 0)

    def _end_frame(self) -> None:
        if not self._is_control and self._header[0] & 0x80:
            self.unfinished_bytes = 0
        self._header.clear()
        self._bytes_left = -1
