"""The slots of one caller and of one operation: calls wait here until their fair share lets them start."""

import asyncio
from collections import deque
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

    def try_acquire(self) -> bool:
        """Take a slot if one is free. Returns whether it was."""
        return self._share.start(self._use)

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


class OperationSlots:
    """The slots of one operation, at most `limit` at once, which are slots of its caller too."""

    __slots__ = ("_caller", "_free", "_waiting")

    def __init__(self, caller: CallerSlots, limit: int) -> None:
        self._caller = caller
        self._free = limit
        self._waiting: deque[asyncio.Future[None]] = deque()

    def try_acquire(self) -> bool:
        """Take a slot if one is free. Returns whether it was. Most calls need no more than this."""
        if not self._free or not self._caller.try_acquire():
            return False
        self._free -= 1
        return True

    async def acquire(self) -> None:
        """Take a slot, and wait for it if necessary. Each one needs a `release`.

        Raises:
            GatewayError: too many calls wait.
        """
        await self._wait_for_operation()
        try:
            await self._caller.acquire()
        except BaseException:
            self._pass_on()
            raise

    def release(self) -> None:
        """Give a slot back, and wake the calls that may start now."""
        self._caller.release()
        self._pass_on()

    async def _wait_for_operation(self) -> None:
        """Wait until fewer than `limit` other calls of the operation have a slot, or wait for one of their caller."""
        if self._free:
            self._free -= 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Let the next call of the operation go on."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.cancelled():
                waiter.set_result(None)
                return
        self._free += 1
