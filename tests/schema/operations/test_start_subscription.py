"""A subscription begins under the same limits as a query, and shares its selection with equal subscriptions."""

import logging
from typing import Any

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, to_global_id
from schema.contract.paging import PagingLimits
from schema.contract.run_events import StatusChange
from schema.root import build_schema
from tests.schema.builders import execute
from tests.schema.subscription_helpers import RUN, begin_subscription, refused_errors, render_event
from tests.support.fake_run_events import FakeRunEvents, run_event
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import run

FIXED = f'subscription {{ runStatus(runId: "{RUN}") {{ status }} }}'
OF_RUN = "subscription Watch($id: ID!) { runStatus(runId: $id) { status } }"
FROM_PLACE = "subscription ($id: ID!, $after: String) { runEvents(runId: $id, after: $after) { __typename %s } }"
TWO = OF_RUN + " query Other { __typename }"
OTHER_RUN = to_global_id(RunKey("thread_1", "run_2"))


async def test_the_feed_is_the_one_that_was_opened_for_it() -> None:
    events = FakeRunEvents()
    first, second = await begin_subscription(events, FIXED), await begin_subscription(events, FIXED)
    assert [first.feed, second.feed] == events.feeds
    event = events.push(StatusChange(run(status="queued")))
    assert first.feed.poll_event() is second.feed.poll_event() is event
    assert (
        await render_event(first, event)
        == await render_event(second, event)
        == {"data": {"runStatus": {"status": "QUEUED"}}}
    )


@pytest.mark.parametrize(
    ("document", "variables", "code"),
    [
        ("", {}, "GRAPHQL_PARSE_FAILED"),
        ("subscription {", {}, "GRAPHQL_PARSE_FAILED"),
        ("subscription { a " * 3_000, {}, "GRAPHQL_PARSE_FAILED"),
        ("{ a" * 1_900, {}, "GRAPHQL_PARSE_FAILED"),
        ("subscription { nonsense }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { __typename }", {}, "GRAPHQL_VALIDATION_FAILED"),
        (
            FIXED.replace("{ status }", "{ status }" + f' two: runStatus(runId: "{RUN}") {{ status }}'),
            {},
            "GRAPHQL_VALIDATION_FAILED",
        ),
        (FIXED.replace(") {", ") @skip(if: true) {"), {}, "GRAPHQL_VALIDATION_FAILED"),
        (FIXED.replace("status }", "run { thread { runs { nodes { thread { id } } } } } }"), {}, None),
        (OF_RUN, {}, "GRAPHQL_VALIDATION_FAILED"),
        (OF_RUN, {"id": None}, "GRAPHQL_VALIDATION_FAILED"),
        (OF_RUN, {"id": 1.5}, "GRAPHQL_VALIDATION_FAILED"),
        (TWO, {"id": RUN}, "GRAPHQL_VALIDATION_FAILED"),
        ("fragment F on Run { id }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("{ __typename }", {}, "BAD_USER_INPUT"),
        ("mutation { createThread(input: {}) { clientMutationId } }", {}, "BAD_USER_INPUT"),
    ],
)
async def test_a_subscription_is_refused_like_a_query(
    document: str, variables: dict[str, Any], code: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    events = FakeRunEvents()
    for _ in range(2):  # the second time the document may be cached
        if code is None:
            await begin_subscription(events, document, variables)
        else:
            errors = await refused_errors(events, document, variables)
            assert {error["extensions"]["code"] for error in errors} == {code}
            assert all(error["extensions"]["retryable"] is False for error in errors)
    assert bool(events.followed) is (code is None)
    assert caplog.records == []


async def test_the_limits_are_those_that_the_schema_was_built_with() -> None:
    deep = FIXED.replace("status }", "run { thread { metadata } } }")
    for schema, code in (
        (build_schema(max_depth=3), "4 fields deep; expected at most 3"),
        (build_schema(max_tokens=10), "more than 10 tokens"),
        (build_schema(max_upstream_calls=0), "1 upstream calls; expected at most 0"),
    ):
        (error,) = await refused_errors(FakeRunEvents(), deep, schema=schema)
        assert code in error["message"]


async def test_the_page_size_limit_is_that_of_each_context() -> None:
    schema = build_schema(max_upstream_calls=50)
    document = FIXED.replace("status }", "run { messages(first: 60) { nodes { assistant { name } } } } }")
    small = await begin_subscription(FakeRunEvents(), document, schema=schema, limits=PagingLimits(50))
    (error,) = await refused_errors(FakeRunEvents(), document, schema=schema)
    assert error["extensions"] == {"code": "TOO_EXPENSIVE", "retryable": False, "predictedCalls": 65, "limit": 50}
    assert small.selection_key in schema.event_selections


async def test_an_error_of_the_feed_has_its_path_and_location() -> None:
    events = FakeRunEvents()
    events.refuse = GatewayError(ErrorCode.NOT_FOUND, "No such run.", upstream_request_id="req_1")
    (error,) = await refused_errors(events, FIXED.replace("runStatus", "mine: runStatus"))
    assert (error["message"], error["path"]) == ("No such run.", ["mine"])
    assert error["extensions"] == {"code": "NOT_FOUND", "retryable": False, "upstreamRequestId": "req_1"}
    assert error["locations"] == [{"line": 1, "column": 16}]


async def test_an_unexpected_failure_is_masked_and_logged_under_its_id(caplog: pytest.LogCaptureFixture) -> None:
    events = FakeRunEvents()
    events.refuse = RuntimeError("broken with a secret")
    (error,) = await refused_errors(events, FIXED)
    assert "secret" not in str(error)
    assert error["extensions"]["code"] == "INTERNAL"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert error["extensions"]["errorId"] in record.message


async def test_a_document_is_validated_once_for_queries_and_subscriptions_alike() -> None:
    schema = build_schema()
    await begin_subscription(FakeRunEvents(), TWO, {"id": RUN}, schema=schema, operation_name="Watch")
    document = schema.documents.parse(TWO)
    await schema.execute(TWO, operation_name="Other")
    await begin_subscription(FakeRunEvents(), TWO, {"id": RUN}, schema=schema, operation_name="Watch")
    assert schema.documents.parse(TWO) is document


async def test_equal_subscriptions_share_one_selection() -> None:
    events = FakeRunEvents()
    same = [
        await begin_subscription(events, OF_RUN, {"id": RUN}),
        await begin_subscription(events, OF_RUN, {"id": RUN, "unused": 1}),
        await begin_subscription(events, OF_RUN, {"id": RUN}, operation_name="Watch"),
        await begin_subscription(events, OF_RUN, {"id": RUN}, resume_after="cursor-1"),
    ]
    assert len({one.selection_key for one in same}) == 1
    assert len({id(one.selection_key) for one in same}) == 1


async def test_different_subscriptions_have_different_selections() -> None:
    events = FakeRunEvents()
    if_asked = (
        "subscription ($id: ID!, $yes: Boolean = true) { runStatus(runId: $id) { status at @include(if: $yes) } }"
    )
    different = [
        await begin_subscription(events, OF_RUN, {"id": RUN}),
        await begin_subscription(events, OF_RUN, {"id": OTHER_RUN}),
        await begin_subscription(events, OF_RUN + " ", {"id": RUN}),
        await begin_subscription(events, if_asked, {"id": RUN}),
        await begin_subscription(events, if_asked, {"id": RUN, "yes": False}),
        await begin_subscription(events, OF_RUN, {"id": RUN}, limits=PagingLimits(5)),
    ]
    assert len({one.selection_key for one in different}) == len(different)


async def test_the_cursor_to_begin_after_is_not_part_of_the_selection() -> None:
    events = FakeRunEvents()
    document = FROM_PLACE % ""
    same = [
        await begin_subscription(events, document, {"id": RUN, "after": cursor})
        for cursor in ("cursor-1", "cursor-2", None)
    ]
    assert len({one.selection_key for one in same}) == 1
    assert [after for _, _, after in events.followed] == ["cursor-1", "cursor-2", None]


async def test_a_cursor_variable_with_another_use_is_part_of_the_selection() -> None:
    events = FakeRunEvents()
    elsewhere = "... on RunStatusChange { run { messages(first: 1, after: $after) { nodes { id } } } }"
    for document in (FROM_PLACE % elsewhere, FROM_PLACE % "...F" + f" fragment F on RunEvent {{ {elsewhere} }}"):
        different = [await begin_subscription(events, document, {"id": RUN, "after": cursor}) for cursor in ("a", "b")]
        assert len({one.selection_key for one in different}) == 2


async def test_each_subscription_is_rendered_with_its_own_variables() -> None:
    events = FakeRunEvents()
    first, second = [
        await begin_subscription(events, OF_RUN.replace("{ status }", "{ run { id } }"), {"id": id_})
        for id_ in (RUN, OTHER_RUN)
    ]
    assert first.selection_key != second.selection_key
    event = run_event(StatusChange(run("run_2")))
    assert (await render_event(second, event))["data"]["runStatus"]["run"]["id"] == OTHER_RUN


async def test_a_query_beside_a_subscription_is_still_a_query() -> None:
    assert (await execute(FakeThreadsApi(), "{ upstream { streaming } }")).data == {"upstream": {"streaming": True}}
