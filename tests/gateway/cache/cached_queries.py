"""Queries over the cache, run as the HTTP endpoint runs them, for tests of the response cache."""

from collections.abc import Callable, Mapping
from typing import Any

from strawberry.types.graphql import OperationType

from gateway.cache.shared_cache import SharedCache
from gateway.identity.principal import Principal
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.http.graphql_response import encode_json, result_body
from gateway.server.http.operation_contexts import OperationContexts
from gateway.server.http.operation_runner import OperationRunner
from schema.contract.content_urls import ContentUrls
from schema.contract.paging import PagingLimits
from schema.contract.ports import ResponseKey, ThreadsApi
from schema.contract.viewer import ViewerApi
from schema.operations.gateway_schema import GatewaySchema
from tests.gateway.cache.upstream import Upstream, cached
from tests.support.fake_threads_api import V1, FakeThreadsApi


def response_key(text: str = "{ __typename }", variables: bytes = b"{}", name: str | None = None) -> ResponseKey:
    """Return a response key with this text, variables and operation name, equal in all other parts."""
    return ResponseKey("schema", text, name, variables, PagingLimits(), V1)


def operation_runner(
    schema: GatewaySchema,
    upstream: Callable[[str], FakeThreadsApi],
    shared: SharedCache | None = None,
    viewer: ViewerApi | None = None,
    content_urls: ContentUrls | None = None,
) -> OperationRunner:
    """Return a runner of operations, each over its principal's upstream; without `shared`, it has no cache.

    `viewer` is the viewer of all principals, and `content_urls` makes the addresses of files for all of them.
    """

    def bind(principal: Principal) -> ThreadsApi:
        inner = upstream(principal.digest)
        return inner if shared is None else cached(inner, shared, principal.digest)

    return OperationRunner(
        schema,
        OperationContexts(
            bind,
            bind_viewer=None if viewer is None else lambda _, __: viewer,
            bind_content_urls=None if content_urls is None else lambda _: content_urls,
        ),
    )


async def run_query(
    runner: OperationRunner,
    query: str,
    variables: Mapping[str, Any] | None = None,
    *,
    owner: str = "ann",
    name: str | None = None,
    allowed: frozenset[OperationType] = frozenset({OperationType.QUERY, OperationType.MUTATION}),
    report_cost: bool = False,
) -> bytes:
    """Run an operation, and return the response body as it is sent."""
    principal = Principal(None, owner)
    request = await runner.parse_request(GraphQLRequest(query, name, variables), principal)
    result = await runner.execute(request, principal, set(allowed), report_cost=report_cost)
    return encode_json(result_body(result).body)


class ExecutionCounter:
    """An upstream, and the number of operations that were executed over it."""

    def __init__(self, monkeypatch: Any) -> None:
        self.upstream = Upstream()
        self.executed = 0
        execute = GatewaySchema.execute_document

        async def count_and_execute(schema: Any, *arguments: Any, **named: Any) -> Any:
            self.executed += 1
            return await execute(schema, *arguments, **named)

        monkeypatch.setattr(GatewaySchema, "execute_document", count_and_execute)
