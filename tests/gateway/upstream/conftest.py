import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.upstream.threads_api_client import BoundThreadsApi, UpstreamClient
from gateway.upstream.upstream_options import UpstreamOptions
from tests.support.scripted_upstream import ScriptedUpstream, echo, scripted_upstream
from tests.support.upstream_client import CREDENTIAL, ClientMaker, RecordedSleeps


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with scripted_upstream() as running:
        running.default_response = echo
        yield running
    assert running.open_connections == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.fixture
def pauses() -> RecordedSleeps:
    return RecordedSleeps()


@pytest.fixture
async def make_client(upstream: ScriptedUpstream, pauses: RecordedSleeps) -> AsyncIterator[ClientMaker]:
    made: list[UpstreamClient] = []
    defaults: dict[str, Any] = {"base_url": upstream.url, "timeout_seconds": 20.0}

    def make(**options: Any) -> UpstreamClient:
        client = UpstreamClient(
            UpstreamOptions(**defaults | options),
            sleep=pauses,
            random_fraction=lambda: 0.5,
            now_seconds=lambda: 0.0,
            monotonic_seconds=pauses.now,
        )
        made.append(client)
        return client

    yield make
    for client in made:
        await client.close()


@pytest.fixture
async def api(make_client: ClientMaker) -> BoundThreadsApi:
    return make_client().bind(CREDENTIAL)
