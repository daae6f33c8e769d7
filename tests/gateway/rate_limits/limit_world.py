"""The limits of one process on a clock that a test moves."""

from typing import Any

from gateway.emulator.clock import ManualClock
from gateway.identity.accepted_credentials import AcceptedCredentials
from gateway.identity.principal import Owner, Principal, UpstreamIdentity, User
from gateway.rate_limits.caller_limits import CallerLimits
from gateway.rate_limits.limit_kinds import RateLimitOptions
from gateway.rate_limits.shared_counters import SharedCounters
from schema.contract.cost import Cost
from schema.contract.viewer import RateLimitState

UPSTREAM = UpstreamIdentity("http://upstream.test")
ANN = Principal.from_user(User(Owner("https://login.test", "ann")), UPSTREAM)
BOB = Principal.from_user(User(Owner("https://login.test", "bob")), UPSTREAM)


def holder(key: str) -> Principal:
    """Make the holder of a credential of the upstream."""
    return Principal.from_credential(f"Bearer {key}", UPSTREAM)


class LimitWorld:
    """Limits in memory, and the clock by which their windows slide."""

    def __init__(self, *, counts_anonymous: bool = False, **options: Any) -> None:
        self.clock = ManualClock()
        self.accepted = AcceptedCredentials()
        self.options = RateLimitOptions(**options)
        self.limits = CallerLimits(
            self.options,
            SharedCounters(self.options, clock=self.clock.now),
            self.accepted,
            counts_anonymous=counts_anonymous,
            clock=self.clock.now,
            now_seconds=self.clock.now,
        )

    async def state(self, principal: Principal = ANN) -> RateLimitState:
        state = await self.limits.state(principal)
        assert state is not None
        return state

    async def operate(self, principal: Principal = ANN, *, predicted: int = 0, sent: int = 0, runs: int = 0) -> None:
        """Run one operation that makes some calls."""
        cost = Cost()
        async with self.limits.count_operation(principal, cost) as reservation:
            if reservation is not None:
                await reservation.admit(calls=predicted, runs=runs)
            for _ in range(sent):
                cost.end_call(cost.start_call())
