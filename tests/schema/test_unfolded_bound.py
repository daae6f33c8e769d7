"""The loose bound is never below the tighter prediction, and takes time in proportion to the document."""

from typing import Any

import pytest
from graphql import parse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.operation_reader import OperationReader, coerce_variables, find_operation
from schema.prediction import predict_calls
from schema.unfolded_bound import bound_calls
from tests.schema.builders import SCHEMA
from tests.schema.random_operations import operations, subscriptions

CORE: Any = SCHEMA._schema


def bound(document: str) -> int:
    parsed = parse(document)
    operation = find_operation(parsed, None)
    assert operation is not None
    values = coerce_variables(CORE, operation, None)
    assert values is not None
    root = CORE.get_root_type(operation.operation)
    return bound_calls(OperationReader(CORE, parsed, operation, values, max_selections=0), root.name, 1000)


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
    assert predict_calls(CORE, parse(document)) <= bound(document)
