"""The client of the model's server: it streams the answer to a request. The model's key is sent only to that server."""

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
    """A server of the chat-completions API, and the limits of its use.

    Attributes:
        url: The base URL, such as `http://127.0.0.1:11434/v1`.
        key: The API key, if the server needs one.
        name: The model to ask. Without it, each run's own model is asked.
        timeout_seconds: The longest wait for the next piece of an answer, including the first.
        max_at_once: The most requests at the same time.
        max_waiting: The most runs that wait for their request.
        max_reply_bytes: The largest answer. This is a security limit against the server.
    """

    url: str
    key: str | None = field(default=None, repr=False)
    name: str | None = None
    timeout_seconds: float = 60.0
    max_at_once: int = 8
    max_waiting: int = 1000
    max_reply_bytes: int = 8 << 20


class ModelClient:
    """A client of a server of the chat-completions API. Its connections live as long as its context."""

    def __init__(self, options: ModelOptions) -> None:
        base, question_mark, query = options.url.partition("?")
        self._url = f"{base.rstrip('/')}/chat/completions{question_mark}{query}"
        self._headers = {"Content-Type": "application/json", "Accept": "text/event-stream, application/json"}
        if options.key:
            self._headers["Authorization"] = f"Bearer {options.key}"
        self._max_bytes = options.max_reply_bytes
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        # The caller limits the wait for each piece, by its own clock.
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=None)
        self._session = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def stream_reply(self, body: JsonObject) -> AsyncGenerator[tuple[Chunk, ...], None]:
        """Yield the answer's chunks as they come: an empty tuple for bytes that complete no chunk.

        A server that does not stream is supported too.

        Raises:
            ModelFailedError: The answer is incomplete or unreadable. The good chunks before are yielded first.
            RuntimeError: The client was not entered.
        """
        if self._session is None:
            message = "expected the model's server to be entered, got a request before"
            raise RuntimeError(message)
        has_begun, size, reader, whole = False, 0, ChunkReader(), b""
        try:
            # Redirects are not followed, since they would send the key to another server.
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
