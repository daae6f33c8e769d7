"""Queries over the cache as the view runs them, for tests of what is given again."""

from collections.abc import Callable, Mapping
from typing import Any

from strawberry.types.graphql import OperationType

from gateway.cache.shared_cache import SharedCache
from gateway.identity.principal import Principal
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.graphql_response import encode_json, result_body
from gateway.server.http.operation_runner import OperationRunner
from schema.contract.paging import PagingLimits
from schema.contract.ports import ResponseKey, ThreadsApi
from schema.operations.gateway_schema import GatewaySchema
from tests.gateway.cache.upstream import Upstream, cached
from tests.support.fake_threads_api import V1, FakeThreadsApi


def question(text: str = "{ __typename }", variables: bytes = b"{}", name: str | None = None) -> ResponseKey:
    """A question that differs from others by its text, its variables and its name."""
    return ResponseKey("schema", text, name, variables, PagingLimits(), V1)


def executor(
    schema: GatewaySchema, upstream: Callable[[str], FakeThreadsApi], shared: SharedCache | None = None
) -> OperationRunner:
    """Runs operations, each over its principal's upstream; without a cache where none is given."""

    def bind(principal: Principal) -> ThreadsApi:
        inner = upstream(principal.digest)
        return inner if shared is None else cached(inner, shared, principal.digest)

    return OperationRunner(schema, bind)


async def ask(
    executor: OperationRunner,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    owner: str = "ann",
    name: str | None = None,
    allowed: frozenset[OperationType] = frozenset({OperationType.QUERY, OperationType.MUTATION}),
    report_cost: bool = False,
) -> bytes:
    """The answer as it is sent."""
    request = executor.read(GraphQLRequest(query, name, variables))
    result = await executor.execute(request, Principal(None, owner), set(allowed), report_cost=report_cost)
    return encode_json(result_body(result).body)


class Counting:
    """An upstream, and how many operations were executed over it."""

    def __init__(self, monkeypatch: Any) -> None:
        self.upstream = Upstream()
        self.executed = 0
        execute = GatewaySchema.execute_document

        async def counted(schema: Any, *arguments: Any, **named: Any) -> Any:
            self.executed += 1
            return await execute(schema, *arguments, **named)

        monkeypatch.setattr(GatewaySchema, "execute_document", counted)
