"""The response that is the content of a file: whole, or the part that a `Range` header asks for.

The real service calls every content `application/octet-stream` and sends it in chunks, without a length. Source:
recorded traffic. It documents no ranges; those of this server are what RFC 9110, section 14, says of one range.
"""

from collections.abc import AsyncGenerator
from urllib.parse import quote

from aiohttp import web

from gateway.emulator.http.streamed_response import StreamedResponse
from gateway.emulator.objects import UploadedFile
from gateway.emulator.state.file_pieces import FilePieces


class FileResponse(StreamedResponse):
    """A response that sends a file piece by piece."""

    def __init__(self, request: web.Request, file: UploadedFile, pieces: FilePieces, partition: str) -> None:
        part = _requested_part(request, file.size)
        start, end = (0, file.size) if part is None else (part.start, part.stop)
        headers = {
            "Accept-Ranges": "bytes",
            "Content-Disposition": _disposition(file.filename),
            "Content-Type": "application/octet-stream",
            "X-Content-Type-Options": "nosniff",
        }
        if part is not None:
            shown = f"{start}-{end - 1}" if part else "*"
            headers["Content-Range"] = f"bytes {shown}/{file.size}"
            headers["Content-Length"] = str(len(part))
        super().__init__(
            _read_pieces(pieces, partition, file.id, start, end),
            headers,
            status=200 if part is None else 206 if part else 416,
        )
        self.file = file


async def _read_pieces(
    pieces: FilePieces, partition: str, file_id: str, start: int, end: int
) -> AsyncGenerator[bytes, None]:
    while start < end:
        piece = pieces.read_piece(partition, file_id, start)[: end - start]
        if not piece:
            # The connection closes, so that the client sees that the content is not whole.
            raise ConnectionResetError("the file was deleted while it was read")
        yield piece
        start += len(piece)


def _requested_part(request: web.Request, size: int) -> range | None:
    """Return the bytes that a request is for: None for all of them, an empty range if there are none such."""
    try:
        asked = request.http_range
    except ValueError:
        return None
    if (asked.start is None and asked.stop is None) or "If-Range" in request.headers:
        return None
    return range(size)[asked]


def _disposition(filename: str) -> str:
    if filename.isascii() and filename.isprintable() and not set(filename) & {'"', "\\"}:
        return f'attachment; filename="{filename}"'
    return f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
