"""Lint, format, types and the rules of prose are part of the one test command."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "command",
    [["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]],
    ids=["ruff-check", "ruff-format", "mypy"],
)
@pytest.mark.timeout(300)
def test_the_code_has_the_style_of_pyproject(command: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


_RIDDLE = re.compile(r"\b(what|who|whoever|whatever|nobody)\b", re.IGNORECASE)


def riddles(docstring: str) -> bool:
    """Tell whether the first sentence of a docstring begins with a word of `_RIDDLE`, or holds two of them."""
    sentence = re.split(r"(?<=[.!?])\s", " ".join(docstring.split()), maxsplit=1)[0]
    return bool(_RIDDLE.match(sentence)) or len(_RIDDLE.findall(sentence)) > 1


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("What is kept.", True),
        ("Whoever asks gets it.", True),
        ("nobody waits.", True),
        ("Tell who asked for what.", True),
        ("Store a result in memory. What is stored can be read back.", False),
        ("Return what was stored.", False),
        ("Whatsoever.", False),
        ("Store a result\n    for whoever asks, whatever it is.", True),
    ],
)
def test_riddles_are_recognised(docstring: str, expected: bool) -> None:
    assert riddles(docstring) is expected


@pytest.mark.parametrize("package", ["schema", "gateway", "tests"])
def test_the_first_sentence_of_every_docstring_says_the_plain_thing(package: str) -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {docstring.splitlines()[0]}"
        for path in sorted((ROOT / package).rglob("*.py"))
        for line, docstring in docstrings_from_file(path)
        if riddles(docstring)
    ]
    assert found == []


def docstrings_from_file(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            if docstring is not None:
                yield getattr(node, "lineno", 1), docstring
