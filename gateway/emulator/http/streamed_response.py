"""The HTTP response that is made piece by piece: an event stream, or the content of a file."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.web_request import BaseRequest


class StreamedResponse(web.StreamResponse):
    """A response that sends its frames as they come, after every middleware has seen it.

    Each write waits for a slow reader (back-pressure), so memory holds no more than the connection's own buffer.
    """

    def __init__(self, frames: AsyncGenerator[bytes, None], headers: Mapping[str, str], *, status: int = 200) -> None:
        super().__init__(headers=headers, status=status)
        self.frames = frames

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers, then every frame."""
        writer = await super().prepare(request)
        async with aclosing(self.frames) as frames:
            async for frame in frames:
                await self.write(frame)
        return writer
