"""Counts of the requests to the API by operation, so that tests can hold call budgets."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

LOG_LENGTH = 1000
UNKNOWN_OPERATION = "unknown"


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request to the API. The path includes the query string, and never a key.

    `fault` names the injected faults. With a reset, the client did not get the status. `client_request_id` and
    `traceparent` are the `X-Request-ID` and the `traceparent` that the client sent.
    """

    operation: str
    method: str
    path: str
    status: int
    fault: str | None = None
    client_request_id: str | None = None
    traceparent: str | None = None


class RequestCounts:
    """Numbers of requests by operation and by fault, since the start or the last reset."""

    def __init__(self) -> None:
        self.by_operation: Counter[str] = Counter()
        self.by_fault: Counter[str] = Counter()
        self._log: deque[LoggedRequest] = deque(maxlen=LOG_LENGTH)

    @property
    def total(self) -> int:
        """Return the number of requests to the API, including refused ones and unknown URLs."""
        return self.by_operation.total()

    @property
    def log(self) -> Sequence[LoggedRequest]:
        """Return the last requests, oldest first."""
        return tuple(self._log)

    def record_request(self, request: LoggedRequest) -> None:
        """Count a request that has been answered."""
        self.by_operation[request.operation] += 1
        if request.fault is not None:
            self.by_fault[request.fault] += 1
        self._log.append(request)

    def reset(self) -> None:
        """Set all counts to zero and clear the log."""
        self.by_operation.clear()
        self.by_fault.clear()
        self._log.clear()


FAULT_HEADER = "x-emulator-fault"


def add_fault_header(response: web.StreamResponse, fault: str) -> None:
    """Name an injected fault in a response header, for the log and for a reader. Several are joined by a plus."""
    previous = response.headers.get(FAULT_HEADER)
    response.headers[FAULT_HEADER] = fault if previous is None else f"{previous}+{fault}"


COUNTS: Final = web.AppKey("COUNTS", RequestCounts)
