"""The same subscription in plain Strawberry: its own view, and one generator for each reader.

`tests.bench.subscribers` runs it as a process of its own. It prints its port. `POST /publish` sends an event to every
reader.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator

import strawberry
from aiohttp import web
from strawberry.aiohttp.views import GraphQLView

READERS: set[asyncio.Queue[str]] = set()


@strawberry.type
class TextDelta:
    message_id: strawberry.ID
    value: str


@strawberry.type
class Query:
    ok: bool = True


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def run_events(self, run_id: strawberry.ID) -> AsyncGenerator[TextDelta, None]:
        queue: asyncio.Queue[str] = asyncio.Queue(100)
        READERS.add(queue)
        try:
            while True:
                yield TextDelta(message_id=run_id, value=await queue.get())
        finally:
            READERS.discard(queue)


async def publish(request: web.Request) -> web.Response:
    for queue in READERS:
        queue.put_nowait("word ")
    return web.Response()


async def serve() -> None:
    app = web.Application()
    app.router.add_route("*", "/graphql", GraphQLView(schema=strawberry.Schema(Query, subscription=Subscription)))
    app.router.add_post("/publish", publish)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sys.stdout.write(f"{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
