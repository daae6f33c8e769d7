"""The words of texts, for search: the same in every database, since no database takes a text apart. Pure.

A word is a run of letters and digits. Case and accents make no difference. Of scripts that are written without spaces,
each character is a word. The store is given words alone, each behind the mark of its owner: so a search walks through
the words of one owner in the index, however often others have used the same.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

MAX_TEXT_LENGTH = 100_000
"""Length of a text, in characters, behind which no words are looked for."""

MAX_WORDS = 5000
"""Most different words of a text. Together with the next limit it keeps a text below PostgreSQL's limit of 1 MB."""

MAX_WORD_LENGTH = 40
"""Length at which words are cut off, in characters."""

OWNER_MARK_LENGTH = 8
"""Length of the mark of an owner. Two owners may have the same one, so a match says nothing about the owner."""

# Thai to Burmese, Khmer, Kana, and the ideographs of all planes.
_UNSPACED = "\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0003ffff"
_ASCII_WORD = re.compile(r"[^\W_]+")
_WORD = re.compile(rf"(?=[{_UNSPACED}])[^\W_]|[^\W_{_UNSPACED}]+")


class SearchQuery(NamedTuple):
    """The words to search for: `words` as they are, and the last one, which may be the beginning of a word."""

    words: frozenset[str]
    last: str

    def matches(self, words: Collection[str]) -> bool:
        """Return whether a text of these words is found."""
        return self.words.issubset(words) and any(word.startswith(self.last) for word in words)


def to_words(text: str) -> frozenset[str]:
    """Return the different words of a text."""
    return frozenset(_distinct_words(text))


def parse_search(text: str) -> SearchQuery | None:
    """Return the words that a search looks for. None without any: such a search finds nothing."""
    words = [match[:MAX_WORD_LENGTH] for match in _WORD.findall(_fold(text[:MAX_TEXT_LENGTH]))][:MAX_WORDS]
    return SearchQuery(frozenset(words[:-1]), words[-1]) if words else None


def to_text_digest(text: str) -> int:
    """Return a number that fits into a column and tells whether a text is the same. It does not depend on the owner."""
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8, person=b"threads-text").digest(), "big", signed=True)


def to_owner_mark(owner_digest: str) -> str:
    """Return the mark of an owner, which stands before each of their words in a database."""
    return owner_digest[:OWNER_MARK_LENGTH]


def mark_words(words: Iterable[str], owner_mark: str) -> list[str]:
    """Return words as they are stored, in an order that tells nothing about the text."""
    return sorted(owner_mark + word for word in words)


def _distinct_words(text: str) -> Collection[str]:
    folded = _fold(text[:MAX_TEXT_LENGTH])
    found = (_ASCII_WORD if folded.isascii() else _WORD).findall(folded)
    words = dict.fromkeys(word[:MAX_WORD_LENGTH] for word in found)
    return words if len(words) <= MAX_WORDS else list(islice(words, MAX_WORDS))


def _fold(text: str) -> str:
    """Return a text without differences of case, of accents and of compatible forms, such as ligatures."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return "".join(char for char in folded if char.isascii() or unicodedata.category(char)[0] != "M")
