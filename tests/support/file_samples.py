"""Small files of every kind that matters to a browser, and forms that hold them."""

import io
import struct
import zlib
from typing import Any

from aiohttp import FormData


def png(width: int = 2, height: int = 2) -> bytes:
    """A real PNG of one colour."""
    rows = (b"\x00" + b"\x20\x60\xa0" * width) * height
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(rows)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = png()
GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
CSV = b"month,sales\nJanuary,10\n"
SCRIPT = b"<script>document.title = 'ran'; window.opener && (window.opener.ran = true)</script>"
HTML = b"<!doctype html><html><body>" + SCRIPT + b"</body></html>"
SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" onload="document.title='ran'">
<script>document.title = 'ran'</script></svg>"""


def form(content: bytes, filename: str = "a.bin", content_type: str | None = None, **fields: str) -> FormData:
    """A form as a browser sends it: its fields, and then a file."""
    made = FormData(quote_fields=False)
    for name, value in fields.items():
        made.add_field(name, value)
    made.add_field(
        "file", io.BytesIO(content), filename=filename, content_type=content_type or "application/octet-stream"
    )
    return made


BOUNDARY = "a-boundary-of-a-test"


def raw_form(*parts: bytes, ends: bool = True) -> dict[str, Any]:
    """Options of a request whose form has exactly these parts, each with its headers."""
    body = b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY.encode(), part) for part in parts)
    body += b"--%s--\r\n" % BOUNDARY.encode() if ends else b""
    return {"data": body, "headers": {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}}


def part(name: str, content: bytes, filename: str | None = None, more: str = "") -> bytes:
    """A part of a form. The names are not quoted further, so that a test may send anything."""
    named = "" if filename is None else f'; filename="{filename}"'
    return f'Content-Disposition: form-data; name="{name}"{named}\r\n{more}\r\n'.encode() + content
