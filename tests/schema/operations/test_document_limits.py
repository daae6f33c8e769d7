from collections import Counter

import pytest
from graphql import (
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    ValidationContext,
    build_schema,
    parse,
    validate,
)

from schema.operations.document_limits import LiteralLimitRule, depth_limit

SDL: GraphQLSchema = build_schema("type Query { a: Query b: Query leaf: Int }")


def faults(document: str, most: int) -> list[str]:
    errors: list[GraphQLError] = validate(SDL, parse(document), [depth_limit(most)])
    return [error.message for error in errors]


def nested(levels: int) -> str:
    return "{ a " * (levels - 1) + "{ leaf }" + " }" * (levels - 1)


def test_a_document_may_be_exactly_as_deep_as_the_limit() -> None:
    assert faults(nested(5), 5) == []
    assert faults(nested(6), 5) == ["The operation is 6 fields deep; expected at most 5."]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[" + "1 " * 1_000 + "]", []),
        ("[" + "1 " * 1_001 + "]", ["Expected a list of at most 1000 items, got one of 1001."]),
        (
            "{" + " ".join(f"f{number}: 1" for number in range(1_001)) + "}",
            ["Expected an object of at most 1000 fields, got one of 1001."],
        ),
        ("[" + "[1 2 3]" * 1_000 + "] " * 1, []),
        (
            "[" + ("[" + "1 " * 999 + "]") * 11 + "]",
            ["Expected lists and objects of at most 10000 values in all the document, got 11000."],
        ),
    ],
)
def test_literals_are_as_limited_as_variables(value: str, expected: list[str]) -> None:
    errors = validate(SDL, parse(f"{{ leaf(value: {value}) }}"), [LiteralLimitRule])
    assert [error.message for error in errors] == expected


def test_fragments_count_by_their_fields_alone() -> None:
    document = """
        query Deep { ...One }
        fragment One on Query { ... on Query { a { ...Two } } }
        fragment Two on Query { leaf }
    """
    assert faults(document, 2) == []
    assert faults(document, 1) == ["Operation 'Deep' is 2 fields deep; expected at most 1."]


def test_each_operation_of_a_document_is_measured() -> None:
    assert faults("query A { leaf } query B { a { leaf } } query C { a { leaf } }", 1) == [
        "Operation 'B' is 2 fields deep; expected at most 1.",
        "Operation 'C' is 2 fields deep; expected at most 1.",
    ]


@pytest.mark.parametrize(
    "document",
    [
        "{ ...A } fragment A on Query { ...A }",
        "{ ...A } fragment A on Query { a { ...B } } fragment B on Query { b { ...A } }",
        "{ ...Missing }",
    ],
)
def test_a_cyclic_or_missing_fragment_ends(document: str) -> None:
    assert faults(document, 10) == []


def test_a_fragment_is_measured_once_however_often_it_is_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: Counter[str] = Counter()
    get_fragment = ValidationContext.get_fragment

    def counted(context: ValidationContext, name: str) -> FragmentDefinitionNode | None:
        looked_up[name] += 1
        return get_fragment(context, name)

    monkeypatch.setattr(ValidationContext, "get_fragment", counted)
    steps = 60
    spreads = " ".join(
        f"fragment F{step} on Query {{ a {{ ...F{step + 1} }} b {{ ...F{step + 1} }} }}" for step in range(steps)
    )
    assert faults(f"{{ ...F0 }} {spreads} fragment F{steps} on Query {{ leaf }}", steps + 1) == []
    assert looked_up == {f"F{step}": 1 for step in range(steps + 1)}  # unfolded, it would be 2 ** 60 fields
