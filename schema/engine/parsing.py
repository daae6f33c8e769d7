"""The parsing of documents, without what graphql-core would keep of each of their tokens. Pure."""

from __future__ import annotations

from graphql import DocumentNode, GraphQLSyntaxError, Lexer, Location, Source, Token, TokenKind
from graphql.language.parser import Parser

from schema.contract.errors import ErrorCode, GatewayError

MAX_NAME_LENGTH = 200
"""The most characters of a name or a number. Long ones take long to convert and to compare with similar names."""

_NAMES_AND_NUMBERS = frozenset({TokenKind.NAME, TokenKind.INT, TokenKind.FLOAT})


class _Position(Location):
    """The place of a node in its document, without the tokens that graphql-core would keep with it."""

    __slots__ = ()

    def __init__(self, start: int, end: int, source: Source) -> None:
        self.start = start
        self.end = end
        self.source = source


class _PositionParser(Parser):
    """Gives each node its position alone. A field and its name share one if they are the same text."""

    _position: _Position | None = None

    def loc(self, start_token: Token) -> Location:
        start, end = start_token.start, self._lexer.last_token.end
        latest = self._position
        if latest is None or latest.start != start or latest.end != end:
            latest = self._position = _Position(start, end, self._lexer.source)
        return latest


def parse_document(text: str, *, max_tokens: int) -> DocumentNode:
    """Parse a document. Its nodes have positions, but no tokens, which take two thirds of the memory of a document.

    Each token refers to the next and to the one before: only the garbage collector would free those of a document that
    is refused, and thousands of documents are refused before it runs.

    Raises:
        GraphQLSyntaxError: The text is no document, or has more than `max_tokens` tokens.
        GatewayError: A name or a number is longer than `MAX_NAME_LENGTH`.
    """
    lexer = Lexer(Source(text))
    first = lexer.token
    parser = _PositionParser(lexer.source, max_tokens=max_tokens, lexer=lexer)
    document: DocumentNode | None = None
    try:
        document = parser.parse_document()
        _check_names(first)
    except RecursionError:
        pass  # raised anew below, without its many frames as the context
    finally:
        _unlink(first)
    if document is None:
        raise GraphQLSyntaxError(lexer.source, lexer.token.start, "Document is nested too deeply. Parsing aborted.")
    return document


def _check_names(first: Token) -> None:
    token: Token | None = first
    while token is not None:
        if token.kind in _NAMES_AND_NUMBERS and token.end - token.start > MAX_NAME_LENGTH:
            expected = f"Expected names and numbers of at most {MAX_NAME_LENGTH} characters in the document"
            got = f"one of {token.end - token.start} at line {token.line}, column {token.column}"
            raise GatewayError(ErrorCode.BAD_USER_INPUT, f"{expected}, got {got}.", argument="query")
        token = token.next


def _unlink(first: Token) -> None:
    token: Token | None = first
    while token is not None:
        token.prev, token = None, token.next
