"""Documents: a request's text is parsed and validated once, and not again while it is in the document cache."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import TypeAlias

from cachetools import LRUCache
from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    ValidationRule,
)

from schema.contract.errors import ErrorCode, GatewayError
from schema.engine.parsing import parse_document
from schema.engine.plans import DocumentPlans
from schema.engine.public_errors import to_graphql_errors
from schema.engine.validation import validate_document
from schema.engine.worker_thread import WorkerThread

MAX_DOCUMENT_CHARACTERS = 100_000
"""The longest document. The lexer takes up to 0.4 microseconds for a character. Long texts belong in variables."""

CHARACTERS_PER_PLANNED_FIELD = 8
"""The size of a planned and compiled field, as the characters of a document whose syntax tree is as large. Measured."""

MAX_INLINE_CHARACTERS = 1_000
"""The longest document that is read on the event loop, which takes a few milliseconds at most."""

MAX_UNREPEATED_CHARACTERS = 4_000
"""The longest document that is cached when it comes for the first time. A usual one has a few hundred characters."""

MAX_OFFERED = 1_000
"""The number of longer documents that are remembered, by their hashes, until they come again."""

MAX_PINNED_CHARACTERS = 1_000_000
"""The total length of the pinned documents: some thousand usual ones, at most some 240 MB."""

Unpinned: TypeAlias = GraphQLError | None
"""The reason why a document is not pinned: its first error, or None if there is no place for it."""

_EMPTY_DOCUMENT = DocumentNode(definitions=())


@dataclass(frozen=True, slots=True, eq=False)
class ParsedDocument:
    """A parsed document, valid unless it has `errors`. A text that cannot be parsed has an empty `node`."""

    text: str
    node: DocumentNode
    errors: Sequence[GraphQLError] = ()
    plans: DocumentPlans = field(default_factory=DocumentPlans)
    """The plans for its positions, stored as long as the document."""

    @property
    def is_parsed(self) -> bool:
        """Whether it has definitions, valid or not."""
        return self.node is not _EMPTY_DOCUMENT

    @property
    def operations(self) -> list[OperationDefinitionNode]:
        """The operations, in document order."""
        return [part for part in self.node.definitions if isinstance(part, OperationDefinitionNode)]

    def find_operation(self, name: str | None) -> OperationDefinitionNode | None:
        """Find the operation that a request names. Without a name, the document must have exactly one operation."""
        operations = self.operations
        if name is None:
            return operations[0] if len(operations) == 1 else None
        return next((part for part in operations if part.name is not None and part.name.value == name), None)


class DocumentCache:
    """An LRU cache of parsed documents, limited to `max_characters` in total.

    A limit on their number would be no bound, since callers choose the documents: a syntax tree takes up to 240 bytes
    per character. The plans of a document count as the characters that take as much memory. A long document is stored
    when it comes for the second time: a program that sends another one each time would evict all that are used.
    """

    def __init__(self, max_characters: int) -> None:
        """Start with an empty cache."""
        # Each document with its size.
        self._entries: LRUCache[str, tuple[ParsedDocument, int]] = LRUCache(max_characters, itemgetter(1))
        # The hashes of long documents that came once.
        self._offered: LRUCache[int, bool] = LRUCache(MAX_OFFERED)

    def get(self, text: str) -> ParsedDocument | None:
        """Return the document of a text if it is in the cache."""
        document, _ = self._entries.get(text, (None, 0))
        return document

    def store(self, document: ParsedDocument) -> None:
        """Store a document and evict the least recently used. A document over a tenth of the limit is not stored.

        One of more than `MAX_UNREPEATED_CHARACTERS` is stored if it was offered before.
        """
        text = document.text
        if len(text) * 10 <= self._entries.maxsize and text not in self._entries and self._is_repeated(text):
            self._entries[text] = (document, self._measure(document))

    def _is_repeated(self, text: str) -> bool:
        if len(text) <= MAX_UNREPEATED_CHARACTERS or hash(text) in self._offered:
            return True
        self._offered[hash(text)] = True
        return False

    def update_size(self, document: ParsedDocument) -> None:
        """Measure a document again after its execution, if it is in the cache."""
        cached, known_size = self._entries.get(document.text, (None, 0))
        if cached is document and (size := self._measure(document)) != known_size:
            self._entries[document.text] = (document, size)

    def _measure(self, document: ParsedDocument) -> int:
        """Return the size of a document with its plans. Plans that are too large are dropped, and compiled again."""
        planned = CHARACTERS_PER_PLANNED_FIELD * document.plans.size
        if planned * 10 > self._entries.maxsize:
            document.plans.clear()
            planned = 0
        return len(document.text) + planned


class DocumentReader:
    """Parses and validates the documents of one schema by one set of limits, and caches the valid ones."""

    def __init__(
        self,
        schema: GraphQLSchema,
        cache: DocumentCache,
        *,
        max_tokens: int,
        rules: Sequence[type[ValidationRule]],
        hide_suggestions: bool = False,
    ) -> None:
        """Limit documents to `max_tokens` tokens, and validate by GraphQL's rules and these `rules`."""
        self._schema = schema
        self._cache = cache
        self._pinned: Mapping[str, ParsedDocument] = {}
        self._hide_suggestions = hide_suggestions
        self._max_tokens = max_tokens
        self._rules = rules
        self.worker = WorkerThread()

    async def read(self, text: str, caller: str = "") -> ParsedDocument:
        """Parse and validate a document as `parse` does: a long one, or one with errors, in the worker thread.

        The thread is shared fairly by the callers, who are named by `caller`.
        """
        document = self._find(text)
        if document is None and len(text) <= MAX_INLINE_CHARACTERS:
            document = self._store(self._parse_uncached(text, hide_suggestions=True))
        if document is None:
            return self._store(await self.worker.run(partial(self._parse_uncached, text), len(text), caller))
        if document.errors and document.is_parsed and not self._hide_suggestions:
            return await self.worker.run(partial(self._validate, text, document.node), len(text), caller)
        return document

    async def read_if(self, text: str, accepts: Callable[[ParsedDocument], bool]) -> ParsedDocument | None:
        """Read a document as `read` does, but validate it only if it is accepted once it is parsed."""
        document = self._find(text)
        if document is None:
            parse_text = partial(self._parse_text, text)
            is_short = len(text) <= MAX_INLINE_CHARACTERS
            document = parse_text() if is_short else await self.worker.run(parse_text, len(text))
        return await self.read(text) if accepts(document) else None

    def parse(self, text: str) -> ParsedDocument:
        """Parse and validate a document, or take it from the cache. Raises nothing; a cache miss takes 5 to 13 ms."""
        return self._find(text) or self._store(self._parse_uncached(text))

    def is_pinned(self, text: str) -> bool:
        """Return whether a document is kept outside the cache."""
        return text in self._pinned

    async def pin(self, texts: Iterable[str], prepare: Callable[[ParsedDocument], None]) -> Mapping[str, Unpinned]:
        """Keep the valid ones of these documents outside the cache, in place of those that were pinned before.

        Each new one is parsed, validated and prepared in the worker thread.

        Returns:
            The texts that are not pinned, each with its first error, or None if it has no place.
        """
        pinned: dict[str, ParsedDocument] = {}
        left_out: dict[str, Unpinned] = {}
        characters = 0
        for text in texts:
            document = self._pinned.get(text)
            if document is None:
                document = await self.worker.run(partial(self._parse_and_prepare, text, prepare), len(text))
            if document.errors:
                left_out[text] = document.errors[0]
            elif characters + len(text) > MAX_PINNED_CHARACTERS:
                left_out[text] = None
            else:
                pinned[text] = document
                characters += len(text)
        self._pinned = pinned
        return left_out

    def _find(self, text: str) -> ParsedDocument | None:
        return self._pinned.get(text) or self._cache.get(text)

    def _parse_and_prepare(self, text: str, prepare: Callable[[ParsedDocument], None]) -> ParsedDocument:
        document = self._parse_uncached(text)
        if not document.errors:
            prepare(document)
        return document

    def _store(self, document: ParsedDocument) -> ParsedDocument:
        if not document.errors:
            self._cache.store(document)
        return document

    def on_executed(self, document: ParsedDocument) -> None:
        """Update the cached size of a document after its execution, which may have added plans."""
        self._cache.update_size(document)

    def _parse_uncached(self, text: str, *, hide_suggestions: bool = False) -> ParsedDocument:
        document = self._parse_text(text)
        if document.errors:
            return document
        return self._validate(text, document.node, hide_suggestions=hide_suggestions)

    def _parse_text(self, text: str) -> ParsedDocument:
        try:
            _check_length(text)
            return ParsedDocument(text, parse_document(text, max_tokens=self._max_tokens))
        except Exception as error:  # a refusal, or an unexpected error that is masked in the response
            return ParsedDocument(text, _EMPTY_DOCUMENT, to_graphql_errors(error))

    def _validate(self, text: str, node: DocumentNode, *, hide_suggestions: bool = False) -> ParsedDocument:
        try:
            hide_suggestions = hide_suggestions or self._hide_suggestions
            errors = validate_document(self._schema, node, self._rules, hide_suggestions=hide_suggestions)
        except Exception as error:  # as above
            errors = to_graphql_errors(error)
        return ParsedDocument(text, node, errors)


def _check_length(text: str) -> None:
    if len(text) > MAX_DOCUMENT_CHARACTERS:
        expected = f"Expected a document of at most {MAX_DOCUMENT_CHARACTERS} characters, with long texts in variables"
        raise GatewayError(ErrorCode.BAD_USER_INPUT, f"{expected}; got {len(text)}.", argument="query")
