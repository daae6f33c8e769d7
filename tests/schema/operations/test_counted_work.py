"""The work before the first call of an operation is linear in its document and its variables, whatever they are.

The work is counted in calls of functions, so these tests depend on no time.
"""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from graphql import GraphQLError, Lexer, Source, TokenKind
from hypothesis import given
from hypothesis import strategies as st

from schema.engine.context import Context
from schema.engine.documents import ParsedDocument
from schema.engine.executor import build_executor
from schema.engine.public_errors import OperationRefusedError
from schema.operations.operation_budget import enforce_budget, find_bounds
from schema.root import build_schema
from tests.schema.builders import conversation
from tests.schema.random_operations import operations
from tests.support.full_runs import examples

SCHEMA: Any = build_schema(max_tokens=8_000, max_depth=10_000)

MAX_CALLS_TO_READ, MAX_CALLS_TO_PREPARE, MAX_CALLS_TO_EXECUTE = 400, 100, 600
"""The most calls for a token of the document. Twice as many as now would be too slow."""

MAX_CALLS_TO_COERCE = 100
"""The most calls for a value in the variables."""

MAX_CALLS_TO_UNFOLD = 60
"""The most calls for a selection that fragments unfold to."""


def count_calls(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[int, Any]:
    """Count the calls that a function makes, at any depth, to functions in Python and in C."""
    count = 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(profile)
    try:
        result = function(*arguments, **options)
    finally:
        sys.setprofile(None)
    return count, result


@pytest.fixture(scope="module", autouse=True)
def schema_is_read() -> None:
    """Read what the schema says about its fields, which happens once, so that no document is charged for it."""
    prepare(SCHEMA.documents.parse("{ __typename }"), {}, Context(conversation(0), reports_cost=True))


def count_tokens(document: str) -> int:
    lexer, count = Lexer(Source(document)), 0
    while lexer.advance().kind is not TokenKind.EOF:
        count += 1
    return count


def read(document: str) -> tuple[int, ParsedDocument]:
    return count_calls(SCHEMA.documents._parse_uncached, document)


def prepare(document: ParsedDocument, variables: dict[str, Any], context: Context) -> None:
    try:
        executor = build_executor(SCHEMA, document, operation_name=None, variables=variables, context=context)
        enforce_budget(context, SCHEMA.limits.budget, executor, find_bounds(context.limits, executor))
    except (OperationRefusedError, GraphQLError):
        pass  # the work until a refusal counts too


async def count_execution(document: ParsedDocument) -> int:
    """Count the calls of an execution over one message, in which plans are compiled."""
    context, count = Context(conversation(1)), 0

    def profile(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    if len(document.operations) != 1:
        return 0
    sys.setprofile(profile)
    try:
        await SCHEMA.execute_document(document, None, context)
    finally:
        sys.setprofile(None)
        await context.aclose()
    return count


def count_values(value: Any) -> int:
    """Count the values in a value of JSON, itself included."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(count_values, inner))


def repeat(text: str, count: int) -> str:
    return " ".join(text.replace("#", str(number)) for number in range(count))


def on_thread(selections: str) -> str:
    return f'{{ thread(id: "thread_1") {{ {selections} }} }}'


PAGE = "messages(last: #) { nodes { id } }"
USED = "a#: messages(last: $v#) { nodes { id } }"
SHARED = "a#: messages(last: $v) { nodes { id } }"
INPUT = "{content: {text: 1}}"

FAMILIES: dict[str, Callable[[int], str]] = {
    "aliases": lambda n: on_thread(repeat("a#: id", n // 3)),
    "repeated fields": lambda n: on_thread(repeat("id", n)),
    "lookups": lambda n: f"{{ {repeat('a#: thread(id: #) { messages(last: 1) { nodes { id } } }', n // 22)} }}",
    "pages": lambda n: on_thread(repeat("a#: " + PAGE, n // 14)),
    "merged pages": lambda n: on_thread(repeat("messages { nodes { id } }", n // 7)),
    "fragments": lambda n: on_thread(repeat("...F#", n // 10)) + repeat("fragment F# on Thread { id }", n // 10),
    "inline fragments": lambda n: on_thread(repeat("... on Thread { id }", n // 6)),
    "unknown fields": lambda n: on_thread(repeat("unknown#", n)),
    "unknown arguments": lambda n: f"{{ thread({repeat('unknown#: 1', n // 3)}) {{ id }} }}",
    "unused variables": lambda n: f"query({repeat('$v#: ID', n // 4)}) {on_thread('id')}",
    "used variables": lambda n: f"query({repeat('$v#: Int', n // 18)}) {on_thread(repeat(USED, n // 18))}",
    "ids": lambda n: f"{{ nodes(ids: [{repeat('#', n)}]) {{ id }} }}",
    "operations": lambda n: repeat("query Q# { thread(id: 1) { ...F } }", n // 12) + "fragment F on Thread { id }",
    "operations over variables": lambda n: (
        repeat("query Q#($v: Int) { thread(id: 1) { ...F } }", n // 34)
        + f"fragment F on Thread {{ {repeat(SHARED, n // 26)} }}"
    ),
    "input objects": lambda n: (
        f"mutation {{ createThread(input: {{messages: [{repeat(INPUT, n // 9)}]}}) {{ thread {{ id }} }} }}"
    ),
    "directives": lambda n: on_thread(repeat("a#: id @include(if: true)", n // 10)),
    "introspection": lambda n: f"{{ __schema {{ types {{ {repeat('kind name', n // 2)} }} }} }}",
}


@pytest.mark.parametrize("family", FAMILIES)
async def test_work_is_linear_in_the_document(family: str) -> None:
    calls_per_token = {}
    for size in (500, 2_000):
        document = FAMILIES[family](size)
        tokens = count_tokens(document)
        calls, parsed = read(document)
        context = Context(conversation(1), reports_cost=True)
        prepared, _ = count_calls(prepare, parsed, {}, context)
        executed = await count_execution(parsed)
        await context.aclose()
        assert calls <= MAX_CALLS_TO_READ * tokens
        assert prepared <= MAX_CALLS_TO_PREPARE * tokens
        assert executed <= MAX_CALLS_TO_EXECUTE * tokens
        calls_per_token[size] = calls / tokens
    assert calls_per_token[2_000] <= 1.5 * calls_per_token[500]


def test_work_is_linear_in_the_selections_that_fragments_unfold_to() -> None:
    fields, pages = repeat("a#: id", 100), repeat("p#: messages(last: 1) { nodes { ...F } }", 80)
    calls, parsed = read(f'{{ thread(id: "thread_1") {{ {pages} }} }} fragment F on Message {{ {fields} }}')
    assert not parsed.errors
    prepared, _ = count_calls(prepare, parsed, {}, Context(conversation(0), reports_cost=True))
    assert max(calls, prepared) <= MAX_CALLS_TO_UNFOLD * 100 * 80


@examples(50)
@given(document=operations())
def test_work_on_a_random_document_is_below_the_same_bound(document: str) -> None:
    tokens = count_tokens(document)
    calls, parsed = read(document)
    prepared, _ = count_calls(prepare, parsed, {}, Context(conversation(0), reports_cost=True))
    assert calls <= MAX_CALLS_TO_READ * tokens + 5_000
    assert prepared <= MAX_CALLS_TO_PREPARE * tokens + 5_000


CREATE = """mutation($all: [NewMessageInput!], $input: CreateThreadInput = {}) {
    a: createThread(input: {messages: $all}) { thread { id } } b: createThread(input: $input) { thread { id } }
}"""
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.sampled_from(["content", "text", "role", "metadata", "other"]), inner)
    ),
    max_leaves=200,
)


def coerce(variables: dict[str, Any]) -> int:
    parsed = SCHEMA.documents.parse(CREATE)
    assert not parsed.errors
    return count_calls(prepare, parsed, variables, Context(conversation(0)))[0]


@pytest.mark.parametrize(
    "variables",
    [
        {"all": [{"content": {"text": "a"}}] * 1_000},
        {"all": [{}] * 1_000},
        {"all": [{f"unknown{number}": 1 for number in range(1_000)}] * 9},
        {"all": [[[["a"] * 20] * 20] * 20]},
        {"input": {f"unknown{number}": 1 for number in range(1_000)}},
        {"input": {"metadata": {str(number): [number] * 5 for number in range(1_000)}}},
        {"input": {"messages": [{"content": {"text": "a", "other": "b"}}] * 1_000}},
        {f"unknown{number}": [1] * 100 for number in range(90)},
    ],
)
def test_work_is_linear_in_the_variables(variables: dict[str, Any]) -> None:
    calls = coerce(variables)
    assert calls <= MAX_CALLS_TO_COERCE * count_values(variables) + 5_000


@examples(100)
@given(variables=st.fixed_dictionaries({}, optional={"all": json_values, "input": json_values}))
def test_work_on_random_variables_is_below_the_same_bound(variables: dict[str, Any]) -> None:
    assert coerce(variables) <= MAX_CALLS_TO_COERCE * count_values(variables) + 5_000
