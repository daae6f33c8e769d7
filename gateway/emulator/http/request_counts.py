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
    """One request to the API; the path holds the query too, and no key ever.

    ``fault`` is what was made to go wrong with it; with a reset nobody got the status.
    """

    operation: str
    method: str
    path: str
    status: int
    fault: str | None = None


class RequestCounts:
    """How often each operation was called since the start or the last reset."""

    def __init__(self) -> None:
        self.by_operation: Counter[str] = Counter()
        self.by_fault: Counter[str] = Counter()
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
        if request.fault is not None:
            self.by_fault[request.fault] += 1
        self._log.append(request)

    def reset(self) -> None:
        """Forget everything that was counted."""
        self.by_operation.clear()
        self.by_fault.clear()
        self._log.clear()


FAULT_HEADER = "x-emulator-fault"


def add_fault_header(response: web.StreamResponse, fault: str) -> None:
    """Say in a header, for the log and for whoever wonders, what was made to go wrong; several join by a plus."""
    earlier = response.headers.get(FAULT_HEADER)
    response.headers[FAULT_HEADER] = fault if earlier is None else f"{earlier}+{fault}"


COUNTS: Final = web.AppKey("COUNTS", RequestCounts)
