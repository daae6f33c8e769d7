"""The upper bound is never below the prediction, and takes time in proportion to the document."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.operations.call_upper_bound import call_upper_bound
from tests.schema.builders import execute
from tests.schema.operation_helpers import make_operation_reader, predict
from tests.schema.random_operations import operations, random_threads_api, subscriptions


def bound(document: str) -> int:
    return call_upper_bound(make_operation_reader(document, most=0), 1000)


@pytest.mark.parametrize(
    ("document", "calls"),
    [
        ("{ upstream { version } }", 0),
        ('{ thread(id: "x") { metadata } }', 1),
        ('{ thread(id: "x") { messages(first: 250) { nodes { id } } } }', 1 + 3),
        ('{ thread(id: "x") { messages(first: 2) { nodes { run { status } } edges { node { id } } } } }', 1 + 1 + 2),
        ('{ threadsByIds(ids: ["x", "y"]) { activeRun { status } } }', 2 * 2),
        ('{ ...A ...A } fragment A on Query { thread(id: "x") { id } }', 2),
        ('{ node(id: "x") { ... on Thread { activeRun { id } } ... on Run { id } } }', 2),
        (
            "mutation { createThread(input: {}) { thread { activeRun { id } }} deleteThread(input: {}) { deletedId } }",
            6,
        ),
        ('{ thread(id: "x") { runs(first: 2000) @skip(if: false) { nodes { thread { id } } } } }', 1 + 1 + 1),
        ('{ thread(id: "x") { runs @skip(if: true) { nodes { id } } } }', 1),
        ('subscription { runStatus(runId: "x") { run { thread { id } } } }', 1 + 1),
        ('subscription { runEvents(runId: "x") { ... on RunSnapshot { steps { run { id } } run { id } } } }', 201),
    ],
)
def test_every_field_counts_for_itself(document: str, calls: int) -> None:
    assert bound(document) == calls


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(operations(), subscriptions()))
def test_it_is_never_below_the_prediction(document: str) -> None:
    assert predict(document) <= bound(document)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(document=operations(), seed=st.integers(0, 30))
async def test_no_operation_makes_more_calls(document: str, seed: int) -> None:
    api = random_threads_api(seed)
    await execute(api, document)
    assert api.key_count <= bound(document), api.calls
