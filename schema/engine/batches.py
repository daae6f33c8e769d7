"""The batches of one operation: their deadline, their end, and the order in which they release their pages."""

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
"""Fetches a batch: one value or error per key, in the order of the keys."""


class ThreadBarrier:
    """Releases the pages of each thread together, when all of them have arrived."""

    def __init__(self, thread_ids: Iterable[str | None]) -> None:
        """Expect one page per item of `thread_ids`."""
        self._expected = Counter(thread_ids)
        self._arrived: dict[str | None, list[Callable[[], None]]] = {}

    def add_page(self, thread_id: str | None, release: Callable[[], None]) -> None:
        """Add a page that has arrived. The last page of a thread calls `release` of all pages of that thread."""
        arrived = self._arrived.setdefault(thread_id, [])
        arrived.append(release)
        if len(arrived) == self._expected[thread_id]:
            for release_page in arrived:
                release_page()


class BatchRunner:
    """Runs the batches of one operation, each within a deadline."""

    def __init__(self, deadline_seconds: float) -> None:
        """Bound each batch by a deadline."""
        self._deadline_seconds = deadline_seconds
        self._in_flight: set[asyncio.Task[Any]] = set()
        self._closed = False

    async def run_batch(self, fetch: Fetch[KeyT, ValueT], keys: Collection[KeyT]) -> list[ValueT | BaseException]:
        """Fetch a batch. Returns one value or error per key, in their order; never raises."""
        if self._closed:
            return [_operation_ended_error() for _ in keys]
        task = asyncio.current_task()
        if task is not None:
            self._in_flight.add(task)
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return list(await fetch(list(keys)))
        except TimeoutError:
            message = f"The upstream did not answer within {self._deadline_seconds:g} seconds."
            return [GatewayError(ErrorCode.UPSTREAM_TIMEOUT, message) for _ in keys]
        except asyncio.CancelledError:
            # The operation is over. If this raised, the waiters of the batch would wait for ever.
            return [_operation_ended_error() for _ in keys]
        except Exception as error:
            return [error for _ in keys]
        finally:
            if task is not None:
                self._in_flight.discard(task)

    async def aclose(self) -> None:
        """Cancel the batches in flight, and wait until they have ended."""
        self._closed = True
        for task in self._in_flight:
            task.cancel()
        if self._in_flight:
            await asyncio.wait(self._in_flight)


def _operation_ended_error() -> GatewayError:
    return GatewayError(ErrorCode.INTERNAL, "The operation ended before this was loaded.", retryable=True)
