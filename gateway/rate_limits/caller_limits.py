"""The rate limits of all callers of one process."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from gateway.background_tasks import BackgroundTasks
from gateway.identity.accepted_credentials import AcceptedCredentials
from gateway.identity.principal import Principal
from gateway.rate_limits.limit_kinds import LIMITED_THINGS, LimitKind, RateLimitOptions
from gateway.rate_limits.metered_threads_api import MeteredReplayApi, MeteredThreadsApi
from gateway.rate_limits.reservation import Reservation, TakenShare
from gateway.rate_limits.shared_counters import CounterAction, SharedCounters
from gateway.rate_limits.uncounted_callers import UncountedCallers
from gateway.rate_limits.window_counts import WindowCounts, count_used, seconds_until_fits, seconds_until_unused
from schema.contract.cost import Cost
from schema.contract.ports import RunReplay, ThreadsApi
from schema.contract.rate_limits import RateLimitedError
from schema.contract.viewer import RateLimitState

_CLOSE_SECONDS = 1.0


class CallerLimits:
    """Limits by caller, never by the credential that goes upstream. Create it inside the running loop.

    A caller that brings a credential of the upstream is counted only once the upstream has accepted it, so that
    credentials that somebody invents fill no memory, and are answered as without limits. What such a caller did before
    counts from then on. With `counts_anonymous`, callers without any credential count as one caller.

    `clock` never goes back, and `now_seconds` returns Unix time; tests replace both.
    """

    def __init__(
        self,
        options: RateLimitOptions,
        counters: SharedCounters,
        accepted: AcceptedCredentials,
        *,
        counts_anonymous: bool = False,
        clock: Callable[[], float] = time.monotonic,
        now_seconds: Callable[[], float] = time.time,
    ) -> None:
        self.options = options
        self._counters = counters
        self._accepted = accepted
        self._counts_anonymous = counts_anonymous
        self._clock = clock
        self._now_seconds = now_seconds
        self._uncounted = UncountedCallers(options.window_seconds, clock)
        self.tasks = BackgroundTasks()

    async def manage(self, _: object) -> AsyncIterator[None]:
        """Connect to Redis, and close at the end: a cleanup context of aiohttp's application."""
        await self._counters.connect()
        yield
        await self.aclose()

    async def aclose(self) -> None:
        """Finish what is being counted, and close the connections to Redis."""
        await self.tasks.wait(_CLOSE_SECONDS)
        await self.tasks.aclose()
        await self._counters.aclose()

    @asynccontextmanager
    async def count_operation(self, principal: Principal, cost: Cost) -> AsyncIterator[Reservation | None]:
        """Count an operation and its calls, of which `cost` has those that were sent. Raises `RateLimitedError`."""
        reservation = self.reserve(principal)
        if reservation is None:
            yield None
            return
        await reservation.begin_operation()
        try:
            yield reservation
        finally:
            await reservation.end(cost)

    @asynccontextmanager
    async def count_event(self, principal: Principal, cost: Cost, calls: int) -> AsyncIterator[Reservation | None]:
        """Count the calls of one event of a subscription, which are predicted. Raises `RateLimitedError`."""
        reservation = self.reserve(principal)
        if reservation is None:
            yield None
            return
        await reservation.admit(calls=calls)
        try:
            yield reservation
        finally:
            await reservation.end(cost)

    def reserve(self, principal: Principal) -> Reservation | None:
        """Begin to count an operation or an event of a caller. Returns None if this caller has no limits."""
        has_limits = principal.credential is not None or principal.uses_own_key or self._counts_anonymous
        return Reservation(self, principal) if has_limits else None

    def meter(self, principal: Principal, api: ThreadsApi) -> ThreadsApi:
        """Return a port for the polls that a caller causes, which counts their calls."""
        metered = MeteredReplayApi if isinstance(api, RunReplay) else MeteredThreadsApi
        return metered(api, lambda: self.reserve(principal))

    async def report(self, principal: Principal) -> dict[str, object]:
        """Render what the caller has left for `extensions.cost`: nothing if this caller has no limits."""
        state = await self.state(principal)
        return {} if state is None else {"rateLimit": _to_extension(state)}

    async def state(self, principal: Principal) -> RateLimitState | None:
        """Return what the caller has left, or None if this caller has no limits."""
        if self.reserve(principal) is None:
            return None
        counts = {kind: await self._read(principal, kind) for kind in LimitKind if self.limits(kind)}
        seconds = max(map(seconds_until_unused, counts.values()), default=0.0)
        remaining = {kind: self._remaining(kind, one) for kind, one in counts.items()}
        return RateLimitState(
            resets_at_ms=math.ceil(1000 * (self._now_seconds() + seconds)),
            calls_limit=self.options.calls,
            calls_remaining=remaining.get(LimitKind.CALLS),
            operations_limit=self.options.operations,
            operations_remaining=remaining.get(LimitKind.OPERATIONS),
            runs_limit=self.options.runs,
            runs_remaining=remaining.get(LimitKind.RUNS),
        )

    def limits(self, kind: LimitKind) -> bool:
        """Return whether a kind is limited."""
        return self.options.limit(kind) is not None

    def record_accepted(self, principal: Principal) -> None:
        """Record that the upstream once gave this caller what was kept for it."""
        if not self._is_accepted(principal):
            self._accepted.record_accepted(principal.digest)

    async def is_counted(self, principal: Principal) -> bool:
        """Return whether the caller is counted now. If so, what it did before is charged first."""
        if not self._is_accepted(principal):
            return False
        await self._charge(principal, self._uncounted.pop(principal.digest))
        return True

    async def take(self, principal: Principal, kind: LimitKind, amount: int) -> TakenShare | None:
        """Take an amount of one kind. Returns None if it is not left."""
        taken_at, caller = self._clock(), principal.digest
        was_left, counters = await self._counters.use(lambda counters: counters.take(kind, caller, amount))
        return TakenShare(kind, amount, counters, taken_at) if was_left else None

    async def give_back(self, principal: Principal, share: TakenShare) -> None:
        """Give back to the counters from which it was taken, if they answer."""
        age, caller = self._clock() - share.taken_at, principal.digest
        await self._counters.use_same(
            share.counters, lambda counters: counters.give_back(share.kind, caller, share.amount, age)
        )

    async def charge(self, principal: Principal, amounts: Counter[LimitKind]) -> None:
        """Count what was used without being taken, or remember it until the caller is counted."""
        if self._is_accepted(principal):
            await self._charge(principal, amounts)
        elif amounts:
            self._uncounted.add(principal.digest, amounts)

    def charge_soon(self, principal: Principal, amounts: Counter[LimitKind]) -> None:
        """Charge without waiting."""
        self.tasks.start(self.charge(principal, amounts))

    async def refusal(self, principal: Principal, kind: LimitKind, amount: int) -> RateLimitedError:
        """Make the error of a caller that has too little left, with the time after which it may try again."""
        limit, seconds = self.options.limit(kind) or 0, self.options.window_seconds
        counts = await self._read(principal, kind)
        wait = seconds_until_fits(counts, amount, limit, seconds)
        things = LIMITED_THINGS[kind]
        return RateLimitedError(
            f"This gateway lets a caller have {limit} {things} in {seconds} s (GATEWAY_RATE_LIMIT_{kind.name}): "
            f"{self._remaining(kind, counts)} are left, and this may need {amount}.",
            # Never at once: what others gave back meanwhile may be taken again.
            retry_after_ms=max(1, math.ceil(1000 * wait)),
        )

    def _remaining(self, kind: LimitKind, counts: WindowCounts) -> int:
        return max(0, (self.options.limit(kind) or 0) - count_used(counts, self.options.window_seconds))

    def _is_accepted(self, principal: Principal) -> bool:
        return principal.credential is None or principal.digest in self._accepted

    async def _read(self, principal: Principal, kind: LimitKind) -> WindowCounts:
        if not self._is_accepted(principal):
            return WindowCounts()
        counts, _ = await self._counters.use(lambda counters: counters.read(kind, principal.digest))
        return counts

    async def _charge(self, principal: Principal, amounts: Counter[LimitKind]) -> None:
        for kind, amount in amounts.items():
            if amount > 0 and self.limits(kind):
                await self._counters.use(_charging(kind, principal.digest, amount))


@asynccontextmanager
async def count_nothing(*_: object) -> AsyncIterator[None]:
    """Count nothing, where nothing is limited."""
    yield


def _to_extension(state: RateLimitState) -> dict[str, object]:
    """Render a state by the names of `viewer.rateLimit`."""
    resets_at = datetime.fromtimestamp(state.resets_at_ms / 1000, UTC)
    return {
        "callsLimit": state.calls_limit,
        "callsRemaining": state.calls_remaining,
        "operationsLimit": state.operations_limit,
        "operationsRemaining": state.operations_remaining,
        "runsLimit": state.runs_limit,
        "runsRemaining": state.runs_remaining,
        "resetsAt": resets_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _charging(kind: LimitKind, caller: str, amount: int) -> CounterAction[None]:
    return lambda counters: counters.charge(kind, caller, amount)
