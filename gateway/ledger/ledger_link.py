"""Calls to the ledger's store: with a deadline, behind a circuit breaker, bounded in number."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gateway.background_tasks import BackgroundTasks
from gateway.ledger.ledger_store import LedgerStore, LedgerUnavailableError
from gateway.redis.circuit_breaker import CircuitBreaker
from gateway.redis.deadline import busy_aware_timeout
from gateway.telemetry.metrics import GatewayMetrics

OPEN_SECONDS = 0.5
"""How long the circuit breaker stays open after the ledger did not answer."""

MAX_CALLS = 1000
"""Most calls at once. A call whose caller has given up counts until the store has ended it."""

STORE_NAME = "ledger"
"""The name of the ledger in metrics."""

ResultT = TypeVar("ResultT")

_logger = logging.getLogger(__name__)


class LedgerLink:
    """The store of the ledger as operations use it: they wait for `deadline_seconds`, never longer.

    A call that takes longer runs on without its caller, as a task of this class, until the store ends it. While the
    circuit breaker is open, calls fail at once. Ended by `aclose`.
    """

    def __init__(
        self,
        store: LedgerStore,
        *,
        deadline_seconds: float,
        now_seconds: Callable[[], float] = time.monotonic,
        max_calls: int = MAX_CALLS,
        metrics: GatewayMetrics | None = None,
    ) -> None:
        self._store = store
        self._deadline_seconds = deadline_seconds
        self._max_calls = max_calls
        self._breaker = CircuitBreaker(now_seconds, open_seconds=OPEN_SECONDS)
        self._tasks = BackgroundTasks(logs_errors=False)
        self._metrics = metrics
        self._closed = False

    async def call(self, work: Callable[[LedgerStore], Awaitable[ResultT]]) -> ResultT:
        """Call the store.

        Raises:
            LedgerUnavailableError: The ledger did not answer in time, or a moment ago.
        """
        if self._closed:
            raise LedgerUnavailableError("closed")
        if len(self._tasks) >= self._max_calls or not self._breaker.allow_request():
            raise LedgerUnavailableError("did not answer a moment ago")
        started = 0.0 if self._metrics is None else self._metrics.clock()
        has_answered = True
        try:
            async with busy_aware_timeout(self._deadline_seconds):
                result = await asyncio.shield(self._tasks.start(_run(work, self._store)))
        except TimeoutError:
            has_answered = False
            error = LedgerUnavailableError(f"did not answer within {self._deadline_seconds:g} s")
            self._record_failure(error)
            raise error from None
        except LedgerUnavailableError as error:
            has_answered = False
            self._record_failure(error)
            raise
        except Exception:
            self._record_answer()
            raise
        except BaseException:
            self._breaker.record_abandoned()
            raise
        finally:
            if self._metrics is not None:
                self._metrics.record_store(STORE_NAME, started, has_answered=has_answered)
        self._record_answer()
        return result

    async def aclose(self) -> None:
        """Refuse further calls, and end those that run. They have as long as any, to end by themselves."""
        self._closed = True
        await self._tasks.wait(self._deadline_seconds)
        await self._tasks.aclose()

    def _record_answer(self) -> None:
        if not self._breaker.is_closed:
            _logger.warning("the ledger answers again")
        self._breaker.record_success()

    def _record_failure(self, error: LedgerUnavailableError) -> None:
        if self._breaker.is_closed:
            _logger.warning("the ledger does not answer: %s", error)
        self._breaker.record_failure()


async def _run(work: Callable[[LedgerStore], Awaitable[ResultT]], store: LedgerStore) -> ResultT:
    return await work(store)
