"""The validation of the gateway's schema: as GraphQL's own, but with few and cheap errors, by counters."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from graphql import GraphQLError, parse, specified_rules
from graphql import validate as validate_by_rules
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.schema import validate_document as validate_by_strawberry

from schema.engine.field_merging import FieldMergingRule
from schema.engine.validation import validate_document
from tests.schema.builders import SCHEMA
from tests.schema.random_operations import operations
from tests.support.full_runs import examples

CORE: Any = SCHEMA._schema


def validate(document: str) -> list[GraphQLError]:
    return validate_document(CORE, parse(document, max_tokens=4_000), ())


@given(operations())
@examples(60)
def test_random_valid_operations_are_valid(document: str) -> None:
    assert validate(document) == validate_by_strawberry(CORE, parse(document), tuple(specified_rules)) == []


@pytest.mark.parametrize(
    "document",
    [
        "{ missing }",
        "{ thread { id } }",
        '{ thread(id: "a") { id id: createdAt } }',
        '{ thread(id: "a") { ...Missing } }',
        "query ($a: ID) { thread(id: $a) { id } }",
        "mutation { createThread(input: { messages: [{}] }) { clientMutationId } }",
        "mutation { createThread(input: { missing: 1 }) { clientMutationId } }",
        'mutation { createMessage(input: { threadId: "a", content: [{}] }) { clientMutationId } }',
        "subscription { a: runStatus(runId: 1) { __typename } b: runStatus(runId: 1) { __typename } }",
        "{ __typename @skip }",
    ],
)
def test_the_first_error_is_the_one_of_graphql_and_strawberry(document: str) -> None:
    expected = validate_by_strawberry(CORE, parse(document), tuple(specified_rules))
    assert [error.message for error in validate(document)][:1] == [error.message for error in expected][:1]


@pytest.mark.parametrize(
    "document",
    [
        "{ " + " ".join(f"f{n}" for n in range(3_900)) + " }",
        "{ thread(" + " ".join(f"i{n}: 1" for n in range(1_200)) + ") { id } }",
        "{ __typename " + " ".join(f"@d{n}" for n in range(1_900)) + " }",
        "query (" + " ".join(f"$v{n}: ID" for n in range(950)) + ") { __typename }",
        "query (" + " ".join(f"$v{n}: Thred" for n in range(950)) + ") { __typename }",
    ],
)
def test_at_most_ten_errors_are_reported(document: str) -> None:
    errors = validate(document)
    assert len(errors) == 10
    assert errors[-1].message.startswith("Too many validation errors")


def test_an_unknown_directive_is_reported_once() -> None:
    (error,) = validate("{ __typename " + "@foo " * 1_900 + "}")
    assert error.message == "Unknown directive '@foo'."


@pytest.mark.parametrize(
    "value",
    [
        "{ " + " ".join(f"f{n}: 1" for n in range(1_200)) + " }",
        "{ messages: [" + "{} " * 1_200 + "] }",
        '{ messages: [{ content: [{ text: "a" }], role: [' + "A " * 1_200 + "] }] }",
    ],
)
def test_a_faulty_value_has_one_error_and_is_printed_once(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[Any] = []
    module = sys.modules["graphql.utilities.validate_input_value"]
    original = module.print_for_error

    def count_printed(node: Any) -> Any:
        printed.append(node)
        return original(node)

    monkeypatch.setattr(module, "print_for_error", count_printed)
    errors = validate(f"mutation {{ createThread(input: {value}) {{ clientMutationId }} }}")
    assert len(errors) == 1
    assert len(printed) <= 1


SELECTIONS = ["name", "kind", "x: name", "ofType { %s }", "ofType { %s }", "y: ofType { %s }", "...F%d"]


@st.composite
def merging_documents(draw: Callable[..., Any]) -> str:
    """Draw a document of up to 4,000 tokens that merges, and spreads fragments, as often as it can."""

    def selection(depth: int, fragment: int) -> str:
        width = draw(st.integers(1, 6))
        return " ".join(part(draw(st.sampled_from(SELECTIONS)), depth, fragment) for _ in range(width))

    def part(text: str, depth: int, fragment: int) -> str:
        if "..." in text:
            return f"...F{draw(st.integers(fragment + 1, fragments))}"
        if "%s" not in text:
            return text
        return text % (selection(depth + 1, fragment) if depth < 3 else "name")

    fragments = draw(st.integers(1, 12))
    parts = [f"fragment F{n} on __Type {{ {selection(1, n)} }}" for n in range(fragments)]
    parts += [f"fragment F{fragments} on __Type {{ name }}", '{ __type(name: "Run") { ...F0 name } }']
    return " ".join(parts)


@given(merging_documents(), st.integers(1, 40))
@examples(60)
def test_the_fields_merged_for_any_document_are_bounded(document: str, repeats: int) -> None:
    collected: list[int] = []

    class Recorded(FieldMergingRule):
        def leave_document(self, *given: Any) -> None:
            super().leave_document(*given)
            collected.append(self.merged_selections)

    repeated = document + " ".join(f' query Q{n} {{ __type(name: "Run") {{ ...F0 }} }}' for n in range(repeats))
    validate_by_rules(CORE, parse(repeated), [Recorded])
    assert collected[0] <= 10_000 + document.count("{")
