"""Reads documents: a request's text is parsed and validated once, and not even that where it is kept."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    ValidationRule,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.schema import validate_document

from schema.engine.plans import DocumentPlans
from schema.engine.public_errors import to_graphql_errors

CHARACTERS_OF_A_PLANNED_FIELD = 3
"""What a planned field takes, in characters of a document whose syntax tree takes as much; measured."""

_NOTHING = DocumentNode(definitions=())


@dataclass(frozen=True, slots=True, eq=False)
class ParsedDocument:
    """A document as it was read once, valid unless it has `errors`; one that cannot be parsed has an empty `node`."""

    text: str
    node: DocumentNode
    errors: Sequence[GraphQLError] = ()
    plans: DocumentPlans = field(default_factory=DocumentPlans)
    """How its places are executed, kept as long as the document."""

    @property
    def is_parsed(self) -> bool:
        """Whether there are definitions to look at, valid or not."""
        return self.node is not _NOTHING

    @property
    def operations(self) -> list[OperationDefinitionNode]:
        """The operations, in their order."""
        return [part for part in self.node.definitions if isinstance(part, OperationDefinitionNode)]

    def operation(self, name: str | None) -> OperationDefinitionNode | None:
        """Find the operation that a request means; None where none has the name, or a name has to choose one."""
        operations = self.operations
        if name is None:
            return operations[0] if len(operations) == 1 else None
        return next((part for part in operations if part.name is not None and part.name.value == name), None)


class DocumentCache:
    """The documents that were used last, of `max_characters` together.

    Their number alone would be no bound, since callers choose them: the syntax tree of a document takes up to 300
    bytes for each of its characters. What is planned of a document counts as the characters that would take as much.
    """

    def __init__(self, max_characters: int) -> None:
        """Keep nothing yet."""
        self._max_characters = max_characters
        self._kept: OrderedDict[str, tuple[ParsedDocument, int]] = OrderedDict()
        self._characters = 0

    def find(self, text: str) -> ParsedDocument | None:
        """The document of this text, where it is kept."""
        document, _ = self._kept.get(text, (None, 0))
        if document is not None:
            self._weigh(document)
        return document

    def keep(self, document: ParsedDocument) -> None:
        """Keep a document in place of those not used for longest; not one that would take a tenth of the room."""
        if len(document.text) * 10 <= self._max_characters and document.text not in self._kept:
            self._weigh(document)

    def weigh_again(self, document: ParsedDocument) -> None:
        """Note what a document takes after it was executed, if it is kept."""
        kept, _ = self._kept.get(document.text, (None, 0))
        if kept is document:
            self._weigh(document)

    def _weigh(self, document: ParsedDocument) -> None:
        """Note that a document is used, and what it takes by now; its plans begin anew where they are too much."""
        planned = CHARACTERS_OF_A_PLANNED_FIELD * document.plans.size
        if planned * 10 > self._max_characters:
            document.plans.forget()
            planned = 0
        _, before = self._kept.pop(document.text, (None, 0))
        now = len(document.text) + planned
        self._kept[document.text] = (document, now)
        self._characters += now - before
        while self._characters > self._max_characters and len(self._kept) > 1:
            _, (_, characters) = self._kept.popitem(last=False)
            self._characters -= characters


class DocumentReader:
    """Reads the documents of one schema by one set of limits, and keeps those that are valid."""

    def __init__(
        self, schema: GraphQLSchema, kept: DocumentCache, *, max_tokens: int, rules: Sequence[type[ValidationRule]]
    ) -> None:
        """Hold documents to `max_tokens` and to `rules`, and only then to GraphQL's own rules."""
        self._schema = schema
        self._kept = kept
        self._max_tokens = max_tokens
        self._rules = rules

    def read(self, text: str) -> ParsedDocument:
        """Read a document, valid or not; takes 5 to 13 ms where it is not kept. Raises nothing."""
        document = self._kept.find(text)
        if document is None:
            document = self._read(text)
            if not document.errors:
                self._kept.keep(document)
        return document

    def executed(self, document: ParsedDocument) -> None:
        """Note that a document was executed, which may have planned more of it."""
        self._kept.weigh_again(document)

    def _read(self, text: str) -> ParsedDocument:
        node = _NOTHING
        try:
            node = parse(text, max_tokens=self._max_tokens)
            return ParsedDocument(text, node, self._faults(node))
        except Exception as error:  # a refusal, or what nobody expected and is masked later
            return ParsedDocument(text, node, to_graphql_errors(error))

    def _faults(self, node: DocumentNode) -> list[GraphQLError]:
        # One of GraphQL's rules takes seconds for what ours refuse.
        faults = validate(self._schema, node, self._rules)
        return faults or validate_document(self._schema, node, tuple(specified_rules))
