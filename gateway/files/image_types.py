"""The images that a browser may show in place, told by their first bytes and never by a name or a declared type. Pure.

Each is a format without script. A file that is also something else (a polyglot) is still served as this image, and
`nosniff` keeps browsers from taking it for anything else.

Source: https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern; RFC 2083, section 3.2 (the first chunk is
`IHDR`).
"""

from __future__ import annotations

SNIFFED_BYTES = 16
"""Bytes from which the type follows."""

PNG, JPEG, GIF, WEBP = "image/png", "image/jpeg", "image/gif", "image/webp"


def sniff_image(first_bytes: bytes) -> str | None:
    """Return the media type of an image that begins with these bytes, of which there are `SNIFFED_BYTES` or all."""
    if first_bytes.startswith(b"\x89PNG\r\n\x1a\n") and first_bytes[12:16] == b"IHDR":
        return PNG
    if first_bytes.startswith(b"\xff\xd8\xff"):
        return JPEG
    if first_bytes.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if first_bytes.startswith(b"RIFF") and first_bytes[8:15] == b"WEBPVP8":
        return WEBP
    return None
