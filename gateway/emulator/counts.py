"""Counts the requests to the API by operation, so that call budgets can be tested."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

LOG_LENGTH = 1000
UNKNOWN_OPERATION = "unknown"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request to the API; the path holds the query too, and no key ever."""

    operation: str
    method: str
    path: str
    status: int


class RequestCounts:
    """How often each operation was called since the start or the last reset."""

    def __init__(self) -> None:
        self.by_operation: Counter[str] = Counter()
        self._log: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)

    @property
    def total(self) -> int:
        """Return the number of requests to the API, refused ones and unknown URLs among them."""
        return self.by_operation.total()

    @property
    def log(self) -> Sequence[LoggedRequest]:
        """Return the last requests, oldest first."""
        return tuple(self._log)

    def record(self, request: LoggedRequest) -> None:
        """Count a request that has been answered."""
        self.by_operation[request.operation] += 1
        self._log.append(request)

    def reset(self) -> None:
        """Forget everything that was counted."""
        self.by_operation.clear()
        self._log.clear()


COUNTS: Final = web.AppKey("COUNTS", RequestCounts)
