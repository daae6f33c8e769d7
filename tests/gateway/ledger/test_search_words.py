"""The words of texts. The contract of record stores shows how they are found."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.search_words import (
    MAX_WORD_LENGTH,
    MAX_WORDS,
    SearchQuery,
    mark_words,
    parse_search,
    to_owner_mark,
    to_words,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", set()),
        ("?! ... \0 \ud800 👍", set()),
        ("Hello, hello WORLD", {"hello", "world"}),
        ("x_y z-1", {"x", "y", "z", "1"}),
        ("Größe É e\u0301", {"grosse", "e"}),
        ("①② ½ ﬁ", {"12", "1", "2", "fi"}),
        ("東京text", {"東", "京", "text"}),
        ("한국어 문서", {"한국어", "문서"}),
    ],
)
def test_words_are_letters_and_digits_without_case_and_accents(text: str, words: set[str]) -> None:
    # Hangul syllables are taken apart, in texts and in searches alike.
    assert {word for word in to_words(text) if word.isascii()} == {word for word in words if word.isascii()}
    assert len(to_words(text)) == len(words)


@given(text=st.text())
def test_words_are_made_of_characters_that_end_no_quotation(text: str) -> None:
    words = to_words(text)
    assert all(word.isalnum() and 0 < len(word) <= MAX_WORD_LENGTH for word in words)
    "".join(words).encode()
    assert to_words(" ".join(words)) == words, "they are made once"


@given(text=st.text(), data=st.data())
def test_a_text_is_found_by_its_words_and_their_beginnings(text: str, data: st.DataObject) -> None:
    words = sorted(to_words(text))
    if not words:
        assert parse_search(text) is None
        return
    chosen = data.draw(st.lists(st.sampled_from(words), min_size=1, max_size=3))
    beginning = chosen[-1][: data.draw(st.integers(1, MAX_WORD_LENGTH))]
    query = parse_search(" ".join([*chosen[:-1], beginning]))
    assert query is not None
    assert query.matches(to_words(text))


def test_words_are_bounded() -> None:
    many = to_words(" ".join(f"w{number}" for number in range(2 * MAX_WORDS)))
    assert len(many) == MAX_WORDS
    assert "w0" in many
    assert to_words("x" * 1000) == {"x" * MAX_WORD_LENGTH}
    assert to_words("a" + " " * 10**6 + "b") == {"a"}


def test_the_last_word_may_be_the_beginning_of_one() -> None:
    assert parse_search("Plan a Tri") == SearchQuery(frozenset({"plan", "a"}), "tri")
    assert parse_search("Plan") == SearchQuery(frozenset(), "plan")


def test_stored_words_begin_with_the_mark_of_their_owner() -> None:
    assert mark_words({"b", "a"}, to_owner_mark("0123456789abcdef")) == ["01234567a", "01234567b"]
