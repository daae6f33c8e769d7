"""Documents are parsed as graphql-core parses them, but for the memory that it would keep."""

import contextlib
import gc
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from graphql import GraphQLSyntaxError, Node, parse

from schema.contract.errors import GatewayError
from schema.engine.parsing import parse_document
from schema.engine.validation import validate_document
from tests.schema.builders import SCHEMA

EXAMPLES = [path.read_text() for path in sorted((Path(__file__).parents[3] / "queries").glob("*.graphql"))]
TYPICAL = (
    "{ " + " ".join(f'a{n}: thread(id: "{n}") {{ id messages {{ nodes {{ id role }} }} }}' for n in range(50)) + " }"
)
MAX_BYTES_PER_CHARACTER = 80
"""Of a syntax tree. graphql-core's own has 105 of them."""

REFUSED = {
    "no document": "{ thread(id: }",
    "unfinished": "{ thread " * 50,
    "too many tokens": "{ " + "a " * 3_000 + "}",
    "comments": "{ a " + "# b\n" * 500 + ")",
    "nested too deeply": "{ a " * 1_000,
    "long name": "{ a " + "b" * 201 + " }",
}


@pytest.mark.parametrize("text", EXAMPLES)
def test_a_document_is_that_of_graphql_core_with_its_positions(text: str) -> None:
    assert parse_document(text, max_tokens=2_000).to_dict(locations=True) == parse(text).to_dict(locations=True)


@pytest.mark.parametrize("name", ["no document", "unfinished", "too many tokens"])
def test_a_text_that_is_no_document_gets_the_error_of_graphql_core(name: str) -> None:
    with pytest.raises(GraphQLSyntaxError) as ours:
        parse_document(REFUSED[name], max_tokens=2_000)
    with pytest.raises(GraphQLSyntaxError) as theirs:
        parse(REFUSED[name], max_tokens=2_000)
    assert ours.value.formatted == theirs.value.formatted


def unreachable(action: Callable[[], object]) -> int:
    """Return how many objects only the garbage collector could free after an action."""
    action()
    gc.collect()
    gc.disable()
    try:
        action()
        return gc.collect()
    finally:
        gc.enable()


@pytest.mark.parametrize("text", [TYPICAL, *REFUSED.values()], ids=["valid", *REFUSED])
def test_a_document_is_freed_without_the_garbage_collector(text: str) -> None:
    def parse_once() -> None:
        with contextlib.suppress(GraphQLSyntaxError, GatewayError):
            parse_document(text, max_tokens=2_000)

    assert unreachable(parse_once) == 0


def test_a_refused_document_is_freed_after_its_validation_without_the_garbage_collector() -> None:
    text = "{ " + " ".join(f"thread{n}: thread(id: 1) {{ id }}" for n in range(30)) + " unknown }"
    gc.disable()
    try:
        assert validate_document(SCHEMA._schema, parse_document(text, max_tokens=2_000), ())
        assert not [
            one for one in gc.get_objects() if isinstance(one, Node) and one.loc and one.loc.source.body == text
        ]
    finally:
        gc.enable()


def test_a_document_keeps_no_token_and_few_bytes() -> None:
    gc.collect()
    tracemalloc.start()
    try:
        document = parse_document(TYPICAL, max_tokens=2_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < MAX_BYTES_PER_CHARACTER * len(TYPICAL)
    assert document.loc is not None
    assert not hasattr(document.loc, "start_token")
