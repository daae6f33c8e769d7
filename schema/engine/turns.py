"""Turns of the event loop during an execution by graphql-core, which itself would go on to the end of its lists."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from schema.engine.answer_size import AnswerSize

TURN_BYTES = 1 << 12
"""The counted bytes that graphql-core completes in one turn, in the time in which plans complete ten times as many."""


class Turns:
    """Postpones computations to a later turn of the event loop once this turn has completed `TURN_BYTES`."""

    __slots__ = ("_answer_size", "_ends_at", "_postponed")

    def __init__(self, answer_size: AnswerSize) -> None:
        """Measure the work of a turn by the counted bytes of the response."""
        self._answer_size = answer_size
        self._ends_at = TURN_BYTES
        self._postponed: deque[tuple[asyncio.Future[Any], Callable[[], Any]]] = deque()

    @property
    def is_over(self) -> bool:
        """Whether the event loop should have a turn before more is computed."""
        return self._answer_size.byte_count > self._ends_at

    async def run_later(self, compute: Callable[[], Any]) -> Any:
        """Call `compute` after a turn of the event loop and await its result if that is a coroutine."""
        loop = asyncio.get_running_loop()
        computed: asyncio.Future[Any] = loop.create_future()
        if not self._postponed:
            loop.call_soon(self._run_postponed)
        self._postponed.append((computed, compute))
        try:
            result = await computed
        except asyncio.CancelledError:
            is_unused = not computed.cancelled() and computed.exception() is None
            if is_unused and isinstance(computed.result(), CoroutineType):
                computed.result().close()
            raise
        return await result if isinstance(result, CoroutineType) else result

    def _run_postponed(self) -> None:
        """Compute for one turn, in the order of the calls."""
        self._ends_at = self._answer_size.byte_count + TURN_BYTES
        while self._postponed and not self.is_over:
            computed, compute = self._postponed[0]
            if not computed.done():
                try:
                    computed.set_result(compute())
                except Exception as error:
                    computed.set_exception(error)
            self._postponed.popleft()
        if self._postponed:
            asyncio.get_running_loop().call_soon(self._run_postponed)
