"""The project's Markdown pages, with their code blocks and marked tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Block(NamedTuple):
    """A fenced code block."""

    language: str
    text: str


@dataclass(frozen=True)
class DocumentationPage:
    """One Markdown file; `name` is its path within the repository."""

    name: str
    text: str

    @property
    def directory(self) -> Path:
        return (ROOT / self.name).parent

    @property
    def blocks(self) -> list[Block]:
        return [Block(*found) for found in re.findall(r"^```(\w+)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)]

    @property
    def prose(self) -> str:
        """The text outside of code blocks."""
        return re.sub(r"^```\w+\n.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    @property
    def anchors(self) -> set[str]:
        """The fragments by which its headings can be linked to, as GitHub makes them."""
        headings = re.findall(r"^#+ (.+)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def load_pages() -> dict[str, DocumentationPage]:
    """Load every page by its name."""
    return {page.name: page for page in _pages()}


def _pages() -> Iterator[DocumentationPage]:
    for pattern in ("*.md", "gateway/*.md", "schema/*.md", "queries/*.md", "docker/*.md"):
        for path in sorted(ROOT.glob(pattern)):
            yield DocumentationPage(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


PAGES = load_pages()


def blocks(language: str) -> list[str]:
    """All code blocks of one language, page by page."""
    return [block.text for page in PAGES.values() for block in page.blocks if block.language == language]


def table_text(name: str) -> str:
    """The Markdown of the one table between `<!-- name -->` and `<!-- /name -->`."""
    pattern = re.compile(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", re.DOTALL)
    found = [text for page in PAGES.values() for text in pattern.findall(page.text)]
    assert len(found) == 1, f"expected one table between <!-- {name} --> and <!-- /{name} -->, got {len(found)}"
    return str(found[0])


def table(name: str) -> list[list[str]]:
    """The rows of a marked table, without its head."""
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table_text(name).splitlines()[2:]]
