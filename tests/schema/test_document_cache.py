from typing import Any

import strawberry
from graphql import DocumentNode, ValidationRule, parse
from strawberry.extensions import AddValidationRules

from schema.document_cache import DocumentCache, KeptDocuments

DOCUMENT = parse("{ a }")


def text(name: str, length: int = 10) -> str:
    return name.ljust(length)


def test_a_kept_document_is_the_very_one() -> None:
    kept = KeptDocuments(100)
    assert kept.find(text("a")) is None
    kept.keep(text("a"), DOCUMENT)
    assert kept.find(text("a")) is DOCUMENT


def test_all_documents_together_are_bounded_and_the_one_not_used_for_longest_goes_first() -> None:
    kept = KeptDocuments(100)
    for name in "abcdefghij":
        kept.keep(text(name), DOCUMENT)
    assert kept.find(text("a")) is DOCUMENT
    kept.keep(text("k"), DOCUMENT)
    assert [name for name in "abcdefghijk" if kept.find(text(name))] == list("acdefghijk")
    kept.keep(text("l", 5), DOCUMENT)
    kept.keep(text("m", 5), DOCUMENT)
    assert [name for name in "abcdefghijk" if kept.find(text(name))] == list("cdefghijk")
    assert kept.find(text("l", 5)) is kept.find(text("m", 5)) is DOCUMENT


def test_the_same_document_counts_once() -> None:
    kept = KeptDocuments(100)
    for _ in range(50):
        kept.keep(text("a"), DOCUMENT)
    for name in "bcdefghij":
        kept.keep(text(name), DOCUMENT)
    assert kept.find(text("a")) is DOCUMENT


def test_one_long_document_does_not_drive_the_others_out() -> None:
    kept = KeptDocuments(100)
    kept.keep(text("short"), DOCUMENT)
    kept.keep(text("long", 11), DOCUMENT)
    assert kept.find(text("long", 11)) is None
    assert kept.find(text("short")) is DOCUMENT


@strawberry.type
class Query:
    @strawberry.field
    def a(self) -> int:
        return 1


async def test_a_valid_document_is_validated_once() -> None:
    kept, validated = KeptDocuments(1000), list[str]()

    class Watch(ValidationRule):
        def enter_document(self, node: DocumentNode, *_: Any) -> None:
            validated.append("looked")

    schema = strawberry.Schema(Query, extensions=[lambda: AddValidationRules([Watch]), lambda: DocumentCache(kept)])
    answers = [await schema.execute("{ a }") for _ in range(3)]
    assert [answer.data for answer in answers] == [{"a": 1}] * 3
    assert validated == ["looked"]


async def test_what_is_not_valid_is_refused_each_time_and_never_kept() -> None:
    kept = KeptDocuments(1000)
    schema = strawberry.Schema(Query, extensions=[lambda: DocumentCache(kept)])
    for document in ("{ b }", "{"):
        answers = [await schema.execute(document) for _ in range(2)]
        assert all(answer.errors and answer.data is None for answer in answers)
        assert kept.find(document) is None
