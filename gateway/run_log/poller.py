"""The port of a poller: it fetches a run or thread and returns a result that can be compared with the known state."""

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
"""Codes for which a retry is useless: they end the readers whose credential was used."""


@dataclass(frozen=True, slots=True)
class PollDiff:
    """The new changes of a poll. With `ends`, they end the log. `is_waiting` means that the run waits for its caller.

    `retry_after_ms` is set if the upstream refused a part of the poll and said when to try again.
    """

    changes: Sequence[Change]
    provenance: Provenance = Provenance.POLLED
    ends: bool = False
    is_waiting: bool = False
    retry_after_ms: int | None = None


class PollResult(Protocol):
    """A fetched run or thread."""

    def to_diff(self) -> PollDiff:
        """Return the difference from the state at the time of this call."""


class Poller(Protocol):
    """Polls one run or thread."""

    async def poll(self, api: ThreadsApi, *, with_details: bool) -> PollResult:
        """Fetch the run or thread; `with_details`, steps and messages too.

        Raises:
            GatewayError: A call failed.
        """


def single_result(results: Results[ValueT]) -> ValueT:
    """Return the one result of a port call. Raises it if it is an error."""
    (result,) = results
    if isinstance(result, GatewayError):
        raise result
    return result
