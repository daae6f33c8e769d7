"""The linear rule for merged fields, against graphql-core's rule and by its counter."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from graphql import (
    GraphQLError,
    GraphQLSchema,
    OverlappingFieldsCanBeMergedRule,
    ValidationContext,
    build_schema,
    parse,
    validate,
)
from hypothesis import given
from hypothesis import strategies as st

from schema.engine.field_merging import MAX_MERGED_SELECTIONS, FieldMergingRule
from tests.support.full_runs import examples

SDL: GraphQLSchema = build_schema(
    """
    interface Animal { self: Animal name: String count: Int friends: [Animal!]! owner(id: ID, of: In): Owner }
    type Cat implements Animal {
        self: Animal name: String count: Int friends: [Animal!]! owner(id: ID, of: In): Owner
        meow: Int! kin: [Cat] size: Size
    }
    type Dog implements Animal {
        self: Animal name: String count: Int friends: [Animal!]! owner(id: ID, of: In): Owner
        meow: Int kin: Cat size: String
    }
    type Owner { name: String pet: Animal any: Any meow: Int! kin: [Cat] }
    enum Size { BIG }
    union Any = Cat | Dog | Owner
    input In { a: Int b: [Int] }
    type Query { pet: Animal any: Any cat: Cat owner: Owner }
    """
)
FIELDS = {
    "Query": {"pet": "Animal", "any": "Any", "cat": "Cat", "owner": "Owner"},
    "Animal": {"self": "Animal", "name": "", "count": "", "friends": "Animal", "owner": "Owner"},
    "Cat": {"self": "Animal", "name": "", "meow": "", "kin": "Cat", "size": "", "owner": "Owner"},
    "Dog": {"self": "Animal", "name": "", "meow": "", "kin": "Cat", "size": "", "friends": "Animal"},
    "Owner": {"name": "", "pet": "Animal", "any": "Any", "meow": "", "kin": "Cat"},
    "Any": {},
}
FRAGMENTS = {"A": "Animal", "B": "Cat", "C": "Dog", "D": "Any", "E": "Owner"}
CONDITIONS = {
    "Query": ["Query"],
    "Owner": ["Owner", "Any"],
    **{name: ["Cat", "Dog", "Animal", "Any"] for name in ("Animal", "Cat", "Dog")},
    "Any": ["Cat", "Dog", "Owner", "Animal"],
}
ARGUMENTS = ["", "", '(id: "1")', '(id: """1""")', "(of: { a: 1, b: [2] })", "(of: { b: [2], a: 1 })", '(id: "2")']


@st.composite
def documents(draw: Callable[..., Any]) -> str:
    """Draw a document of few names, so that its fields often merge, rightly or not."""

    def selection(parent: str, depth: int, spreads: list[str]) -> str:
        parts = [part(parent, depth, spreads) for _ in range(draw(st.integers(1, 2)))]
        return f"{{ {' '.join(parts)} }}"

    def part(parent: str, depth: int, spreads: list[str]) -> Any:
        kind = draw(st.sampled_from(["field", "field", "inline", "spread"]))
        if kind == "spread" and spreads:
            return f"...{draw(st.sampled_from(spreads))}"
        if kind == "inline" and depth < 3:
            condition = draw(st.sampled_from([None, *CONDITIONS[parent]]))
            on = "" if condition is None else f" on {condition}"
            return f"...{on} {selection(condition or parent, depth + 1, spreads)}"
        fields = [name for name, below in FIELDS[parent].items() if not below or depth < 3]
        if not fields:
            return draw(st.sampled_from(["x: __typename", "__typename"]))
        name = draw(st.sampled_from(fields))
        alias = draw(st.sampled_from(["", "", "", "", "x: "]))
        below = FIELDS[parent][name]
        arguments = draw(st.sampled_from(ARGUMENTS)) if name == "owner" and parent != "Query" else ""
        return f"{alias}{name}{arguments} {selection(below, depth + 1, spreads) if below else ''}"

    names = list(FRAGMENTS)
    texts = [selection("Query", 0, [*names])]
    for index, (name, parent) in enumerate(FRAGMENTS.items()):
        texts.append(f"fragment {name} on {parent} {selection(parent, 1, names[index + 1 :])}")
    return " ".join(texts)


def run_rule(schema: GraphQLSchema, document: str) -> tuple[list[GraphQLError], int]:
    """Validate by the rule alone. Returns the errors and the selections that it collected."""
    rules: list[FieldMergingRule] = []

    class RecordedRule(FieldMergingRule):
        def __init__(self, context: ValidationContext) -> None:
            super().__init__(context)
            rules.append(self)

    errors = validate(schema, parse(document), [RecordedRule])
    return errors, rules[0].merged_selections


def by_core(document: str) -> list[GraphQLError]:
    found: list[GraphQLError] = validate(SDL, parse(document), [OverlappingFieldsCanBeMergedRule])
    return found


@given(documents())
@examples(200)
def test_the_rule_refuses_just_the_documents_that_the_rule_of_graphql_core_refuses(document: str) -> None:
    # graphql-core also checks fragments that no operation spreads
    spread = document + " query All { pet { ...A ...B ...C ...D ...E } }"
    assert bool(run_rule(SDL, spread)[0]) == bool(by_core(spread)), spread


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{ pet { x: name x: count } }", "'name' and 'count' are different fields"),
        ('{ pet { owner(id: "1") { name } owner { name } } }', "they have differing arguments"),
        (
            "{ pet { ... on Cat { x: meow } ... on Dog { x: meow } } }",
            "they return conflicting types 'Int!' and 'Int'",
        ),
        ("{ pet { self { x: name } } ...F } fragment F on Query { pet { self { x: count } } }", "'name' and 'count'"),
    ],
)
def test_a_conflict_is_told_with_its_reason_and_both_places(document: str, reason: str) -> None:
    (error,) = run_rule(SDL, document)[0]
    assert reason in error.message
    assert len(error.nodes or []) == 2


def nested(width: int, depth: int) -> str:
    inner = "name"
    for _ in range(depth):
        inner = f"self {{ {inner} }} " * width
    return f"{{ pet {{ {inner} }} }}"


@pytest.mark.parametrize(
    "document",
    [
        nested(7, 3),
        nested(5, 4),
        "{ pet { %s } }" % ("self { %s } " % ("name " * 60) * 60),
        f"{{ pet {{ {' '.join(f'...F{n}' for n in range(355))} }} }} "
        + " ".join(f"fragment F{n} on Animal {{ name }}" for n in range(355)),
    ],
)
def test_each_selection_of_a_document_without_reuse_is_collected_once(document: str) -> None:
    errors, collected = run_rule(SDL, document)
    assert errors == []
    assert collected <= len(re.findall(r"pet|self|name|\.\.\.", document))


def test_fragments_that_double_at_each_step_are_collected_once() -> None:
    steps = 60
    fragments = " ".join(
        f"fragment F{n} on Animal {{ a: self {{ ...F{n + 1} }} b: self {{ ...F{n + 1} }} }}" for n in range(steps)
    )
    errors, collected = run_rule(SDL, f"{{ pet {{ ...F0 }} }} {fragments} fragment F{steps} on Animal {{ name }}")
    assert errors == []
    assert collected < 400  # unfolded, it would be 2 ** 60


def test_a_document_that_unfolds_to_too_many_selections_is_refused_at_the_limit() -> None:
    count = 150
    operations = " ".join(f"query Q{n} {{ pet {{ ...F0 }} }}" for n in range(count))
    fragments = " ".join(f"fragment F{n} on Animal {{ x{n}: name ...F{n + 1} }}" for n in range(count))
    document = f"{operations} {fragments} fragment F{count} on Animal {{ name }}"
    (error,), collected = run_rule(SDL, document)
    assert error.message == "Expected fragments that unfold to at most 10000 merged fields, got more."
    assert MAX_MERGED_SELECTIONS < collected < MAX_MERGED_SELECTIONS + 10
