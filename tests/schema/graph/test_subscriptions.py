"""The subscription fields, executed by plain GraphQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from inspect import isawaitable
from typing import Any

import pytest
from graphql import parse
from graphql import subscribe as graphql_subscribe

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey, to_global_id
from schema.contract.run_events import FaultChange, LaggedChange, MessageCreatedChange, Provenance, StatusChange
from schema.engine.context import Context
from schema.root import build_schema
from tests.schema.builders import SCHEMA, called_functions, conversation, run_ready_tasks
from tests.schema.subscription_helpers import RUN, RUN_KEY, THREAD_KEY, begin_subscription, refused_errors
from tests.support.fake_run_events import FakeRunEvents
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import message, run, thread

CORE: Any = SCHEMA._schema
STATUS = f'subscription {{ runStatus(runId: "{RUN}") {{ status }} }}'
DEEP = f'subscription {{ runStatus(runId: "{RUN}") {{ run {{ thread {{ metadata }} }} }} }}'


class PlainSubscription:
    """The results of a plain GraphQL subscription. The next result is always requested ahead."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._next = asyncio.ensure_future(anext(stream))

    async def result(self) -> Any:
        result = await self._next
        self._next = asyncio.ensure_future(anext(self._stream))
        return result

    async def aclose(self) -> None:
        self._next.cancel()
        await asyncio.gather(self._next, return_exceptions=True)
        await self._stream.aclose()


@asynccontextmanager
async def plain_subscription(
    events: FakeRunEvents, document: str, api: FakeThreadsApi | None = None
) -> AsyncIterator[PlainSubscription]:
    context = Context(api or FakeThreadsApi(), events=events)
    stream: Any = graphql_subscribe(
        CORE, parse(document), context_value=context, executor_class=SCHEMA.execution_context_class
    )
    running = PlainSubscription(await stream if isawaitable(stream) else stream)
    try:
        await run_ready_tasks()
        async with asyncio.timeout(10):
            yield running
    finally:
        await running.aclose()
        await context.aclose()


async def test_each_event_is_one_result_and_the_end_is_the_end() -> None:
    events = FakeRunEvents()
    async with plain_subscription(events, STATUS) as running:
        await events.first_follow.wait()
        for change in (StatusChange(run(status="queued")), StatusChange(run(status="completed"), "queued")):
            events.push(change)
            assert (await running.result()).data == {"runStatus": {"status": change.run.status.upper()}}
        events.end()
        with pytest.raises(StopAsyncIteration):
            await running.result()
    assert events.open_feeds == []


async def test_closing_the_subscription_closes_the_feed() -> None:
    events = FakeRunEvents()
    async with plain_subscription(events, STATUS):
        await events.first_follow.wait()
        assert len(events.open_feeds) == 1
    assert events.open_feeds == []


async def test_each_event_loads_its_data_anew() -> None:
    events, api = FakeRunEvents(), conversation()
    async with plain_subscription(events, DEEP, api) as running:
        await events.first_follow.wait()
        for topic in ("tea", "coffee"):
            api.threads[THREAD_KEY] = thread(metadata={"topic": topic})
            events.push(StatusChange(run()))
            assert (await running.result()).data["runStatus"]["run"]["thread"] == {"metadata": {"topic": topic}}
    assert called_functions(api) == ["get_threads", "get_threads"]


async def test_a_failing_feed_ends_with_a_public_error() -> None:
    events = FakeRunEvents()
    async with plain_subscription(events, STATUS) as running:
        await events.first_follow.wait()
        events.fail(GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "Gone."))
        with pytest.raises(GatewayError, match="Gone") as failed:
            await running.result()
    assert failed.value.code is ErrorCode.UPSTREAM_UNREACHABLE


@pytest.mark.parametrize(
    ("document", "code"),
    [
        ("subscription {", "GRAPHQL_PARSE_FAILED"),
        ("subscription { nonsense }", "GRAPHQL_VALIDATION_FAILED"),
        ('subscription { runStatus(runId: "run_1") { status } }', "BAD_USER_INPUT"),
        (DEEP, "TOO_EXPENSIVE"),
    ],
)
async def test_a_subscription_has_the_limits_of_a_query(document: str, code: str) -> None:
    events = FakeRunEvents()
    errors = await refused_errors(events, document, schema=build_schema(max_upstream_calls=0))
    assert [error["extensions"]["code"] for error in errors] == [code]
    assert events.followed == []


@pytest.mark.parametrize(
    ("field", "what", "key"),
    [
        (f'runStatus(runId: "{RUN}")', "status", RUN_KEY),
        (f'runEvents(runId: "{RUN}")', "run", RUN_KEY),
        ('threadEvents(threadId: "thread_1")', "thread", THREAD_KEY),
        (f'threadEvents(threadId: "{to_global_id(THREAD_KEY)}")', "thread", THREAD_KEY),
    ],
)
async def test_each_subscription_field_opens_the_feed_of_its_argument(
    field: str, what: str, key: RunKey | ThreadKey
) -> None:
    events = FakeRunEvents()
    await begin_subscription(events, f"subscription {{ {field} {{ __typename }} }}")
    assert events.followed == [(what, key, None)]


@pytest.mark.parametrize(
    "field", [f'runEvents(runId: "{RUN}", after: $after)', 'threadEvents(threadId: "thread_1", after: $after)']
)
async def test_a_subscription_begins_after_its_cursor(field: str) -> None:
    events = FakeRunEvents()
    document = f"subscription ($after: String) {{ {field} {{ __typename }} }}"
    await begin_subscription(events, document, {"after": "cursor-3"})
    await begin_subscription(events, document, {"after": None})
    await begin_subscription(events, document)
    assert [after for _, _, after in events.followed] == ["cursor-3", None, None]


@pytest.mark.parametrize(
    "field",
    [
        f'runStatus(runId: "{RUN}")',
        f'runEvents(runId: "{RUN}", after: "cursor-3")',
        'threadEvents(threadId: "thread_1", after: "cursor-3")',
    ],
)
async def test_the_cursor_of_the_transport_overrides_the_one_in_the_document(field: str) -> None:
    events = FakeRunEvents()
    await begin_subscription(events, f"subscription {{ {field} {{ __typename }} }}", resume_after="cursor-9")
    assert [after for _, _, after in events.followed] == ["cursor-9"]


async def test_a_thread_sends_messages_runs_and_skipped_events() -> None:
    events = FakeRunEvents()
    parts = "... on MessageCreated { message { text } } ... on RunStatusChange { run { upstreamId } provenance }"
    faults = "... on StreamError { code } ... on Lagged { skipped }"
    document = f'subscription {{ threadEvents(threadId: "thread_1") {{ {parts} {faults} }} }}'
    shown = []
    async with plain_subscription(events, document) as running:
        await events.first_follow.wait()
        for change in (
            FaultChange("CURSOR_EXPIRED", "Too old."),
            MessageCreatedChange(message()),
            StatusChange(run("run_7")),
            LaggedChange(3),
        ):
            events.push(change, Provenance.POLLED)
            shown.append((await running.result()).data["threadEvents"])
    assert shown == [
        {"code": "CURSOR_EXPIRED"},
        {"message": {"text": ""}},
        {"run": {"upstreamId": "run_7"}, "provenance": "POLLED"},
        {"skipped": 3},
    ]


@pytest.mark.parametrize(
    ("field", "argument"),
    [
        ('runStatus(runId: "run_1")', "runId"),
        ('runEvents(runId: "thread_1")', "runId"),
        (f'runEvents(runId: "{to_global_id(THREAD_KEY)}")', "runId"),
        (f'threadEvents(threadId: "{RUN}")', "threadId"),
    ],
)
async def test_an_id_that_does_not_say_which_object_is_refused(field: str, argument: str) -> None:
    events = FakeRunEvents()
    (error,) = await refused_errors(events, f"subscription {{ {field} {{ __typename }} }}")
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", argument)
    assert events.followed == []


async def test_an_id_that_the_upstream_refuses_is_reported_by_the_graphql_argument() -> None:
    events = FakeRunEvents()
    events.refuse = GatewayError(ErrorCode.BAD_USER_INPUT, "Bad id.", argument="run_id")
    (error,) = await refused_errors(events, STATUS)
    assert (error["message"], error["extensions"]["argument"]) == ("Argument 'runId': Bad id.", "runId")


async def test_a_subscription_without_an_event_source_is_an_error() -> None:
    (error,) = await refused_errors(None, STATUS)
    assert error["message"] == "Subscriptions are not served here."
    assert error["extensions"] == {"code": "UNSUPPORTED_BY_UPSTREAM", "retryable": False}
    assert error["path"] == ["runStatus"]
