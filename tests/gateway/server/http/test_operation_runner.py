import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import orjson
import pytest
from graphql import DocumentNode
from strawberry.schema.exceptions import InvalidOperationTypeError
from strawberry.types.graphql import OperationType

from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner
from schema.contract.encoded_json import to_pieces
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_events import LaggedChange
from schema.engine.context import Context
from schema.engine.parsing import parse_document
from schema.operations.start_subscription import StartedSubscription
from schema.root import build_schema
from tests.gateway.cache.cached_queries import ExecutionCounter, operation_runner, run_query
from tests.gateway.cache.processes import Clock, processes
from tests.gateway.cache.upstream import ENDED, THREAD, T
from tests.support.fake_content_urls import FakeContentUrls
from tests.support.fake_run_events import FakeFeed, FakeRunEvents, run_event
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.subscription_gateway import STATUS, status

PRINCIPAL = Principal.from_credential("Bearer x", UpstreamIdentity("http://upstream.test"))


RUN = "query Named($id: ID!) { thread(id: $id) { metadata } }"
BY_NUMBER = "query ($n: Int = 3, $on: Boolean = true) { assistants(first: $n) { nodes { name @include(if: $on) } } }"


@pytest.fixture
def events() -> FakeRunEvents:
    return FakeRunEvents()


@pytest.fixture
def runner(events: FakeRunEvents) -> OperationRunner:
    return OperationRunner(build_schema(), OperationContexts(lambda _: FakeThreadsApi(), lambda _: events))


async def test_a_document_without_an_operation_is_refused(runner: OperationRunner) -> None:
    request = GraphQLRequest("fragment F on Query { __typename }")
    with pytest.raises(GatewayError, match="got none"):
        await runner.execute(await runner.parse_request(request, PRINCIPAL), PRINCIPAL, {OperationType.QUERY})


async def test_an_event_is_rendered_as_json(runner: OperationRunner, events: FakeRunEvents) -> None:
    started = await runner.subscribe(await runner.parse_request(GraphQLRequest(STATUS), PRINCIPAL), PRINCIPAL)
    rendered = await runner.render_event(PRINCIPAL, started, events.push(status("queued")))
    assert rendered == b'{"data":{"runStatus":{"status":"QUEUED"}}}'


async def test_an_unexpected_exception_of_a_rendering_is_masked(
    runner: OperationRunner, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(StartedSubscription):
        def __init__(self) -> None:
            self.feed = FakeFeed()

        async def render(self, event: object, context: Context) -> dict[str, Any]:
            raise ValueError("private detail")

    rendered = await runner.render_event(PRINCIPAL, Broken(), run_event(LaggedChange(skipped=1)))
    answer = orjson.loads(b"".join(to_pieces(rendered)))
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["errorId"] in caplog.text
    assert "private" not in str(answer)


async def test_a_subscription_that_is_cancelled_while_it_starts_closes_its_feed(
    runner: OperationRunner, events: FakeRunEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    closing = asyncio.Event()

    async def slow_close(_: Context) -> None:
        closing.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Context, "aclose", slow_close)
    beginning = asyncio.create_task(
        runner.subscribe(await runner.parse_request(GraphQLRequest(STATUS), PRINCIPAL), PRINCIPAL)
    )
    await closing.wait()
    beginning.cancel()
    await asyncio.wait([beginning])
    assert beginning.cancelled()
    assert len(events.feeds) == 1
    assert events.open_feeds == []


async def test_a_document_is_parsed_once_for_all_uses(runner: OperationRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []

    def counted(text: str, **options: Any) -> DocumentNode:
        parsed.append(text)
        return parse_document(text, **options)

    monkeypatch.setattr("schema.engine.documents.parse_document", counted)
    for query in ("{", "{ nonsense }", "query { upstream { version } } #" + "x" * 50_000):  # none of them is cached
        request = await runner.parse_request(GraphQLRequest(query), PRINCIPAL)
        assert (request.ambiguity_error, request.is_subscription) == (None, False)
        await runner.execute(request, PRINCIPAL, {OperationType.QUERY})
        assert parsed.pop() == query
    assert parsed == []


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> ExecutionCounter:
    return ExecutionCounter(monkeypatch)


@pytest.fixture
async def caching(counting: ExecutionCounter) -> AsyncIterator[OperationRunner]:
    """A runner over its own cache."""
    async with processes(1, None) as (shared,):
        yield operation_runner(build_schema(), lambda _: counting.upstream, shared)


async def test_a_repeated_query_gets_the_same_response_without_an_execution(
    caching: OperationRunner, counting: ExecutionCounter
) -> None:
    answers = [await run_query(caching, RUN, {"id": T}) for _ in range(3)]
    assert answers == [b'{"data":{"thread":{"metadata":{"owner":"anybody"}}}}'] * 3
    assert (counting.executed, len(counting.upstream.calls)) == (1, 1)


async def test_a_repeated_query_without_upstream_calls_is_not_executed(
    caching: OperationRunner, counting: ExecutionCounter
) -> None:
    query = "{ upstream { version } __schema { queryType { name } } }"
    assert await run_query(caching, query) == await run_query(caching, query)
    assert counting.executed == 1


async def test_another_principal_document_operation_or_variable_is_another_key(
    caching: OperationRunner, counting: ExecutionCounter
) -> None:
    await run_query(caching, RUN, {"id": T})
    await run_query(caching, RUN, {"id": T}, owner="bob")
    await run_query(caching, RUN, {"id": "thread_2"})
    await run_query(caching, RUN + " ", {"id": T})
    await run_query(caching, RUN, {"id": T}, name="Named")
    assert counting.executed == 5


async def test_variables_are_compared_as_json_regardless_of_their_order(
    caching: OperationRunner, counting: ExecutionCounter
) -> None:
    unlike: list[dict[str, Any]] = [{"n": 1}, {"n": 1.0}, {"n": None}, {}, {"n": 1, "on": True}]
    for variables in unlike:
        assert b"errors" not in await run_query(caching, BY_NUMBER, variables)
    assert counting.executed == 5
    for alike in ({"on": True, "n": 1}, None):
        await run_query(caching, BY_NUMBER, alike)
    assert counting.executed == 5
    for like_one in (True, "1"):
        assert b"errors" in await run_query(caching, BY_NUMBER, {"n": like_one})


async def test_mutations_invalid_documents_and_failed_queries_are_executed_each_time(
    caching: OperationRunner, counting: ExecutionCounter
) -> None:
    counting.upstream.fails(ENDED)
    mutation = """mutation { updateThread(input: {threadId: "thread_1", metadata: {}}) { userErrors { code } } }"""
    refused = 'query ($n: Int) { thread(id: "no thread") { metadata } }'
    failing = '{ threadsByIds(ids: ["thread_1"]) { runs { nodes { status } } metadata } assistant(id: "?") { name } }'
    for query in (mutation, "{ nonsense }", refused, failing, "{"):
        executed = counting.executed
        first, second = [await run_query(caching, query) for _ in range(2)]
        assert first == second
        assert counting.executed == executed + 2


@pytest.mark.parametrize("variables", [{"more": "\ud800"}, {"more": 2**70}])
async def test_variables_that_cannot_be_encoded_have_no_key(
    caching: OperationRunner, counting: ExecutionCounter, variables: dict[str, Any]
) -> None:
    for _ in range(2):
        assert b"owner" in await run_query(caching, RUN, {"id": T, **variables})
    assert counting.executed == 2


async def test_data_that_orjson_refuses_is_not_stored(caching: OperationRunner, counting: ExecutionCounter) -> None:
    half = msgspec.structs.replace(counting.upstream.threads[THREAD], metadata={"half": "\ud800"})
    counting.upstream.threads[THREAD] = half
    for _ in range(2):
        response = json.loads(await run_query(caching, RUN, {"id": T}))
        assert response == {"data": {"thread": {"metadata": {"half": "\ud800"}}}}
    assert counting.executed == 2


async def test_a_cached_response_is_not_used_where_no_query_is_allowed(caching: OperationRunner) -> None:
    await run_query(caching, RUN, {"id": T})
    with pytest.raises(InvalidOperationTypeError):
        await run_query(caching, RUN, {"id": T}, allowed=frozenset({OperationType.MUTATION}))


@pytest.mark.parametrize(
    "selection",
    [
        "viewer { id }",
        "viewer { threads { nodes { id } } }",
        'thread(id: "%s") { metadata title }',
        'thread(id: "%s") { messages { nodes { thread { isArchived } } } }',
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
async def test_a_response_that_shows_what_the_gateway_keeps_is_never_stored(
    counting: ExecutionCounter, selection: str, is_known: bool
) -> None:
    viewer = FakeViewerApi()
    viewer.add(T, 1, title="Old")
    document = f"{{ {selection.replace('%s', T)} }}"
    async with processes(1, None) as (shared,):
        runner = operation_runner(
            build_schema(), lambda _: counting.upstream, shared, viewer=viewer if is_known else None
        )
        first = await run_query(runner, document)
        assert b"errors" not in first
        assert await run_query(runner, document) == first
    assert counting.executed == 2


@pytest.mark.parametrize(("selection", "executed"), [("filename", 1), ("filename contentUrl", 2)])
async def test_a_response_that_shows_an_address_is_never_stored(
    counting: ExecutionCounter, selection: str, executed: int
) -> None:
    urls = FakeContentUrls()
    async with processes(1, None) as (shared,):
        runner = operation_runner(build_schema(), lambda _: counting.upstream, shared, content_urls=urls)
        for _ in range(2):
            response = await run_query(runner, f'{{ file(id: "file-1") {{ {selection} }} }}')
            assert (b"https://gateway.example/files/file-1" in response) is ("contentUrl" in selection)
    assert counting.executed == executed
    assert len(counting.upstream.calls) == 1


async def test_a_changed_title_shows_at_once(counting: ExecutionCounter) -> None:
    viewer = FakeViewerApi()
    viewer.add(T, 1, title="Old")
    document = f'{{ thread(id: "{T}") {{ metadata title }} }}'
    async with processes(1, None) as (shared,):
        runner = operation_runner(build_schema(), lambda _: counting.upstream, shared, viewer=viewer)
        assert b'"title":"Old"' in await run_query(runner, document)
        viewer.add(T, 1, title="New")
        assert b'"title":"New"' in await run_query(runner, document)
    assert len(counting.upstream.calls) == 1


async def test_a_reported_cost_is_that_of_an_execution(caching: OperationRunner, counting: ExecutionCounter) -> None:
    costs = [orjson.loads(await run_query(caching, RUN, {"id": T}, report_cost=True)) for _ in range(2)]
    assert [cost["extensions"]["cost"]["cacheHits"] for cost in costs] == [0, 1]
    await run_query(caching, RUN, {"id": T})
    assert counting.executed == 3
    await run_query(caching, RUN, {"id": T}, report_cost=True)
    assert counting.executed == 4


async def test_a_stale_response_is_not_stored(counting: ExecutionCounter) -> None:
    clock = Clock()
    async with processes(1, None, clock) as (shared,):
        caching = operation_runner(build_schema(), lambda _: counting.upstream, shared)
        fresh = await run_query(caching, RUN, {"id": T})
        clock.now += 61
        counting.upstream.fails(THREAD)
        for _ in range(2):
            assert orjson.loads(await run_query(caching, RUN, {"id": T})) == {
                **orjson.loads(fresh),
                "extensions": {"staleAnswers": 1},
            }
        counting.upstream.fails()
        assert await run_query(caching, RUN, {"id": T}) == fresh
    assert counting.executed == 4


async def test_a_mutation_over_the_same_cache_invalidates_the_response(
    caching: OperationRunner, counting: ExecutionCounter
) -> None:
    await run_query(caching, RUN, {"id": T})
    mutation = (
        'mutation { updateThread(input: {threadId: "thread_1", metadata: {seen: "yes"}}) { userErrors { code } } }'
    )
    written = await run_query(caching, mutation)
    assert b'"userErrors":[]' in written
    assert await run_query(caching, RUN, {"id": T}) == b'{"data":{"thread":{"metadata":{"seen":"yes"}}}}'
    assert counting.executed == 3


async def test_a_schema_with_other_limits_shares_no_response(counting: ExecutionCounter) -> None:
    async with processes(1, None) as (shared,):
        for calls in (10, 0):
            caching = operation_runner(build_schema(max_upstream_calls=calls), lambda _: counting.upstream, shared)
            answer = await run_query(caching, RUN, {"id": T})
    assert ErrorCode.TOO_EXPENSIVE in answer.decode()
