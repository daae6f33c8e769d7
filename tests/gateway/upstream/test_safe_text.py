import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.telemetry.scrubbing import REMOVED
from gateway.upstream.safe_text import safe_text

KEY = "sk-proj-0123456789abcdefghij"


@pytest.mark.parametrize(
    ("text", "credential", "expected"),
    [
        ("No thread found with id 'thread_x'.", f"Bearer {KEY}", "No thread found with id 'thread_x'."),
        (
            f"Incorrect API key provided: {KEY}, see the docs",
            None,
            f"Incorrect API key provided: {REMOVED}, see the docs",
        ),
        ("Incorrect API key provided: sk-ab***********yz.", None, f"Incorrect API key provided: {REMOVED}"),
        ("got Authorization: Bearer abc.def-ghi/jkl=", None, f"got Authorization: {REMOVED}"),
        ("got Basic dXNlcjpwYXNzd29yZA==", None, f"got {REMOVED}"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln expired", None, f"token {REMOVED} expired"),
        ("token eyJhbGciOiJIUzI1NiJ9 expired", None, f"token {REMOVED} expired"),
        ("who is tiger-lily?", "Bearer tiger-lily", f"who is {REMOVED}?"),
        ("who is 'Custom  a b c d'?", "Custom  a b c d", f"who is '{REMOVED}'?"),
        ("the desk-clerk's task-force", "x", "the desk-clerk's task-force"),
        ("one\r\ntwo\tthree\u2028four\x85five", None, "one two three four five"),
        ("a\x00b\x1b[31mc\u202ed\u200be\ufefff\ud800g", None, "ab[31mcdefg"),
        ("", "Bearer abcdef", ""),
        ("Bad key abcd****wxyz.", "Bearer abcd0123456789wxyz", f"Bad key {REMOVED}."),
        ("Bad key abcd... given", "Bearer abcd0123456789wxyz", f"Bad key {REMOVED} given"),
        ("Bad key '\u2022\u2022\u2022wxyz'", "Bearer abcd0123456789wxyz", f"Bad key '{REMOVED}'"),
        (
            "Bad keys abcd\u2026, **wxyz and ab****yz",
            "Bearer abcd0123456789wxyz",
            f"Bad keys {REMOVED}, {REMOVED} and {REMOVED}",
        ),
        ("Wait... 2 ** 3, **really**", "Bearer abcd0123456789wxyz", "Wait... 2 ** 3, **really**"),
    ],
)
def test_the_text_that_a_caller_sees(text: str, credential: str | None, expected: str) -> None:
    assert safe_text(text, credential) == expected


def test_a_credential_at_the_cut_is_removed_before_cutting() -> None:
    shown = safe_text("x" * 470 + " " + KEY + " y" * 40)
    assert len(shown) == 500
    assert "sk-" not in shown


def test_a_credential_split_by_invisible_characters_is_removed() -> None:
    assert safe_text(f"key {KEY[:6]}\x00{KEY[6:]} end") == f"key {REMOVED} end"


@pytest.mark.parametrize("beginning", ["-eyJ", "eyJ", "sk-", "-sk-", "bearer ", "Basic  ", "eyJaaaaaaaa."])
def test_beginnings_of_credentials_without_an_end_are_read_once(beginning: str) -> None:
    """A scan that began again at each of them would take hours, beyond the time limit of every test."""
    assert safe_text(beginning * ((1 << 20) // len(beginning)))


SECRETS = st.text(alphabet="ABCDEFGHJKQXZ0123456789-_.", min_size=8, max_size=60)


def test_a_text_full_of_masks_is_read_once() -> None:
    for mask in ("**a", "...", "a**", "\u2026b", "**"):
        assert safe_text(mask * ((1 << 20) // len(mask)), "Bearer abcd0123456789wxyz")


@given(
    st.text("abc *.\u2022\u2026", max_size=20),
    SECRETS,
    st.integers(0, 4),
    st.integers(0, 4),
    st.sampled_from(["**", "*" * 20, "...", "\u2026"]),
)
def test_no_masked_credential_is_left(text: str, secret: str, first: int, last: int, mask: str) -> None:
    assume(first or last)
    beginning, end = secret[:first].replace(".", ""), secret[len(secret) - last :].replace(".", "")
    assume(secret.startswith(beginning) and secret.endswith(end) and (beginning or end))
    shown = safe_text(f"{text} {beginning}{mask}{end} {text}", f"Bearer {secret}")
    assert f"{beginning}{mask}{end}" not in shown
    assert REMOVED in shown


@given(st.text(), SECRETS, st.text(), st.sampled_from(["{}", "Bearer {}", "Custom {}"]))
def test_no_credential_is_left(before: str, secret: str, after: str, scheme: str) -> None:
    assume(secret not in before + after)
    credential = scheme.format(secret)
    assert secret not in safe_text(before + secret + after, credential)
    assert secret not in safe_text(before + credential + after, credential)


@given(st.text(), st.integers(10, 500))
def test_the_text_is_one_short_printable_line(text: str, max_length: int) -> None:
    shown = safe_text(text, max_length=max_length)
    assert len(shown) <= max_length
    assert len(shown.splitlines()) <= 1
    shown.encode()
