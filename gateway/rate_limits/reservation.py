"""The share of its caller's limits that one operation, or one event, has taken."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from gateway.identity.principal import Principal
from gateway.rate_limits.limit_counters import LimitCounters
from gateway.rate_limits.limit_kinds import LimitKind
from schema.contract.cost import Cost

if TYPE_CHECKING:
    from gateway.rate_limits.caller_limits import CallerLimits


class TakenShare(NamedTuple):
    """An amount that was taken from some counters at a time."""

    kind: LimitKind
    amount: int
    counters: LimitCounters
    taken_at: float


class Reservation:
    """The share of one operation: taken before its first call, and made true at its end.

    `end` is called once, however the operation ends. The `Admission` of the operation.
    """

    __slots__ = ("_limits", "_principal", "_taken", "_uncounted", "was_accepted")

    def __init__(self, limits: CallerLimits, principal: Principal) -> None:
        self._limits = limits
        self._principal = principal
        self._taken: list[TakenShare] = []
        self._uncounted: Counter[LimitKind] = Counter()
        self.was_accepted = False
        """Whether a response was found that an upstream call of this caller had once brought."""

    @property
    def max_calls(self) -> int | None:
        return self._limits.options.calls

    @property
    def max_runs(self) -> int | None:
        return self._limits.options.runs

    async def begin_operation(self) -> None:
        """Take one operation. Raises `RateLimitedError`."""
        await self._take({LimitKind.OPERATIONS: 1})

    async def admit(self, *, calls: int, runs: int = 0) -> None:
        """Take calls and runs, or raise `RateLimitedError` and give everything back that was taken before."""
        await self._take({LimitKind.RUNS: runs, LimitKind.CALLS: calls})

    async def end(self, cost: Cost) -> None:
        """Give back the calls that were not sent, or charge those that were not predicted; and later ones when sent."""
        sent, taken = cost.upstream_calls, [share for share in self._taken if share.kind is LimitKind.CALLS]
        cost.on_call = self._charge_late_call
        if self.was_accepted or cost.cache_hits:
            self._limits.record_accepted(self._principal)
        unused = sum(share.amount for share in taken) - sent
        unused_shares = []
        for share in reversed(taken):
            amount = min(share.amount, max(0, unused))
            unused -= amount
            unused_shares += [share._replace(amount=amount)] if amount else []
        if unused < 0 and self._limits.limits(LimitKind.CALLS):
            self._uncounted[LimitKind.CALLS] -= unused
        if unused_shares or self._uncounted:
            # It goes on if the operation is cancelled meanwhile.
            await asyncio.shield(self._limits.tasks.start(self._settle(unused_shares)))

    async def _take(self, demand: Mapping[LimitKind, int]) -> None:
        counted = {kind: amount for kind, amount in demand.items() if amount and self._limits.limits(kind)}
        if not counted:
            return
        if not await self._limits.is_counted(self._principal):
            # Only the calls that are sent count, and they do so at the end.
            self._uncounted.update({kind: counted[kind] for kind in counted if kind is not LimitKind.CALLS})
            return
        for kind, amount in counted.items():
            share = await self._limits.take(self._principal, kind, amount)
            if share is None:
                await self._give_all_back()
                raise await self._limits.refusal(self._principal, kind, amount)
            self._taken.append(share)

    async def _settle(self, unused: Iterable[TakenShare]) -> None:
        for share in unused:
            await self._limits.give_back(self._principal, share)
        await self._limits.charge(self._principal, self._uncounted)

    async def _give_all_back(self) -> None:
        while self._taken:
            await self._limits.give_back(self._principal, self._taken.pop())
        self._uncounted.clear()

    def _charge_late_call(self) -> None:
        self._limits.charge_soon(self._principal, Counter({LimitKind.CALLS: 1}))
