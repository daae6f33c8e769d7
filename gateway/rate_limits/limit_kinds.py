"""The kinds of limits, and how much of each a caller has in a window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from limits import RateLimitItem, RateLimitItemPerSecond

from gateway.config import DEFAULTS


class LimitKind(StrEnum):
    """One thing that is limited. The value stands in the keys of Redis."""

    OPERATIONS = "operations"
    CALLS = "calls"
    RUNS = "runs"


LIMITED_THINGS: Mapping[LimitKind, str] = {
    LimitKind.OPERATIONS: "operations",
    LimitKind.CALLS: "upstream calls",
    LimitKind.RUNS: "new runs",
}
"""The things by the words of an error."""


@dataclass(frozen=True, slots=True)
class RateLimitOptions:
    """The limits of one caller in each window; None is no limit."""

    calls: int | None = None
    operations: int | None = None
    runs: int | None = None
    window_seconds: int = DEFAULTS.gateway_rate_limit_seconds

    def __bool__(self) -> bool:
        """Return whether anything is limited."""
        return bool(self.items)

    @property
    def items(self) -> dict[LimitKind, RateLimitItem]:
        """The limits that are set, in the form of the library."""
        return {
            kind: RateLimitItemPerSecond(limit, self.window_seconds, namespace=kind.value)
            for kind in LimitKind
            if (limit := self.limit(kind)) is not None
        }

    def limit(self, kind: LimitKind) -> int | None:
        """Return the limit of one kind, or None."""
        limits = {LimitKind.OPERATIONS: self.operations, LimitKind.CALLS: self.calls, LimitKind.RUNS: self.runs}
        return limits[kind]
