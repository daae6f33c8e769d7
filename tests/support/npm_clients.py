"""npm's clients for GraphQL over WebSocket and over server-sent events, run against a gateway of this process."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support.node import npm_install, run_node

PACKAGES = ("graphql-sse@2.6.1", "graphql-ws@6.4.2", "graphql@16.15.0", "ws@8.23.0")
SUPPORT = Path(__file__).parent


@asynccontextmanager
async def run_npm_client(
    kind: str, url: str, query: str, *, most: int | None = None, authorization: str = "Bearer x"
) -> AsyncIterator[asyncio.Task[Any]]:
    """Run the client of `kind` (`ws` or `sse`). The task returns the list of all messages that the client received."""
    directory = await asyncio.to_thread(npm_install, PACKAGES)
    script = SUPPORT / f"graphql_{kind}_client.mjs"
    endpoint = f"{url.replace('http', 'ws', 1) if kind == 'ws' else url}/graphql"
    arguments = [endpoint, query, authorization, *([str(most)] if most is not None else [])]

    async def received_messages() -> list[Any]:
        done = await asyncio.to_thread(run_node, script, *arguments, directory=directory)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    task = asyncio.create_task(received_messages())
    try:
        yield task
    finally:
        await asyncio.gather(task, return_exceptions=True)
