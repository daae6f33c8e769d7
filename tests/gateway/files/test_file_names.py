import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.files.file_names import (
    MAX_NAME_BYTES,
    content_disposition,
    filename_from_disposition,
    to_safe_filename,
)
from tests.support.full_runs import examples


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("table.csv", "table.csv"),
        ("Übersicht 2026, Größe.csv", "Übersicht 2026, Größe.csv"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\Users\\ann\\a.png", "a.png"),
        ("a\r\nSet-Cookie: b=c.png", "aSet-Cookie_ b=c.png"),
        ('a"; filename="b.html', "a_; filename=_b.html"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        ("a\u200b\ufeffb\x00c\x7f.txt", "abc.txt"),
        ("line\u2028separator", "lineseparator"),
        (".htaccess", "htaccess"),
        ("...", "file"),
        ("", "file"),
        (None, "file"),
        ("a/", "file"),
        ("name. . .", "name"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("console.txt", "console.txt"),
        ("<b>*?|.html", "_b____.html"),
        ("e\u0301.txt", "é.txt"),
        ("\ud800.txt", "txt"),
        ("日本語.png", "日本語.png"),
    ],
)
def test_a_name_is_made_harmless(name: str | None, expected: str) -> None:
    assert to_safe_filename(name) == expected


def test_a_long_name_keeps_its_ending() -> None:
    assert to_safe_filename("ä" * 300 + ".png") == "ä" * 98 + ".png"
    assert to_safe_filename("a" * 300) == "a" * MAX_NAME_BYTES
    assert to_safe_filename("a." + "b" * 300) == "a." + "b" * 198


@given(st.text())
@examples(300)
def test_no_name_is_empty_long_or_of_another_folder(name: str) -> None:
    safe = to_safe_filename(name)
    assert safe
    assert safe not in {".", ".."}
    assert len(safe.encode()) <= MAX_NAME_BYTES
    assert not set(safe) & set('/\\"<>:|?*\r\n')
    assert not any(unicodedata.category(each).startswith("C") for each in safe)
    assert to_safe_filename(safe) == safe


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("", None),
        ("attachment", None),
        ('attachment; filename="a b.csv"', "a b.csv"),
        ("attachment; filename=a.csv", "a.csv"),
        ("attachment; filename=\"a.csv\"; filename*=UTF-8''%C3%BC.csv", "ü.csv"),
        ("attachment; filename*=nonsense''%FF.csv", "ÿ.csv"),
        ("attachment; filename*=broken", "broken"),
        ('attachment; filename="a\\"b.csv"', 'a"b.csv'),
        ('attachment; filename="\udcfc.csv"', "\ufffd.csv"),
        (";;;=;filename", None),
        ('attachment; filename="unfinished', '"unfinished'),
    ],
)
def test_the_name_in_a_header_of_the_upstream_is_read_however_it_is_written(
    header: str | None, expected: str | None
) -> None:
    assert filename_from_disposition(header) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", 'inline; filename="a.png"'),
        ("50%.png", "inline; filename=\"50_.png\"; filename*=UTF-8''50%25.png"),
        ("é ü.png", "inline; filename=\"_ _.png\"; filename*=UTF-8''%C3%A9%20%C3%BC.png"),
        ("it's.png", 'inline; filename="it\'s.png"'),
    ],
)
def test_a_name_stands_in_a_header_in_ascii_and_in_utf_8(name: str, expected: str) -> None:
    assert content_disposition("inline", name) == expected
