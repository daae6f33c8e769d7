"""The plans of pinned documents are complete before the first execution."""

from typing import Any

import pytest

from schema.engine.context import Context
from schema.engine.documents import ParsedDocument
from schema.engine.plan_warming import MAX_WARMED_FIELDS
from schema.root import build_schema
from tests.schema.builders import SCHEMA, conversation
from tests.support.examples import load_examples

pytestmark = pytest.mark.compiled

NESTED = """
query Nested($last: Int = 5) {
  thread(id: "thread_1") { id messages(last: $last) { nodes { id ...Text run { status steps { nodes { id } } } } } }
}
fragment Text on Message { text }
"""


async def execute(schema: Any, text: str, **variables: Any) -> Any:
    context = Context(conversation())
    try:
        return await schema.execute(text, variable_values=variables, context_value=context)
    finally:
        await context.aclose()


def planned_fields(document: ParsedDocument) -> int:
    return sum(plans.field_count for plans in document.plans._variants.values())


@pytest.fixture
def schema() -> Any:
    return build_schema()


async def test_execution_adds_no_plan_to_a_pinned_document(schema: Any) -> None:
    assert await schema.pin_documents([NESTED]) == {}
    document = schema.documents.parse(NESTED)
    planned = planned_fields(document)
    assert planned == 11
    result = await execute(schema, NESTED)
    assert result.errors is None
    assert planned_fields(document) == planned
    assert result.data == (await execute(SCHEMA, NESTED)).data


async def test_every_example_is_planned_ahead(schema: Any) -> None:
    texts = [example.text for example in load_examples()]
    assert await schema.pin_documents(texts) == {}
    assert all(schema.documents.parse(text).plans.size > 0 for text in texts)


async def test_fields_that_depend_on_variables_are_planned_by_the_first_execution(schema: Any) -> None:
    text = 'query ($more: Boolean!) { thread(id: "thread_1") { id createdAt @include(if: $more) } }'
    await schema.pin_documents([text])
    document = schema.documents.parse(text)
    assert document.plans.size == 0
    assert (await execute(schema, text, more=True)).errors is None
    assert document.plans.size > 0


async def test_a_document_that_unfolds_is_planned_ahead_up_to_a_limit(schema: Any) -> None:
    fields = " ".join(f"a{number}: id" for number in range(100))
    messages = " ".join(f"m{number}: messages(first: 1) {{ nodes {{ ...F x{number}: id }} }}" for number in range(60))
    text = f'{{ thread(id: "thread_1") {{ {messages} }} }} fragment F on Message {{ {fields} }}'
    assert await schema.pin_documents([text]) == {}
    assert MAX_WARMED_FIELDS / 2 < schema.documents.parse(text).plans.size <= 2 * MAX_WARMED_FIELDS


async def test_a_chain_of_fragments_is_walked_once(schema: Any) -> None:
    chain = " ".join(
        f"fragment F{n} on Message {{ id a{n}: run {{ ...R{n} }} b{n}: run {{ ...R{n} }} }} "
        f"fragment R{n} on Run {{ id x: messages(first: 1) {{ nodes {{ ...F{n + 1} }} }} }}"
        for n in range(6)
    )
    root = '{ thread(id: "t") { messages(first: 1) { nodes { ...F0 } } } }'
    text = f"{root} {chain} fragment F6 on Message {{ id }}"
    assert await schema.pin_documents([text]) == {}
    assert schema.documents.parse(text).plans.size < 100


async def test_pinned_documents_are_outside_the_cache_and_replaced_as_a_whole(schema: Any) -> None:
    await schema.pin_documents([NESTED])
    pinned = schema.documents.parse(NESTED)
    for number in range(9_000, 9_300):
        padding = "#" * 1_500
        schema.documents.parse(f'{{ thread(id: "t{number}") {{ id }} }} {padding}')
    assert schema.documents.parse(NESTED) is pinned
    other = "{ __typename }"
    assert list(await schema.pin_documents([other, "{ missing }", NESTED])) == ["{ missing }"]
    assert schema.documents.parse(NESTED) is pinned
    await schema.pin_documents([other])
    assert schema.documents.parse(NESTED) is not pinned
