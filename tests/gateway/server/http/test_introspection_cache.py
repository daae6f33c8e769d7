"""Introspection is executed once for all callers."""

from typing import Any

import orjson
import pytest
from graphql import get_introspection_query
from strawberry.types.graphql import OperationType

from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.graphql_response import encode_json
from gateway.server.http.introspection_cache import MAX_RESPONSES
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner
from schema.operations.gateway_schema import GatewaySchema
from schema.root import build_schema
from tests.support.fake_threads_api import FakeThreadsApi

ONE_TYPE = "query ($name: String!) { __type(name: $name) { name } }"


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the text of each document that is executed."""
    texts: list[str] = []
    execute_document = GatewaySchema.execute_document

    async def counted(schema: GatewaySchema, document: Any, *arguments: Any, **options: Any) -> Any:
        texts.append(document.text)
        return await execute_document(schema, document, *arguments, **options)

    monkeypatch.setattr(GatewaySchema, "execute_document", counted)
    return texts


@pytest.fixture
def runner() -> OperationRunner:
    return OperationRunner(build_schema(), OperationContexts(lambda _: FakeThreadsApi()))


async def ask(
    runner: OperationRunner, text: str, caller: str, variables: Any = None, *, report_cost: bool = False
) -> Any:
    principal = Principal.from_credential(f"Bearer {caller}", UpstreamIdentity("http://upstream.test"))
    request = await runner.parse_request(GraphQLRequest(text, variables=variables), principal)
    result = await runner.execute(request, principal, {OperationType.QUERY}, report_cost=report_cost)
    assert result.errors is None
    return orjson.loads(encode_json({"data": result.data}))["data"]


async def test_all_callers_share_one_execution(runner: OperationRunner, executed: list[str]) -> None:
    answers = [await ask(runner, get_introspection_query(), caller) for caller in ("a", "b", "c")]
    assert answers[0]["__schema"]["types"]
    assert answers == answers[:1] * 3
    assert len(executed) == 1


async def test_variables_are_told_apart(runner: OperationRunner, executed: list[str]) -> None:
    for _ in range(2):
        for name in ("Run", "Thread"):
            assert await ask(runner, ONE_TYPE, "a", {"name": name}) == {"__type": {"name": name}}
    assert len(executed) == 2


async def test_a_reported_cost_is_that_of_an_execution(runner: OperationRunner, executed: list[str]) -> None:
    for _ in range(2):
        await ask(runner, ONE_TYPE, "a", {"name": "Run"}, report_cost=True)
    assert len(executed) == 2


async def test_the_least_recently_used_response_is_dropped(runner: OperationRunner, executed: list[str]) -> None:
    await ask(runner, ONE_TYPE, "a", {"name": "Run"})
    for number in range(MAX_RESPONSES - 1):
        await ask(runner, ONE_TYPE, "a", {"name": f"T{number}"})
    await ask(runner, ONE_TYPE, "a", {"name": "Run"})
    assert len(executed) == MAX_RESPONSES
    await ask(runner, ONE_TYPE, "a", {"name": "one more"})
    await ask(runner, ONE_TYPE, "a", {"name": "Run"})
    assert len(executed) == MAX_RESPONSES + 1
    await ask(runner, ONE_TYPE, "a", {"name": "T0"})
    assert len(executed) == MAX_RESPONSES + 2
