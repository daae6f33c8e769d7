import pytest

from gateway.telemetry.scrubbing import scrub, to_printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words: 3 of 4?", "plain words: 3 of 4?"),
        ("GET /graphql?query=%7Bx%7D failed", "GET /graphql?[removed] failed"),
        ("see 'https://a.example/v1?code=s3cret#x' there", "see 'https://a.example/v1?[removed]' there"),
        ("redis://user:pass@host:6379/0", "redis://[removed]@host:6379/0"),
        ("sent Bearer abcdefghij", "sent [removed]"),
        ("key sk-abcdef123", "key [removed]"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln", "token [removed]"),
    ],
)
def test_credentials_and_queries_are_removed(text: str, expected: str) -> None:
    assert scrub(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Käse und 日本", "Käse und 日本"),
        ("a\x1b[31mred", "a [31mred"),
        ("two\nlines", "two\nlines"),
        ("a\r\u202eb\u2028c", "a  b c"),
    ],
)
def test_no_character_moves_the_cursor_of_a_terminal(text: str, expected: str) -> None:
    assert to_printable(text) == expected
