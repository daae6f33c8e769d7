"""The record of one operation, from which its log line, its audit lines and its request id are taken.

The record of the current operation is in a context variable, so that each line that is logged in its course has its
request id. A task that outlives the operation still has the record in its context, but then it is not current any more.
A task that serves several operations, as a shared read does, has the record of the one that started it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Transport(StrEnum):
    """The way on which an operation came."""

    HTTP = "http"
    SSE = "sse"
    WEBSOCKET = "websocket"


class Outcome(StrEnum):
    """How an operation ended."""

    OK = "ok"
    ERRORS = "errors"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class AuditedOwner(Protocol):
    """The identity of a signed-in user."""

    @property
    def issuer(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def tenant(self) -> str: ...


class AuditedUser(Protocol):
    """A signed-in user."""

    @property
    def owner(self) -> AuditedOwner: ...


class AuditedPrincipal(Protocol):
    """A caller, as the logs name it."""

    @property
    def digest(self) -> str: ...
    @property
    def user(self) -> AuditedUser | None: ...


@dataclass(slots=True, eq=False)
class OperationRecord:
    """The facts of one operation, each filled in where it becomes known.

    `clock` returns seconds and never goes back. `operation_name` and `kind` stand in the parsed document; they are None
    until it is parsed. `objects` are the nodes in the result, or None if they were not counted. The admitted calls and
    objects are those that were predicted, or an upper bound. `is_trusted` tells whether the document is a trusted one.
    `on_end` is called when the end is logged. `span` is that of its trace, if it is traced; `enter_span` makes it the
    current one.
    """

    request_id: str
    transport: Transport
    clock: Callable[[], float] = field(default=time.perf_counter, repr=False)
    operation_name: str | None = None
    kind: str | None = None
    principal: AuditedPrincipal | None = None
    upstream_calls: int = 0
    objects: int | None = None
    events: int = 0
    admitted_calls: int = 0
    admitted_objects: int = 0
    is_trusted: bool = False
    outcome: Outcome | None = None
    codes: tuple[str, ...] = ()
    on_end: Callable[[OperationRecord], None] | None = field(default=None, repr=False)
    span: Any = field(default=None, repr=False)
    enter_span: Callable[[], AbstractContextManager[object]] | None = field(default=None, repr=False)
    is_executing: bool = False
    """Whether a task executes the operation, which goes on if the caller of a mutation leaves."""
    is_shared: bool = False
    """Whether what happens from now on happens for other operations too: a subscription has started."""
    has_left: bool = False
    """Whether the code that took the operation from its client is through with it."""
    started: float = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.clock()

    def end(self, outcome: Outcome, codes: Iterable[str] = ()) -> bool:
        """Set how the operation ended. Returns whether it had not ended before."""
        if self.outcome is not None:
            return False
        self.outcome = outcome
        self.codes = tuple(sorted(set(codes)))
        return True

    @property
    def is_current(self) -> bool:
        """Whether what happens now happens for this operation alone."""
        return not self.is_shared and (self.is_executing or not self.has_left)

    @property
    def duration_ms(self) -> float:
        """The time since the operation came."""
        return round(1000 * (self.clock() - self.started), 2)


_CURRENT: ContextVar[OperationRecord | None] = ContextVar("current_operation", default=None)


def current_record() -> OperationRecord | None:
    """Return the record of the operation that this code runs for, or None if it runs for none, or for several."""
    record = _CURRENT.get()
    return record if record is not None and record.is_current else None


@contextmanager
def current_operation(record: OperationRecord) -> Iterator[None]:
    """Make a record the current one of this code and of the tasks that it starts, until the end."""
    token = _CURRENT.set(record)
    try:
        with nullcontext() if record.enter_span is None else record.enter_span():
            yield
    finally:
        record.has_left = True
        _CURRENT.reset(token)
