"""The rate limits of a caller, as an operation meets them: it is admitted before its first call, or refused."""

from __future__ import annotations

from typing import Protocol

from schema.contract.errors import ErrorCode, GatewayError


class RateLimitedError(GatewayError):
    """The caller has used up a limit of the gateway. An upstream that limits the caller is another `RATE_LIMITED`."""

    def __init__(self, message: str, *, retry_after_ms: int) -> None:
        super().__init__(ErrorCode.RATE_LIMITED, message, retry_after_ms=retry_after_ms)


class Admission(Protocol):
    """The admission of one operation of one caller.

    `max_calls` and `max_runs` are the limits of a window, or None: an operation that needs more is never admitted.
    """

    @property
    def max_calls(self) -> int | None: ...
    @property
    def max_runs(self) -> int | None: ...

    async def admit(self, *, calls: int, runs: int) -> None:
        """Take the calls that the operation is predicted to make, and the runs that it starts.

        Raises:
            RateLimitedError: The caller has too few left. Nothing was taken.
        """
