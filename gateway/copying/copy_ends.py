"""The two ends of a copy: the upstream that threads are read from, and the one where they are created again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gateway.copying.copied_form import CopiedForm
from gateway.copying.message_plan import MessageRules, valid_metadata
from gateway.upstream.file_transfers import BoundFileTransfers
from schema.contract.bodies import MessageBody, ThreadBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import FileKey, ThreadKey
from schema.contract.kinds import FILES, MESSAGES, RUNS, THREADS, HasId, MessagePageKey, RunPageKey
from schema.contract.paging import UPSTREAM_PAGE_SIZE, Window
from schema.contract.ports import ThreadsApi
from schema.contract.wire import FileObject, MessageObject, Page, RunObject, ThreadObject
from schema.contract.writes import CREATE_MESSAGE, CREATE_THREAD, DELETE_THREAD

MAX_PAUSES = 8
LONGEST_PAUSE_SECONDS = 60.0

ResultT = TypeVar("ResultT")
PagedT = TypeVar("PagedT", bound=HasId)


class ListingPort(ThreadsApi, Protocol):
    """A port that lists threads, too."""

    async def list_threads(self, window: Window) -> Page[ThreadObject] | GatewayError:
        """List a page of the threads of the account."""


class CreateMessages(Protocol):
    """Creates messages in a thread, in their order, and returns their ids. At most `size` of them at once."""

    @property
    def size(self) -> int:
        """The most messages of one call."""

    async def create(self, thread_id: str, messages: Sequence[tuple[MessageBody, MessageObject]]) -> Sequence[str]:
        """Create messages, each of which stands beside the one that it is a copy of."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Waits where an upstream wants fewer calls. `sleep` is that of the loop but in tests."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def call(self, send: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """Send a call, and again after a pause as long as the upstream refuses it for its rate limit.

        Raises:
            GatewayError: The call failed in another way, or too often.
        """
        for _ in range(MAX_PAUSES):
            try:
                return await send()
            except GatewayError as error:
                if error.code is not ErrorCode.RATE_LIMITED:
                    raise
                await self.sleep(min((error.retry_after_ms or 1000) / 1000, LONGEST_PAUSE_SECONDS))
        return await send()


class CopySource:
    """The upstream that threads are read from."""

    def __init__(self, port: ListingPort, transfers: BoundFileTransfers, patience: Patience) -> None:
        self.transfers = transfers
        self._port = port
        self._patience = patience

    async def find_thread(self, thread_id: str) -> ThreadObject | None:
        """Read a thread. None if there is none."""
        return await _find(self._patience, lambda: self._port.get(THREADS, [ThreadKey(thread_id)]))

    async def find_file(self, file_id: str) -> FileObject | None:
        """Read a file, without its content. None if there is none."""
        return await _find(self._patience, lambda: self._port.get(FILES, [FileKey(file_id)]))

    async def list_threads(self) -> AsyncIterator[str]:
        """List all threads of the account, if the upstream can, by their ids, oldest first."""

        async def read_page(after: str | None) -> Page[ThreadObject]:
            return await self._patience.call(lambda: _read(self._port.list_threads(_window(after))))

        async for page in _read_pages(read_page):
            for thread in page:
                yield thread.id

    async def read_messages(self, thread_id: str) -> AsyncIterator[Sequence[MessageObject]]:
        """Read the messages of a thread in pages, oldest first."""

        async def read_page(after: str | None) -> Page[MessageObject]:
            key = MessagePageKey(thread_id, None, _window(after))
            return await self._patience.call(lambda: _read_page(self._port.list(MESSAGES, [key])))

        async for page in _read_pages(read_page):
            yield page

    async def count_runs(self, thread_id: str) -> int:
        """Count the runs of a thread."""

        async def read_page(after: str | None) -> Page[RunObject]:
            key = RunPageKey(thread_id, _window(after))
            return await self._patience.call(lambda: _read_page(self._port.list(RUNS, [key])))

        return sum([len(page) async for page in _read_pages(read_page)])


class CopyTarget:
    """The upstream where threads are created again. `rules` says what it has no place for."""

    def __init__(
        self,
        port: ThreadsApi,
        transfers: BoundFileTransfers,
        create_messages: CreateMessages,
        rules: MessageRules,
        patience: Patience,
    ) -> None:
        self.rules = rules
        self.batch_size = create_messages.size
        self._port = port
        self._transfers = transfers
        self._create_messages = create_messages
        self._patience = patience

    async def has_file(self, file_id: str) -> bool:
        """Return whether a file of this id is seen here too."""
        return await _find(self._patience, lambda: self._port.get(FILES, [FileKey(file_id)])) is not None

    async def upload(self, form: CopiedForm) -> str:
        """Upload a file. Returns its id."""
        return (await self._transfers.upload(form)).id

    async def create_thread(self, metadata: Mapping[str, str] | None) -> str:
        """Create a thread without messages. Returns its id."""
        valid = valid_metadata(metadata)
        body = ThreadBody() if valid is None else ThreadBody(metadata=valid)
        return (await self._patience.call(lambda: self._port.write(CREATE_THREAD, None, body))).id

    async def create_messages(
        self, thread_id: str, messages: Sequence[tuple[MessageBody, MessageObject]]
    ) -> Sequence[str]:
        """Create messages behind those that are there, at most `batch_size`. Returns their ids."""
        return await self._patience.call(lambda: self._create_messages.create(thread_id, messages))

    async def delete_thread(self, thread_id: str) -> None:
        """Delete a thread, unless it is gone."""
        try:
            await self._patience.call(lambda: self._port.write(DELETE_THREAD, ThreadKey(thread_id), None))
        except GatewayError as error:
            if error.code is not ErrorCode.NOT_FOUND:
                raise


@dataclass(frozen=True, slots=True)
class OneByOne:
    """Creates messages by the port, one call for each."""

    port: ThreadsApi
    size: int = 1

    async def create(self, thread_id: str, messages: Sequence[tuple[MessageBody, MessageObject]]) -> Sequence[str]:
        return [(await self.port.write(CREATE_MESSAGE, ThreadKey(thread_id), body)).id for body, _ in messages]


async def _find(patience: Patience, read: Callable[[], Awaitable[Sequence[ResultT | GatewayError]]]) -> ResultT | None:
    async def read_first() -> ResultT | GatewayError:
        (result,) = await read()
        return result

    try:
        return await patience.call(lambda: _read(read_first()))
    except GatewayError as error:
        if error.code is not ErrorCode.NOT_FOUND:
            raise
        return None


async def _read_page(listing: Awaitable[Sequence[Page[PagedT] | GatewayError]]) -> Page[PagedT]:
    async def read_first() -> Page[PagedT] | GatewayError:
        (page,) = await listing
        return page

    return await _read(read_first())


async def _read(reading: Awaitable[ResultT | GatewayError]) -> ResultT:
    result = await reading
    if isinstance(result, GatewayError):
        raise result
    return result


def _window(after: str | None) -> Window:
    return Window(UPSTREAM_PAGE_SIZE, "asc", after)


async def _read_pages(read_page: Callable[[str | None], Awaitable[Page[PagedT]]]) -> AsyncIterator[Sequence[PagedT]]:
    after: str | None = None
    while True:
        page = await read_page(after)
        if page.data:
            yield page.data
        # A page may be empty though more follow: of many objects, none may belong to the list.
        following = page.read_until or (page.data[-1].id if page.data else None)
        if not page.has_more or following is None:
            return
        after = following
