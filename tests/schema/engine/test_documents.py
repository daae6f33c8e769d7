from typing import Any

import pytest
from graphql import DocumentNode, GraphQLError, OperationType, ValidationRule, build_schema, parse

from schema.engine.documents import MAX_UNREPEATED_CHARACTERS, DocumentCache, DocumentReader, ParsedDocument
from schema.engine.plan_execution import PositionPlans

NODE = parse("{ a }")


def text(name: str, length: int = 10) -> str:
    return name.ljust(length)


def document(name: str, length: int = 10) -> ParsedDocument:
    return ParsedDocument(text(name, length), NODE)


def test_the_cache_returns_the_stored_document_itself() -> None:
    cache = DocumentCache(100)
    assert cache.get(text("a")) is None
    cache.store(a := document("a"))
    assert cache.get(text("a")) is a


def test_the_total_size_is_limited_and_the_least_recently_used_document_is_evicted() -> None:
    cache = DocumentCache(100)
    for name in "abcdefghij":
        cache.store(document(name))
    assert cache.get(text("a"))
    cache.store(document("k"))
    assert [name for name in "abcdefghijk" if cache.get(text(name))] == list("acdefghijk")
    cache.store(document("l", 5))
    cache.store(document("m", 5))
    assert [name for name in "abcdefghijk" if cache.get(text(name))] == list("cdefghijk")
    assert cache.get(text("l", 5))
    assert cache.get(text("m", 5))


def test_the_same_document_counts_once() -> None:
    cache = DocumentCache(100)
    for _ in range(50):
        cache.store(document("a"))
    for name in "bcdefghij":
        cache.store(document(name))
    assert cache.get(text("a"))


def test_one_long_document_does_not_evict_the_others() -> None:
    cache = DocumentCache(100)
    cache.store(document("short"))
    cache.store(document("long", 11))
    assert cache.get(text("long", 11)) is None
    assert cache.get(text("short"))


def test_a_long_document_is_stored_when_it_comes_again_so_that_new_ones_evict_none() -> None:
    cache = DocumentCache(100_000)
    cache.store(used := document("used", MAX_UNREPEATED_CHARACTERS))
    for number in range(100):
        cache.store(document(str(number), MAX_UNREPEATED_CHARACTERS + 1))
    assert cache.get(used.text) is used
    assert cache.get(text("99", MAX_UNREPEATED_CHARACTERS + 1)) is None
    cache.store(again := document("99", MAX_UNREPEATED_CHARACTERS + 1))
    assert cache.get(again.text) is again


def planned(name: str, fields: int) -> ParsedDocument:
    made = document(name)
    plans = PositionPlans()
    plans.field_count = fields
    made.plans._variants["always"] = plans
    return made


def test_the_plans_of_a_document_count_towards_its_size() -> None:
    cache = DocumentCache(1000)
    cache.store(first := document("first"))
    cache.store(document("other"))
    for number in range(9):
        cache.store(planned(str(number), 11))
    assert cache.get(text("first")) is first
    cache.store(planned("9", 11))
    cache.store(planned("10", 11))
    assert cache.get(text("other")) is None
    assert cache.get(text("first")) is first
    assert first.plans.size == 0


def test_plans_that_are_too_large_are_dropped() -> None:
    cache = DocumentCache(1000)
    cache.store(a := planned("a", 11))
    assert a.plans.size == 11
    a.plans._variants["always"].field_count = 15
    cache.update_size(planned("a", 11))
    assert a.plans.size == 15
    cache.update_size(a)
    assert a.plans.size == 0
    assert cache.get(text("a")) is a


def counting(documents: list[str]) -> type[ValidationRule]:
    class Count(ValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            documents.append("validated")

    return Count


def document_reader(*rules: type[ValidationRule], max_tokens: int = 100) -> DocumentReader:
    return DocumentReader(
        build_schema("type Query { a: Int }"), DocumentCache(1000), max_tokens=max_tokens, rules=rules
    )


def test_a_valid_document_is_parsed_once() -> None:
    validated: list[str] = []
    documents = document_reader(counting(validated))
    first = documents.parse("{ a }")
    assert not first.errors
    assert documents.parse("{ a }") is documents.parse("{ a }") is first
    assert validated == ["validated"]


def test_an_invalid_document_is_parsed_each_time() -> None:
    validated: list[str] = []
    documents = document_reader(counting(validated))
    for text_, parsed in (("{ b }", True), ("{", False)):
        first, second = documents.parse(text_), documents.parse(text_)
        assert first is not second
        assert len(first.errors) == len(second.errors) == 1
        assert first.is_parsed is second.is_parsed is parsed
    assert validated == ["validated"] * 2


def test_our_own_rules_are_checked_together_with_graphqls() -> None:
    class Refuse(ValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            self.report_error(GraphQLError("Refused."))

    messages = [error.message for error in document_reader(Refuse).parse("{ b }").errors]
    assert messages == ["Refused.", "Cannot query field 'b' on type 'Query'. Did you mean 'a'?"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{ a } #" + "x" * 100_000,
            "Expected a document of at most 100000 characters, with long texts in variables; got 100007.",
        ),
        (
            "{ a\n " + "b" * 201 + " }",
            "Expected names and numbers of at most 200 characters in the document, got one of 201 at line 2, column 2.",
        ),
        (
            f"{{ a(b: {'9' * 500}) }}",
            "Expected names and numbers of at most 200 characters in the document, got one of 500 at line 1, column 8.",
        ),
    ],
)
def test_a_document_with_too_long_a_text_is_refused_before_validation(text: str, message: str) -> None:
    validated: list[str] = []
    (error,) = document_reader(counting(validated)).parse(text).errors
    assert error.message == message
    assert error.extensions == {"code": "BAD_USER_INPUT", "retryable": False, "argument": "query"}
    assert validated == []


def test_a_long_text_may_stand_in_a_string() -> None:
    reader = DocumentReader(
        build_schema("type Query { a(b: String): Int }"), DocumentCache(1000), max_tokens=100, rules=()
    )
    assert not reader.parse(f'{{ a(b: "{"x" * 99_000}") }}').errors


def test_a_document_with_too_many_tokens_is_not_parsed_to_its_end() -> None:
    (error,) = document_reader(max_tokens=3).parse("{ a a }").errors
    assert "more than 3 tokens" in error.message


def test_an_unexpected_exception_is_an_error_of_the_document() -> None:
    class Break(ValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            raise KeyError("x")

    (error,) = document_reader(Break).parse("{ a }").errors
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
        (TWO, "Missing", None),
        ("fragment F on Run { id }", None, None),
        ("{", None, None),
        ("{ a" * 1_900, None, None),
        ("{ a " + "a " * 5_000 + "}", None, None),
    ],
)
def test_the_operation_is_the_named_or_the_only_one_even_if_invalid(
    document: str, name: str | None, kind: OperationType | None
) -> None:
    operation = document_reader().parse(document).find_operation(name)
    assert (None if operation is None else operation.operation) is kind
