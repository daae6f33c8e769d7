"""The HTTP answer that is a stream."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest

from gateway.emulator.streams.stream_events import CONTENT_TYPE


class EventStreamResponse(web.StreamResponse):
    """Sends frames as they come, once every middleware has seen the answer.

    Each write waits for a reader that is slow, so no more than the connection's own buffer is ever held for it.
    """

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        super().__init__(headers={"Content-Type": CONTENT_TYPE})
        self.frames = frames

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers, then every frame."""
        writer = await super().prepare(request)
        async with aclosing(self.frames) as frames:
            async for frame in frames:
                await self.write(frame)
        return writer
