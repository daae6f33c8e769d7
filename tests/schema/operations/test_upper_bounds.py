"""The upper bounds are never below the prediction or the response, and take time in proportion to the document."""

from typing import Any

import pytest
from graphql import (
    FieldNode,
    NameNode,
    SelectionSetNode,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    parse,
    print_ast,
    validate,
    visit,
)
from hypothesis import given
from hypothesis import strategies as st

from schema.engine.context import Context
from schema.operations.operation_reader import OperationReader
from schema.operations.upper_bounds import find_upper_bounds
from tests.schema.builders import SCHEMA, execute
from tests.schema.operation_helpers import CORE, make_operation_reader, predict
from tests.schema.random_operations import (
    operations,
    random_changes,
    random_threads_api,
    random_viewer_api,
    subscriptions,
)
from tests.schema.subscription_helpers import begin_subscription, render_event
from tests.support.examples import load_examples
from tests.support.fake_run_events import FakeRunEvents, run_event
from tests.support.full_runs import examples


def bound(document: str) -> int:
    return find_upper_bounds(make_operation_reader(document, most=0), 1000).calls


def bound_objects(document: str) -> int:
    return find_upper_bounds(make_operation_reader(document, most=0), 1000).objects


@pytest.mark.parametrize(
    ("document", "calls"),
    [
        ("{ upstream { version } }", 0),
        ('{ thread(id: "x") { metadata } }', 1),
        ('{ thread(id: "x") { messages(first: 250) { nodes { id } } } }', 1 + 3),
        ('{ thread(id: "x") { messages(first: 200) { nodes { id } } } }', 1 + 2),
        ('{ thread(id: "x") { messages(first: 201) { nodes { id } } } }', 1 + 3),
        ('{ thread(id: "x") { messages(first: 2) { nodes { run { status } } edges { node { id } } } } }', 1 + 1 + 2),
        ('{ threadsByIds(ids: ["x", "y"]) { activeRun { status } } }', 2 * 2),
        ('{ ...A ...A } fragment A on Query { thread(id: "x") { id } }', 2),
        ('{ node(id: "x") { ... on Thread { activeRun { id } } ... on Run { id } } }', 2),
        (
            "mutation { createThread(input: {}) { thread { activeRun { id } }} deleteThread(input: {}) { deletedId } }",
            6,
        ),
        ('{ thread(id: "x") { messages(runId: "run_1", first: 2) { nodes { id } } } }', 1 + 1 + 4),
        ('{ run(id: "x") { messages(first: 150) { nodes { id } } } }', 1 + 2 + 4),
        ('{ thread(id: "x") { runs(first: 2000) @skip(if: false) { nodes { thread { id } } } } }', 1 + 1 + 1),
        ('{ thread(id: "x") { runs @skip(if: true) { nodes { id } } } }', 1),
        (
            "{ viewer { threads(first: 3) { nodes { title messages(first: 2) { nodes { run { id } } } } } } }",
            3 * (1 + 3),
        ),
        ("{ viewer { waitingRuns { nodes { id } } } }", 20),
        (
            '{ message(id: "x") { attachments { file { filename bytes } } again: attachments { file { bytes } } } }',
            1 + 40,
        ),
        ('{ thread(id: "x") { messages { nodes { attachments { file { filename } } } } } }', 1 + 1 + 100),
        (
            '{ message(id: "x") { files(first: 3) { nodes { file { purpose } } } } file(id: "x") { bytes } }',
            1 + 1 + 3 + 1,
        ),
        ('{ node(id: "x") { ... on File { bytes } ... on Message { attachments { file { id } } } } }', 1),
        ('subscription { runStatus(runId: "x") { run { thread { id } } } }', 1 + 1),
        ("subscription { viewerEvents { ... on ThreadChanged { thread { title activeRun { id } } } } }", 1 + 1),
        ('subscription { runEvents(runId: "x") { ... on RunSnapshot { steps { run { id } } run { id } } } }', 201),
    ],
)
def test_every_field_counts_for_itself(document: str, calls: int) -> None:
    assert bound(document) == calls


@examples(100)
@given(st.one_of(operations(), subscriptions()))
def test_it_is_never_below_the_prediction(document: str) -> None:
    assert predict(document) <= bound(document)


@examples(200)
@given(document=operations(), seed=st.integers(0, 30))
async def test_no_operation_makes_more_calls(document: str, seed: int) -> None:
    api = random_threads_api(seed)
    await execute(api, document, viewer=random_viewer_api(seed))
    assert api.key_count <= bound(document), api.calls


IDS = " ".join(f'"thread_{number}"' for number in range(100))


@pytest.mark.parametrize(
    ("document", "objects"),
    [
        ("{ upstream { version } __typename }", 0),
        ('{ thread(id: "x") { metadata } a: thread(id: "x") { metadata } }', 0),
        ('{ thread(id: "x") { activeRun { thread { id } } } }', 2),
        (f"{{ threadsByIds(ids: [{IDS}]) {{ messages(first: 100) {{ nodes {{ text }} }} }} }}", 10_100),
        ('{ nodes(ids: ["x", "y"]) { ... on Thread { activeRun { id } } ... on Run { id } } }', 2 * 2),
        ('{ thread(id: "x") { messages { pageInfo { endCursor } } } }', 0),
        ('{ thread(id: "x") { a: messages { nodes { id } edges { node { id } } } b: runs { nodes { id } } } }', 60),
        ('{ thread(id: "x") { messages(last: 3) { nodes { files(first: 2) { nodes { message { id } } } } } } }', 15),
        ('{ thread(id: "x") { runs(first: 2000) { nodes { id } } } }', 1),
        ('{ thread(id: "x") { runs @skip(if: true) { nodes { id } } } }', 0),
        ("mutation { createThread(input: {}) { thread { messages { nodes { id } } } } }", 1 + 20),
        (
            "{ viewer { threads(first: 3) { nodes { messages(first: 2) { nodes { id } } } edges { node { id } } } } }",
            12,
        ),
        ("{ viewer { waitingRuns { nodes { thread { id } } } } }", 40),
        ('{ thread(id: "x") { messages(first: 9) { nodes { attachments { file { filename } } } } } }', 9),
        ('subscription { runStatus(runId: "x") { run { thread { id } } } }', 2),
        ('subscription { runEvents(runId: "x") { ... on RunSnapshot { steps { run { id } } run { id } } } }', 41),
        ('subscription { runEvents(runId: "x") { ... on StepChanged { step { id } } ... on Lagged { skipped } } }', 1),
    ],
)
def test_the_sizes_of_pages_are_multiplied_and_aliases_added(document: str, objects: int) -> None:
    assert validate(CORE, parse(document)) == []
    assert bound_objects(document) == objects


def test_the_examples_show_few_objects() -> None:
    assert max(bound_objects(example.text) for example in load_examples()) <= 400


def test_fragments_that_unfold_without_end_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    levels, read = 14, []
    aliases = " ".join(f"a{n}: messages(first: 9) {{ nodes {{ thread {{ ...F%d }} }} }}" for n in range(9))
    fragments = [f"fragment F{n} on Thread {{ {aliases.replace('%d', str(n + 1))} }}" for n in range(levels)]
    document = " ".join(['{ thread(id: "x") { ...F0 } }', *fragments, f"fragment F{levels} on Thread {{ id }}"])
    target_type = OperationReader.target_type

    def counted(reader: OperationReader, type_name: str, field: FieldNode) -> Any:
        read.append(field)
        return target_type(reader, type_name, field)

    monkeypatch.setattr(OperationReader, "target_type", counted)
    assert bound_objects(document) == 2 * sum((9 * 9) ** level for level in range(1, levels + 1))
    assert len(read) == 1 + levels * 9 * 3 + 1


MARK = FieldNode(name=NameNode(value="__typename"), alias=NameNode(value="isNode"))


class _NodeMarker(Visitor):
    """Adds a mark to each selection on a node."""

    def __init__(self, types: TypeInfo) -> None:
        super().__init__()
        self._types = types

    def enter_selection_set(self, node: SelectionSetNode, *_: Any) -> SelectionSetNode | None:
        parent = self._types.get_parent_type()
        is_node = CORE.type_map["Node"] in (parent, *getattr(parent, "interfaces", ()))
        return SelectionSetNode(selections=(*node.selections, MARK)) if is_node else None


def mark_nodes(document: str) -> str:
    """Select `isNode` on every node of a document."""
    types = TypeInfo(CORE)
    return print_ast(visit(parse(document), TypeInfoVisitor(types, _NodeMarker(types))))


def count_nodes(value: Any) -> int:
    """Count the marked objects of a response, but for files, which are parts of what cites them."""
    if isinstance(value, list):
        return sum(map(count_nodes, value))
    return is_counted(value) + sum(map(count_nodes, value.values())) if isinstance(value, dict) else 0


def is_counted(value: Any) -> bool:
    """Whether a value of a response is a marked object, and no file."""
    return isinstance(value, dict) and value.get("isNode") not in {None, "File"}


@examples(200)
@given(document=operations(), seed=st.integers(0, 30))
async def test_no_operation_shows_more_objects(document: str, seed: int) -> None:
    context = Context(random_threads_api(seed), reports_cost=True, viewer=random_viewer_api(seed))
    result = await SCHEMA.execute(mark_nodes(document), context_value=context)
    await context.aclose()
    data = result.data or {}
    is_query = document.startswith("query")
    free = sum(map(is_counted, data.values())) if is_query else 0
    shown = count_nodes(data) - free
    assert shown <= bound_objects(document)
    reported = (result.extensions or {})["cost"]["shownObjects"]
    # An error may turn an object into null that was counted already.
    assert reported == shown if not result.errors else reported >= shown


@examples(50)
@given(document=subscriptions(), seed=st.integers(0, 30))
async def test_no_event_shows_more_objects(document: str, seed: int) -> None:
    subscribed = await begin_subscription(FakeRunEvents(), mark_nodes(document))
    for change in random_changes(random_threads_api(seed)):
        response = await render_event(subscribed, run_event(change), random_threads_api(seed))
        assert count_nodes(response["data"]) <= bound_objects(document)
