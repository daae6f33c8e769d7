"""The slots of one caller: its calls wait here until their fair share lets them start."""

import asyncio
from types import TracebackType
from typing import TypeAlias
from weakref import WeakValueDictionary

from gateway.upstream.fair_share import CallerUse, FairShare
from schema.contract.errors import ErrorCode, GatewayError

SlotShare: TypeAlias = FairShare[asyncio.Future[None]]


class CallerSlots:
    """The slots of one caller in a share. Each `acquire` that returns needs one `release`."""

    __slots__ = ("__weakref__", "_share", "_use")

    def __init__(self, share: SlotShare) -> None:
        self._share = share
        self._use: CallerUse[asyncio.Future[None]] = CallerUse()

    async def acquire(self) -> None:
        """Take a slot, and wait for it if necessary.

        Raises:
            GatewayError: too many calls wait.
        """
        if not self._share.start(self._use):
            await self._wait()

    def release(self) -> None:
        """Give a slot back, and wake the calls that may start now."""
        for waiter in self._share.finish(self._use):
            if not waiter.cancelled():  # or its task is about to give the slot back
                waiter.set_result(None)

    async def __aenter__(self) -> None:
        await self.acquire()

    async def __aexit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    async def _wait(self) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not self._share.add_waiter(self._use, waiter):
            raise GatewayError(
                ErrorCode.TOO_MANY_OPERATIONS,
                "Expected fewer calls to wait for the upstream, got one too many; it was not sent.",
            )
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter in self._use.waiting:
                self._share.remove_waiter(self._use, waiter)
            else:
                self.release()
            raise


class SlotsByCaller:
    """The slots of every caller in one share."""

    def __init__(self, share: SlotShare) -> None:
        self._share = share
        self._slots: WeakValueDictionary[str | None, CallerSlots] = WeakValueDictionary()

    def slots_for(self, caller: str | None) -> CallerSlots:
        """Return the slots of a caller: the same object for all its operations."""
        slots = self._slots.get(caller)
        if slots is None:
            slots = self._slots[caller] = CallerSlots(self._share)
        return slots
