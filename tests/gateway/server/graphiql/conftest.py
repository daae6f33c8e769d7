"""A tiny GraphQL server on the gateway's sockets, with the GraphiQL page, and two example operations."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import strawberry
from aiohttp import web
from strawberry.aiohttp.views import GraphQLView

from gateway.server.app import listening
from gateway.server.graphiql.routes import Site, graphiql_response, graphiql_routes, load_site


@strawberry.type
class Query:
    @strawberry.field
    def greeting(self, name: str = "nobody") -> str:
        return f"Hello, {name}"


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(1, to + 1):
            yield number


@pytest.fixture
def queries(tmp_path: Path) -> Path:
    directory = tmp_path / "queries"
    directory.mkdir()
    (directory / "01-greet.graphql").write_text(
        "# Greets by name; </script> stays text.\nquery Greet($name: String!) {\n  greeting(name: $name)\n}\n"
    )
    (directory / "01-greet.variables.json").write_text('{\n  "name": "Ada"\n}\n')
    (directory / "02-count.graphql").write_text("subscription CountUp {\n  count(to: 3)\n}\n")
    return directory


@pytest.fixture
def site(queries: Path) -> Site:
    return load_site(queries=queries)


@pytest.fixture
async def url(site: Site) -> AsyncIterator[str]:
    view = GraphQLView(strawberry.Schema(query=Query, subscription=Subscription), graphql_ide=None)

    async def graphql(request: web.Request) -> web.StreamResponse:
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            return graphiql_response(request, site)
        return await view(request)

    app = web.Application()
    app.add_routes([web.route("*", "/graphql", graphql), *graphiql_routes(site)])
    async with listening(app, "127.0.0.1", 0) as url:
        yield url
