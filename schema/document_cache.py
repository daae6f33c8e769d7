"""Keeps valid documents between operations: parsing and validating one takes some 5 to 13 ms."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from graphql import DocumentNode
from strawberry.extensions import SchemaExtension


class KeptDocuments:
    """The documents that were used last, of `max_characters` together.

    Their number alone would be no bound, since callers choose them: the syntax tree of a document takes up to 300
    bytes for each of its characters.
    """

    def __init__(self, max_characters: int) -> None:
        """Keep nothing yet."""
        self._max_characters = max_characters
        self._kept: OrderedDict[str, DocumentNode] = OrderedDict()
        self._characters = 0

    def find(self, text: str) -> DocumentNode | None:
        """The document of this text, where it is kept."""
        document = self._kept.get(text)
        if document is not None:
            self._kept.move_to_end(text)
        return document

    def keep(self, text: str, document: DocumentNode) -> None:
        """Keep a document in place of those not used for longest; not one that would take a tenth of the room."""
        if len(text) * 10 > self._max_characters or text in self._kept:
            return
        self._kept[text] = document
        self._characters += len(text)
        while self._characters > self._max_characters:
            dropped, _ = self._kept.popitem(last=False)
            self._characters -= len(dropped)


class DocumentCache(SchemaExtension):
    """Takes a document that is kept as it is, neither parsed nor validated again; keeps what was found valid."""

    def __init__(self, kept: KeptDocuments) -> None:
        """Serve one operation from `kept`, which belongs to one schema with one set of rules."""
        self._kept = kept
        self._found: DocumentNode | None = None

    def on_parse(self) -> Iterator[None]:
        """Look for the document."""
        running = self.execution_context
        self._found = running.graphql_document = self._kept.find(running.query or "")
        yield

    def on_validate(self) -> Iterator[None]:
        """Spare a document that was found the rules; keep another that passes them."""
        running = self.execution_context
        if self._found is not None:
            running.pre_execution_errors = []
        yield
        if self._found is None and running.query and running.graphql_document and not running.pre_execution_errors:
            self._kept.keep(running.query, running.graphql_document)
