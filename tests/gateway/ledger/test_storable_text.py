from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.storable_text import escape_text, unescape_text

ANY_TEXT = st.text(st.characters(exclude_categories=[]))


@given(ANY_TEXT)
def test_every_text_comes_back(text: str) -> None:
    assert unescape_text(escape_text(text)) == text


@given(ANY_TEXT)
def test_an_escaped_text_can_be_stored(text: str) -> None:
    assert "\0" not in escape_text(text)
    escape_text(text).encode()


@given(st.text("\\05cx\0\ud800", max_size=6), st.text("\\05cx\0\ud800", max_size=6))
def test_two_texts_are_never_written_alike(first: str, second: str) -> None:
    assert (escape_text(first) == escape_text(second)) == (first == second)
