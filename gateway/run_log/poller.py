"""What a look at something shows: whoever polls fetches by one of these and compares with what is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.ports import Results, ThreadsApi
from schema.contract.run_events import Change, Provenance

ValueT = TypeVar("ValueT")

FATAL_CODES = frozenset(
    {
        ErrorCode.NOT_FOUND,
        ErrorCode.UNAUTHENTICATED,
        ErrorCode.FORBIDDEN,
        ErrorCode.BAD_USER_INPUT,
        ErrorCode.UNSUPPORTED_BY_UPSTREAM,
    }
)
"""Codes after which asking again is of no use: they end the readers whose credential was used."""


@dataclass(frozen=True, slots=True)
class PollDiff:
    """What a look showed that was not known before; `is_waiting` for what waits for its caller.

    `retry_after_ms` is what the upstream asked for where it kept a part of it away.
    """

    changes: Sequence[Change]
    provenance: Provenance = Provenance.POLLED
    ends: bool = False
    is_waiting: bool = False
    retry_after_ms: int | None = None


class PollResult(Protocol):
    """What was fetched, to be compared with what is known by then."""

    def to_diff(self) -> PollDiff:
        """Tell what differs."""


class Poller(Protocol):
    """Looks at one run or thread."""

    async def poll(self, api: ThreadsApi, *, with_details: bool) -> PollResult:
        """Fetch; raises the `GatewayError` that keeps it away."""


def single_result(results: Results[ValueT]) -> ValueT:
    """Give the one result; raises it where it is an error."""
    (result,) = results
    if isinstance(result, GatewayError):
        raise result
    return result
