"""Functions that return one expression are inlined into the source of plans, and compute the same there."""

from operator import attrgetter
from types import SimpleNamespace
from typing import Any, NewType

import pytest
import strawberry

from schema.engine.inlining import inline_call

Name = NewType("Name", str)
SIGN = "!"


def shout(text: str) -> Name:
    """Return a text with a sign."""
    return Name(text.upper() + SIGN)


def optional(text: str | None) -> Name | None:
    return None if text is None else shout(text)


def paired(one: str, other: str) -> tuple[str, str]:
    return (other, one)


def first(self: Any) -> str:
    return self.words[0] if self.words else "none"


def inner(self: Any) -> Any:
    return optional(self.word)


def module_function(self: Any) -> str:
    return strawberry.ID(self.word)


def counted(self: Any) -> list[int]:
    return [len(word) for word in self.words]


def both(self: Any) -> tuple[str, str]:
    return paired(self.word, self.words[0])


def two_statements(self: Any) -> str:
    word: str = self.word
    return word


def formatted(self: Any) -> str:
    return f"{self.word}."


def with_default(self: Any, count: int = 2) -> str:
    return str(self.word) * count


PARENT = SimpleNamespace(word="tea", words=["green", "tea"])


def inline(function: Any) -> tuple[str, Any]:
    """Return the source of a call, and its value."""
    constants: dict[str, Any] = {"parent": PARENT}

    def bind(name: str, constant: Any) -> str:
        constants[f"{name}_{len(constants)}"] = constant
        return f"{name}_{len(constants) - 1}"

    source = inline_call(function, bind)
    return source, eval(source, constants)  # noqa: S307 - it is the source that is tested


@pytest.mark.parametrize(
    ("function", "source"),
    [
        (first, "parent.words[0] if parent.words else text_1"),
        (inner, "None if parent.word is None else parent.word.upper() + SIGN_1"),
        (module_function, "parent.word"),
        (attrgetter("word"), "parent.word"),
        (both, "paired_1(parent.word, parent.words[0])"),
    ],
)
def test_an_expression_is_written_with_its_names_as_constants(function: Any, source: str) -> None:
    assert inline(function) == (source, function(PARENT))


@pytest.mark.parametrize("function", [counted, two_statements, formatted, with_default, lambda self: self.word, len])
def test_any_other_function_is_called(function: Any) -> None:
    if function is len:
        assert inline_call(function, lambda name, _: name) == "get(parent)"
    else:
        assert inline(function) == ("get_1(parent)", function(PARENT))


def test_a_function_in_a_function_keeps_its_own_names() -> None:
    def local(self: Any) -> str:
        return str(self.word) + SIGN + str(PARENT.words)

    word = "coffee"

    def closed(_self: Any) -> str:
        return word

    assert inline(local)[1] == local(PARENT)
    assert inline(closed) == ("get_1(parent)", "coffee")
