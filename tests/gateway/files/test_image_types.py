import pytest

from gateway.files.image_types import sniff_image
from tests.support.file_samples import CSV, GIF, HTML, PNG, SVG

WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 "


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (PNG, "image/png"),
        (GIF, "image/gif"),
        (b"GIF87a" + b"\x00" * 10, "image/gif"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01", "image/jpeg"),
        (WEBP, "image/webp"),
        (b"GIF89a/*" + HTML, "image/gif"),  # a polyglot stays an image
        (PNG[:11], None),
        (b"\x89PNG\r\n\x1a\n" + b"\x00" * 20, None),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", None),
        (b"GIF90a" + b"\x00" * 10, None),
        (b"BM" + b"\x00" * 14, None),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00", None),
        (b" " + PNG, None),
        (b"%PDF-1.7" + PNG, None),
        (SVG, None),
        (HTML, None),
        (CSV, None),
        (b"", None),
    ],
)
def test_only_the_beginning_of_a_file_makes_it_an_image(content: bytes, expected: str | None) -> None:
    assert sniff_image(content) == expected
