"""The budget is enforced for every operation, and the cost is reported on request."""

from typing import Any

import pytest
from graphql import GraphQLError
from hypothesis import given
from hypothesis import strategies as st

from schema.engine.context import Context
from schema.operations.call_prediction import predict_calls
from schema.operations.operation_budget import OperationBudget, enforce_budget, find_bounds, too_many_calls_error
from schema.operations.upper_bounds import UpperBounds, find_upper_bounds
from schema.root import build_schema
from tests.schema.builders import SCHEMA, conversation
from tests.schema.operation_helpers import build_core_executor
from tests.schema.random_operations import operations, random_threads_api, random_viewer_api
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.full_runs import examples

TWO_CALLS = '{ thread(id: "thread_1") { metadata messages { nodes { text } } } }'
FIVE = build_schema(max_upstream_calls=5)
LIMITS = (1, 5, 30, 1_000)
LIMITED = [build_schema(max_upstream_calls=most, max_objects=10 * most, max_depth=10_000) for most in LIMITS]


async def run(
    api: FakeThreadsApi, document: str, *, schema: Any = FIVE, reports_cost: bool = False, viewer: Any = None
) -> Any:
    context = Context(api, reports_cost=reports_cost, viewer=viewer)
    result = await schema.execute(document, context_value=context)
    await context.aclose()
    return result


async def test_an_operation_above_the_limit_makes_no_call_and_says_both_numbers() -> None:
    api = conversation()
    result = await run(api, '{ thread(id: "thread_1") { messages(first: 5) { nodes { run { status } } } } }')
    (error,) = result.errors
    assert result.data is None
    assert error.path is None
    assert "6 upstream calls; expected at most 5" in error.message
    assert error.extensions == {"code": "TOO_EXPENSIVE", "retryable": False, "predictedCalls": 6, "limit": 5}
    assert api.calls == []


async def test_an_operation_may_take_exactly_the_limit() -> None:
    api = conversation()
    result = await run(api, '{ thread(id: "thread_1") { messages(first: 4) { nodes { run { status } } } } }')
    assert result.errors is None
    assert api.key_count == 2


async def test_a_mutation_above_the_limit_writes_nothing() -> None:
    api = conversation()
    writes = " ".join(f"w{number}: createThread(input: {{}}) {{ thread {{ id }} }}" for number in range(6))
    assert (await run(api, f"mutation {{ {writes} }}")).data is None
    assert api.calls == []


@examples(200)
@given(document=operations(), seed=st.integers(0, 30), limit=st.integers(0, len(LIMITS) - 1))
async def test_a_random_operation_that_is_refused_made_no_call_and_any_other_no_more_than_allowed(
    document: str, seed: int, limit: int
) -> None:
    api = random_threads_api(seed)
    result = await run(api, document, schema=LIMITED[limit], viewer=random_viewer_api(seed))
    codes = {(error.extensions or {}).get("code") for error in result.errors or ()}
    if "TOO_EXPENSIVE" in codes:
        assert (api.calls, result.data, len(codes)) == ([], None, 1)
    else:
        assert api.key_count <= LIMITS[limit]


LEVEL = "messages(last: %d) { nodes { thread { %s } } }"


def nest_pages(levels: int, size: int) -> str:
    """Select pages of messages below the thread of each message, so that the objects are a power of the size."""
    selection = "id"
    for _ in range(levels):
        selection = LEVEL % (size, selection)
    return f'{{ thread(id: "thread_1") {{ {selection} }} }}'


@pytest.mark.parametrize(
    ("levels", "size", "objects"),
    [(4, 20, 336_840), (9, 100, 2 * sum(100**level for level in range(1, 10)))],
)
@pytest.mark.parametrize("reports_cost", [False, True])
async def test_pages_within_pages_are_refused_by_the_objects_that_they_show(
    levels: int, size: int, objects: int, reports_cost: bool
) -> None:
    api = conversation()
    result = await run(api, nest_pages(levels, size), schema=SCHEMA, reports_cost=reports_cost)
    (error,) = result.errors
    assert (result.data, error.path, api.calls) == (None, None, [])
    assert f"{objects} objects; expected at most 20000" in error.message
    assert error.extensions == {
        "code": "TOO_EXPENSIVE",
        "retryable": False,
        "predictedObjects": objects,
        "limit": 20_000,
    }
    if reports_cost:
        cost = result.extensions["cost"]
        assert (cost["upstreamCalls"], cost["predictedCalls"], cost["predictedObjects"]) == (0, 1, objects)


async def test_an_operation_may_show_exactly_the_limit() -> None:
    for limit, refused in ((12, False), (11, True)):
        result = await run(conversation(), nest_pages(2, 2), schema=build_schema(max_objects=limit))
        assert bool(result.errors) is refused


async def test_a_mutation_that_shows_too_much_writes_nothing() -> None:
    api = conversation()
    shown = "thread { messages { nodes { id } } }"
    document = f'mutation {{ updateThread(input: {{ threadId: "thread_1", metadata: {{}} }}) {{ {shown} }} }}'
    (error,) = (await run(api, document, schema=build_schema(max_objects=20))).errors
    assert error.extensions["predictedObjects"] == 21
    assert api.calls == []


async def test_the_cost_is_reported_only_on_request() -> None:
    assert not (await run(conversation(), TWO_CALLS)).extensions
    report = (await run(conversation(), TWO_CALLS, reports_cost=True)).extensions["cost"]
    assert report.pop("upstreamMilliseconds") >= 0
    counts = {"upstreamCalls": 2, "cacheHits": 0, "sharedCalls": 0, "longestChain": 1}
    assert report.pop("responseBytes") > 100
    assert report == counts | {"predictedCalls": 2, "predictedObjects": 20, "shownObjects": 3}


async def test_a_refused_operation_reports_its_cost_too() -> None:
    document = '{ thread(id: "thread_1") { messages(first: 5) { nodes { run { status } } } } }'
    report = (await run(conversation(), document, reports_cost=True)).extensions["cost"]
    assert (report["upstreamCalls"], report["predictedCalls"]) == (0, 6)


async def test_without_a_context_no_budget_is_enforced() -> None:
    assert (await FIVE.execute("{ __typename }")).data == {"__typename": "Query"}


async def test_a_reported_prediction_is_stored_within_and_above_the_budget() -> None:
    for most, refused in ((2, False), (1, True)):
        context, error = Context(conversation(), reports_cost=True), None
        try:
            executor = build_core_executor(TWO_CALLS)
            enforce_budget(context, OperationBudget(max_calls=most), executor, find_bounds(context.limits, executor))
        except GraphQLError as raised:
            error = raised
        assert (context.predicted_calls, error is not None) == (2, refused)


SHARED = '{ a: thread(id: "thread_1") { metadata } b: thread(id: "thread_1") { metadata } }'


@pytest.mark.parametrize(("most", "is_predicted", "refused"), [(2, False, False), (1, True, False), (0, True, True)])
async def test_calls_are_predicted_only_if_the_upper_bound_is_above_the_limit(
    most: int, is_predicted: bool, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions: list[object] = []

    def counted(*arguments: Any) -> int:
        predictions.append(arguments)
        return predict_calls(*arguments)

    monkeypatch.setattr("schema.operations.operation_budget.predict_calls", counted)
    result = await run(conversation(), SHARED, schema=build_schema(max_upstream_calls=most))
    assert bool(predictions) is is_predicted
    assert bool(result.errors) is refused


def test_the_error_says_how_to_make_the_operation_cheaper() -> None:
    assert too_many_calls_error(7, 3).message.endswith("Ask for shorter pages, or for less below each object.")


@pytest.mark.parametrize(
    ("page", "variables", "found"),
    [
        ("first: 5", {}, 1),
        ("first: $size", {"size": 5}, 2),
        ("first: 5) @include(if: $shown", {"shown": True}, 2),
        ("first: 5, after: $cursor", {"cursor": None}, 2),
    ],
)
async def test_bounds_are_found_once_for_a_document_if_they_depend_on_no_variable(
    monkeypatch: pytest.MonkeyPatch, page: str, variables: dict[str, Any], found: int
) -> None:
    count = 0

    def counted(*arguments: Any) -> UpperBounds:
        nonlocal count
        count += 1
        return find_upper_bounds(*arguments)

    monkeypatch.setattr("schema.operations.operation_budget.find_upper_bounds", counted)
    types = {"size": "Int", "shown": "Boolean!", "cursor": "String"}
    declared = ", ".join(f"${name}: {types[name]}" for name in variables)
    document = f"query Q($id: ID!, {declared}) {{ thread(id: $id) {{ messages({page}) {{ nodes {{ id }} }} }} }}"
    for _ in range(2):
        context = Context(conversation())
        result = await SCHEMA.execute(document, {"id": "thread_1", **variables}, context)
        await context.aclose()
        assert (result.errors, context.predicted_objects) == (None, 5)
    assert count == found
