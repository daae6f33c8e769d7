"""The batches of one operation: which are under way, until when, and what of one is given out together."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from typing import Any, TypeAlias, TypeVar

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import Results

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

Fetch: TypeAlias = Callable[[Sequence[KeyT]], Awaitable[Results[ValueT]]]


class Arrivals:
    """The pages of one batch: a thread's are given out once all of them are here."""

    def __init__(self, threads: Iterable[str | None]) -> None:
        """Expect a page of each of these threads."""
        self._missing = Counter(threads)
        self._here: dict[str | None, list[Callable[[], None]]] = {}

    def arrive(self, thread_id: str | None, give_out: Callable[[], None]) -> None:
        """Note a page that was expected; `give_out` is called when the last of its thread has arrived."""
        here = self._here.setdefault(thread_id, [])
        here.append(give_out)
        if len(here) == self._missing[thread_id]:
            for give in here:
                give()


class Batches:
    """The batches of one operation that are under way: their deadline, and their end."""

    def __init__(self, deadline_seconds: float) -> None:
        """Bound each batch by a deadline."""
        self._deadline_seconds = deadline_seconds
        self._under_way: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def run(self, fetch: Fetch[KeyT, ValueT], keys: Collection[KeyT]) -> list[ValueT | BaseException]:
        """Fetch a batch; what cannot be had is an error in its place, and never raised."""
        if self._closed:
            return [_ended() for _ in keys]
        task = asyncio.current_task()
        if task is not None:
            self._under_way.add(task)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return list(await fetch(list(keys)))
        except TimeoutError:
            message = f"The upstream did not answer within {self._deadline_seconds:g} seconds."
            return [GatewayError(ErrorCode.UPSTREAM_TIMEOUT, message) for _ in keys]
        except asyncio.CancelledError:
            # The operation is over. Raised, the cancellation would leave whoever waits for the batch waiting for ever.
            return [_ended() for _ in keys]
        except Exception as error:
            return [error for _ in keys]
        finally:
            if task is not None:
                self._under_way.discard(task)

    async def aclose(self) -> None:
        """Cancel the batches that are under way, and wait until they have ended."""
        self._closed = True
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await asyncio.wait(self._under_way)


def _ended() -> GatewayError:
    return GatewayError(ErrorCode.INTERNAL, "The operation ended before this was loaded.", retryable=True)
