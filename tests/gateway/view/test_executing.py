import asyncio
from typing import Any

import orjson
import pytest
from graphql import DocumentNode, parse
from strawberry.types.graphql import OperationType

from gateway.auth.principal import Principal, Upstream
from gateway.view.executing import Executor
from gateway.view.requests import GraphQLRequest
from schema.context import Context
from schema.errors import GatewayError
from schema.root import build_schema
from schema.run_events import LaggedChange
from schema.subscribing import Subscribed
from tests.support.fake_run_events import FakeFeed, FakeRunEvents, run_event
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.following_ws_and_sse import STATUS, status

PRINCIPAL = Principal.of("Bearer x", Upstream("http://upstream.test"))


@pytest.fixture
def events() -> FakeRunEvents:
    return FakeRunEvents()


@pytest.fixture
def executor(events: FakeRunEvents) -> Executor:
    return Executor(build_schema(), lambda _: FakeThreadsApi(), lambda _: events)


async def test_a_document_without_an_operation_is_refused(executor: Executor) -> None:
    request = GraphQLRequest("fragment F on Query { __typename }")
    with pytest.raises(GatewayError, match="got none"):
        await executor.execute(executor.read(request), PRINCIPAL, {OperationType.QUERY})


async def test_an_event_is_rendered_as_json(executor: Executor, events: FakeRunEvents) -> None:
    subscribed = await executor.subscribe(executor.read(GraphQLRequest(STATUS)), PRINCIPAL)
    rendered = await executor.render(PRINCIPAL, subscribed, events.push(status("queued")))
    assert rendered == b'{"data":{"runStatus":{"status":"QUEUED"}}}'


async def test_a_rendering_that_fails_unexpectedly_is_masked(
    executor: Executor, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Subscribed):
        def __init__(self) -> None:
            self.feed = FakeFeed()

        async def render(self, event: object, context: Context) -> dict[str, Any]:
            raise ValueError("private detail")

    answer = orjson.loads(await executor.render(PRINCIPAL, Broken(), run_event(LaggedChange(skipped=1))))
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["errorId"] in caplog.text
    assert "private" not in str(answer)


async def test_a_subscription_that_is_cancelled_while_it_begins_leaves_its_feed(
    executor: Executor, events: FakeRunEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = asyncio.Event()

    async def slow_close(_: Context) -> None:
        closing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Context, "aclose", slow_close)
    beginning = asyncio.create_task(executor.subscribe(executor.read(GraphQLRequest(STATUS)), PRINCIPAL))
    await closing.wait()
    beginning.cancel()
    await asyncio.wait([beginning])
    assert beginning.cancelled()
    assert len(events.feeds) == 1
    assert events.open_feeds == []


async def test_a_request_is_read_once_however_often_it_is_looked_at(
    executor: Executor, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[str] = []

    def counted(text: str, **options: Any) -> DocumentNode:
        parsed.append(text)
        return parse(text, **options)

    monkeypatch.setattr("schema.documents.parse", counted)
    for query in ("{", "{ nonsense }", "query { upstream { version } } #" + "x" * 100_000):  # none of them is kept
        request = executor.read(GraphQLRequest(query))
        assert (request.ambiguity, request.is_subscription) == (None, False)
        await executor.execute(request, PRINCIPAL, {OperationType.QUERY})
        assert parsed.pop() == query
    assert parsed == []
