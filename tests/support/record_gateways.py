"""Gateways that keep records in a database, and the documents by which a viewer is shown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.identity.principal import UpstreamIdentity
from tests.support.emulator import KEY, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.postgresql import PostgreSQL
from tests.support.signed_in import NamedUsers

LIST = """query ($first: Int, $after: String, $last: Int, $before: String, $filter: ThreadFilter) {
  viewer { threads(first: $first, after: $after, last: $last, before: $before, filter: $filter) {
    nodes { id upstreamId title isArchived lastActivityAt usage {
      promptTokens completionTokens totalTokens cachedTokens reasoningTokens } }
    pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""

INBOX = "{ viewer { waitingRuns(first: 100) { nodes { upstreamId status thread { title } } } } }"

USAGE = "{ viewer { usage { promptTokens completionTokens totalTokens cachedTokens reasoningTokens } } }"

VIEWER_EVENTS = """
subscription ($after: String) {
  viewerEvents(after: $after) {
    type: __typename
    ... on ThreadChanged { cursor thread { upstreamId title isArchived usage { totalTokens } } }
    ... on ThreadRemoved { cursor deletedId }
    ... on RunStatusChange { cursor status previous run { upstreamId thread { upstreamId } } }
    ... on StreamError { cursor code detail }
    ... on Lagged { cursor skipped }
  }
}"""

LATE_SECONDS = 30.0
"""How long a record may be late on a busy machine."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.create_database()


@asynccontextmanager
async def record_gateway(emulator: Emulator, url: str, **settings: Any) -> AsyncIterator[Gateway]:
    """Run a gateway for users that sign in by name, with a database."""
    upstream = UpstreamIdentity(emulator.url, dialect="openai-v2")
    options = {"upstream_api_key": KEY, "upstream_dialect": "openai-v2", "gateway_cache": True, **settings}
    patient = {"gateway_database_url": url, "gateway_ledger_deadline_seconds": 5.0}
    async with running_gateway(emulator.url, authenticator=NamedUsers(upstream), **{**patient, **options}) as gateway:
        yield gateway


async def threads(client: Gateway, **variables: Any) -> list[dict[str, Any]]:
    """List the viewer's threads."""
    listed: list[dict[str, Any]] = (await client.data(LIST, {"first": 100, **variables}))["viewer"]["threads"]["nodes"]
    return listed


async def titles(client: Gateway, **conditions: Any) -> list[str | None]:
    """List the titles of the viewer's threads that meet conditions."""
    filtered = {"filter": conditions} if conditions else {}
    return [thread["title"] for thread in await threads(client, **filtered)]


async def waiting(client: Gateway) -> list[str]:
    """List the upstream ids of the viewer's waiting runs."""
    return [run["upstreamId"] for run in (await client.data(INBOX))["viewer"]["waitingRuns"]["nodes"]]


async def eventually(read: Callable[[], Awaitable[Any]], expected: object) -> None:
    """Wait until a read returns what is expected, for so long as records may be late."""
    found = await read()
    deadline = asyncio.get_running_loop().time() + LATE_SECONDS
    while found != expected:
        assert asyncio.get_running_loop().time() < deadline, f"expected {expected}, got {found}"
        await asyncio.sleep(0.02)
        found = await read()
