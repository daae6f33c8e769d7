from typing import Any

import pytest
from graphql import DocumentNode, GraphQLError, OperationType, ValidationRule, build_schema, parse

from schema.engine.documents import DocumentCache, DocumentReader, ParsedDocument
from schema.engine.plans import PositionPlans

NODE = parse("{ a }")


def text(name: str, length: int = 10) -> str:
    return name.ljust(length)


def document(name: str, length: int = 10) -> ParsedDocument:
    return ParsedDocument(text(name, length), NODE)


def test_a_kept_document_is_the_very_one() -> None:
    kept = DocumentCache(100)
    assert kept.find(text("a")) is None
    kept.keep(a := document("a"))
    assert kept.find(text("a")) is a


def test_all_documents_together_are_bounded_and_the_one_not_used_for_longest_goes_first() -> None:
    kept = DocumentCache(100)
    for name in "abcdefghij":
        kept.keep(document(name))
    assert kept.find(text("a"))
    kept.keep(document("k"))
    assert [name for name in "abcdefghijk" if kept.find(text(name))] == list("acdefghijk")
    kept.keep(document("l", 5))
    kept.keep(document("m", 5))
    assert [name for name in "abcdefghijk" if kept.find(text(name))] == list("cdefghijk")
    assert kept.find(text("l", 5))
    assert kept.find(text("m", 5))


def test_the_same_document_counts_once() -> None:
    kept = DocumentCache(100)
    for _ in range(50):
        kept.keep(document("a"))
    for name in "bcdefghij":
        kept.keep(document(name))
    assert kept.find(text("a"))


def test_one_long_document_does_not_drive_the_others_out() -> None:
    kept = DocumentCache(100)
    kept.keep(document("short"))
    kept.keep(document("long", 11))
    assert kept.find(text("long", 11)) is None
    assert kept.find(text("short"))


def planned(name: str, fields: int) -> ParsedDocument:
    made = document(name)
    places = PositionPlans()
    places.fields = fields
    made.plans._variants["always"] = places
    return made


def test_what_is_planned_of_a_document_counts_with_it() -> None:
    kept = DocumentCache(1000)
    kept.keep(first := document("first"))
    kept.keep(document("other"))
    for number in range(9):
        kept.keep(planned(str(number), 30))
    assert kept.find(text("first")) is first
    kept.keep(planned("9", 30))
    kept.keep(planned("10", 30))
    assert kept.find(text("other")) is None
    assert kept.find(text("first")) is first
    assert first.plans.size == 0


def test_plans_that_take_too_much_begin_anew() -> None:
    kept = DocumentCache(1000)
    kept.keep(a := planned("a", 30))
    assert a.plans.size == 30
    a.plans._variants["always"].fields = 40
    kept.weigh_again(planned("a", 30))
    assert a.plans.size == 40
    kept.weigh_again(a)
    assert a.plans.size == 0
    assert kept.find(text("a")) is a


def counting(documents: list[str]) -> type[ValidationRule]:
    class Count(ValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            documents.append("validated")

    return Count


def reading(*rules: type[ValidationRule], max_tokens: int = 100) -> DocumentReader:
    return DocumentReader(
        build_schema("type Query { a: Int }"), DocumentCache(1000), max_tokens=max_tokens, rules=rules
    )


def test_a_valid_document_is_read_once() -> None:
    validated: list[str] = []
    documents = reading(counting(validated))
    first = documents.read("{ a }")
    assert not first.errors
    assert documents.read("{ a }") is documents.read("{ a }") is first
    assert validated == ["validated"]


def test_what_is_not_valid_is_read_again_each_time() -> None:
    validated: list[str] = []
    documents = reading(counting(validated))
    for text_, parsed in (("{ b }", True), ("{", False)):
        first, second = documents.read(text_), documents.read(text_)
        assert first is not second
        assert len(first.errors) == len(second.errors) == 1
        assert first.is_parsed is second.is_parsed is parsed
    assert validated == ["validated"] * 2


def test_our_own_rules_are_held_before_graphqls() -> None:
    class Refuse(ValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            self.report_error(GraphQLError("Refused."))

    assert [error.message for error in reading(Refuse).read("{ b }").errors] == ["Refused."]


def test_a_document_longer_than_allowed_is_not_parsed_to_its_end() -> None:
    (error,) = reading(max_tokens=3).read("{ a a }").errors
    assert "more than 3 tokens" in error.message


def test_what_nobody_expected_is_an_error_of_the_document() -> None:
    class Break(ValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            raise KeyError("x")

    (error,) = reading(Break).read("{ a }").errors
    assert isinstance(error.original_error, KeyError)


WATCH = "subscription Watch { a }"
TWO = WATCH + " query Other { __typename }"


@pytest.mark.parametrize(
    ("document", "name", "kind"),
    [
        ("{ __typename }", None, OperationType.QUERY),
        ("mutation { x }", None, OperationType.MUTATION),
        (WATCH, None, OperationType.SUBSCRIPTION),
        (TWO, "Watch", OperationType.SUBSCRIPTION),
        (TWO, "Other", OperationType.QUERY),
        (TWO, None, None),
        (TWO, "Nobody", None),
        ("fragment F on Run { id }", None, None),
        ("{", None, None),
        ("{ a" * 1_900, None, None),
        ("{ a " + "a " * 5_000 + "}", None, None),
    ],
)
def test_the_operation_is_the_one_that_is_named_or_stands_alone_valid_or_not(
    document: str, name: str | None, kind: OperationType | None
) -> None:
    operation = reading().read(document).operation(name)
    assert (None if operation is None else operation.operation) is kind
