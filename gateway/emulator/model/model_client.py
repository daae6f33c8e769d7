"""Sends a request to the model's server and gives its answer piece by piece. The key goes there and nowhere else."""

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp

from gateway.emulator.model import failures
from gateway.emulator.model.chunks import Chunk, ChunkReader, chunk_from_whole_answer
from gateway.emulator.objects import JsonObject


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """A server of the chat-completions API, by its base URL (as ``http://127.0.0.1:11434/v1``).

    Without a ``name`` each run's own model is asked for. ``timeout_seconds`` is the longest wait for the next piece of
    an answer, be it the first. ``max_reply_bytes`` is a security limit: whoever runs the server may send no more.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    name: str | None = None
    timeout_seconds: float = 60.0
    max_at_once: int = 8
    max_waiting: int = 1000
    max_reply_bytes: int = 8 << 20


class ModelClient:
    """A client of a server of the chat-completions API; its connections live as long as it is entered."""

    def __init__(self, options: ModelOptions) -> None:
        base, question_mark, query = options.url.partition("?")
        self._url = f"{base.rstrip('/')}/chat/completions{question_mark}{query}"
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        if options.key:
            self._headers["Authorization"] = f"Bearer {options.key}"
        self._max_bytes = options.max_reply_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # Whoever waits for an answer says for how long.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=None)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def stream_reply(self, body: JsonObject) -> AsyncGenerator[tuple[Chunk, ...], None]:
        """Yield the answer's pieces as they come, none at all for bytes that complete none.

        A server that does not stream is understood too. Raises ModelFailedError for whatever is not a whole answer,
        after the pieces that came before it.
        """
        if self._session is None:
            message = "expected the model's server to be entered, got a request before"
            raise RuntimeError(message)
        has_begun, size, reader, whole = False, 0, ChunkReader(), b""
        try:
            # Redirects are not followed: they would take the key to another place.
            async with self._session.post(
                self._url, data=json.dumps(body).encode(), headers=self._headers, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise failures.refused(response.status)
                has_begun = True
                is_stream = response.content_type != "application/json"
                async for data in response.content.iter_any():
                    size += len(data)
                    if size > self._max_bytes:
                        raise failures.too_large(self._max_bytes)
                    if is_stream:
                        yield reader.feed(data)
                        if reader.failure is not None:
                            raise reader.failure
                    else:
                        whole += data
                        yield ()
                    if reader.is_done:
                        return
                yield reader.finish() if is_stream else (chunk_from_whole_answer(whole),)
        except (aiohttp.ClientError, OSError):
            raise (failures.cut_off() if has_begun else failures.unreachable()) from None
