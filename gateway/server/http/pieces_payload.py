"""The body of a long response, which is sent in pieces. aiohttp would need one text of them all."""

from __future__ import annotations

from collections import deque
from typing import cast

from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter
from aiohttp.payload import Payload

from schema.contract.encoded_json import EncodedJson, JsonPieces


class PiecesPayload(Payload):
    """A body in pieces. It is written once, and holds no piece that the connection holds already."""

    _default_content_type = "application/json"

    def __init__(self, content: JsonPieces) -> None:
        """Send these pieces in their order."""
        super().__init__(None)
        self._size = len(content)
        self._pieces = deque(content.pieces)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Join what has not been written yet."""
        return b"".join(self._pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Hand everything to the connection at once, which counts what waits for its client."""
        stream = cast("StreamWriter", writer)
        while self._pieces:
            await stream.write(self._pieces.popleft(), drain=False)


def to_body(content: EncodedJson) -> bytes | PiecesPayload:
    """Return the content as the body of a response."""
    return content if isinstance(content, bytes) else PiecesPayload(content)
