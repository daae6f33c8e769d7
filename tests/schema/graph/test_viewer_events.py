"""`viewerEvents`: the changes of the caller's list, rendered from the viewer's log."""

from typing import Any

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey, to_global_id
from schema.contract.run_events import (
    Change,
    FaultChange,
    LaggedChange,
    StatusChange,
    StepChange,
    ThreadChange,
    ThreadRemovedChange,
)
from schema.contract.thread_records import ThreadRecord
from schema.engine.context import Context
from schema.graph.viewer_events import viewer_event_from_log
from schema.operations.start_subscription import StartedSubscription, SubscriptionRefusedError, start_subscription
from tests.schema.builders import SCHEMA, conversation
from tests.support.fake_run_events import run_event
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.wire_samples import run, run_step

EVENTS = """subscription ($after: String) { viewerEvents(after: $after) {
  __typename
  ... on RunLogEvent { cursor }
  ... on ThreadChanged { thread { upstreamId title isArchived } }
  ... on ThreadRemoved { deletedId }
  ... on RunStatusChange { status previous run { upstreamId thread { upstreamId title } } }
  ... on StreamError { code }
  ... on Lagged { skipped }
} }"""
TEA = ThreadRecord("thread_1", 1, 2, "Tea")


async def begin(
    viewer: FakeViewerApi | None, query: str = EVENTS, after: str | None = None, resume_after: str | None = None
) -> StartedSubscription:
    context = Context(FakeThreadsApi(), resume_after=resume_after, viewer=viewer)
    document = SCHEMA.documents.parse(query)
    try:
        return await start_subscription(
            SCHEMA, document, variables={"after": after} if after else {}, operation_name=None, context=context
        )
    finally:
        await context.aclose()


async def render(change: Change, viewer: FakeViewerApi, api: FakeThreadsApi | None = None, query: str = EVENTS) -> Any:
    subscribed = await begin(viewer, query)
    context = Context(api or FakeThreadsApi(), viewer=viewer)
    try:
        return await subscribed.render(run_event(change), context)
    finally:
        await context.aclose()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            ThreadChange("thread_1", TEA),
            {
                "__typename": "ThreadChanged",
                "thread": {"upstreamId": "thread_1", "title": "Tea", "isArchived": False},
            },
        ),
        (
            ThreadRemovedChange("thread_1"),
            {"__typename": "ThreadRemoved", "deletedId": to_global_id(ThreadKey("thread_1"))},
        ),
        (
            StatusChange(run(status="requires_action", thread_id="thread_1"), "in_progress"),
            {
                "__typename": "RunStatusChange",
                "status": "REQUIRES_ACTION",
                "previous": "IN_PROGRESS",
                "run": {"upstreamId": "run_1", "thread": {"upstreamId": "thread_1", "title": "Kept"}},
            },
        ),
        (FaultChange("CURSOR_EXPIRED", "Why."), {"__typename": "StreamError", "code": "CURSOR_EXPIRED"}),
        (LaggedChange(3), {"__typename": "Lagged", "skipped": 3}),
    ],
)
async def test_each_change_becomes_its_event_without_an_upstream_call(change: Change, expected: dict[str, Any]) -> None:
    viewer, api = FakeViewerApi(), FakeThreadsApi()
    viewer.add("thread_1", 1, title="Kept")
    response = await render(change, viewer, api)
    assert response == {"data": {"viewerEvents": {**expected, "cursor": "cursor-1"}}}
    assert api.calls == []
    assert len(viewer.called("get_records")) == (1 if isinstance(change, StatusChange) else 0)


async def test_a_change_without_its_record_reads_it() -> None:
    viewer = FakeViewerApi()
    viewer.add("thread_1", 1, title="Kept")
    response = await render(ThreadChange("thread_1"), viewer)
    assert response["data"]["viewerEvents"]["thread"]["title"] == "Kept"
    assert viewer.called("get_records") == [[ThreadKey("thread_1")]]


ALL_OF_IT = (
    "subscription { viewerEvents { ... on ThreadChanged { thread { title createdAt messages { nodes { text } } } } } }"
)


async def test_upstream_fields_of_a_changed_thread_are_read_for_the_event() -> None:
    api = conversation(1)
    response = await render(ThreadChange("thread_1", TEA), FakeViewerApi(), api, ALL_OF_IT)
    assert "errors" not in response
    assert response["data"]["viewerEvents"]["thread"]["messages"] == {"nodes": [{"text": "number 1"}]}
    assert sorted(name for name, _ in api.calls) == ["get_threads", "list_messages"]


async def test_a_changed_thread_that_cannot_be_read_keeps_its_record() -> None:
    response = await render(ThreadChange("thread_1", TEA), FakeViewerApi(), FakeThreadsApi(), ALL_OF_IT)
    assert response["data"]["viewerEvents"]["thread"] == {"title": "Tea", "createdAt": None, "messages": None}
    assert {error["extensions"]["code"] for error in response["errors"]} == {"NOT_FOUND"}


async def test_a_subscription_goes_on_after_the_cursor_of_the_transport_or_of_the_argument() -> None:
    viewer = FakeViewerApi()
    await begin(viewer)
    await begin(viewer, after="cursor-4")
    await begin(viewer, after="cursor-4", resume_after="cursor-9")
    assert viewer.called("follow") == [None, "cursor-4", "cursor-9"]


async def test_subscriptions_of_all_viewers_share_one_selection() -> None:
    first, second = await begin(FakeViewerApi()), await begin(FakeViewerApi(), after="cursor-4")
    assert first.selection_key == second.selection_key


@pytest.mark.parametrize(
    ("viewer", "code"),
    [
        (None, "UNAUTHENTICATED"),
        (FakeViewerApi(keeps_records=False), "UNSUPPORTED"),
        (FakeViewerApi(is_away=True), "LEDGER_UNAVAILABLE"),
    ],
)
async def test_a_subscription_is_refused_where_there_is_no_list(viewer: FakeViewerApi | None, code: str) -> None:
    with pytest.raises(SubscriptionRefusedError) as refused:
        await begin(viewer)
    assert [error["extensions"]["code"] for error in refused.value.errors] == [code]


async def test_a_cursor_that_is_refused_is_an_error() -> None:
    viewer = FakeViewerApi()
    viewer.events.refuse = GatewayError(ErrorCode.BAD_USER_INPUT, "No cursor.", argument="after")
    with pytest.raises(SubscriptionRefusedError, match=r"No cursor\."):
        await begin(viewer, after="x")


@pytest.mark.parametrize("change", [StepChange(run_step()), StatusChange(run(thread_id=None))])
def test_no_other_change_stands_in_the_log_of_a_viewer(change: Change) -> None:
    with pytest.raises(TypeError, match="expected a change of a viewer's list"):
        viewer_event_from_log(run_event(change))
