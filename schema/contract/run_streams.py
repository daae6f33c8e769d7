"""A run's stream as the upstream sends it, and who takes it: what lies between the upstream and the run log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from schema.contract.errors import GatewayError
from schema.contract.run_status import is_terminal
from schema.contract.wire import MessageObject, RunObject, RunStepObject, ThreadObject

StreamObject: TypeAlias = ThreadObject | MessageObject | RunObject | RunStepObject


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: its name where it has one, and what it carries.

    `wire` is an object of the API; `delta` a change of one, as plain JSON; `error` what the upstream says went wrong;
    `garbled` why this one event could not be read, which says nothing of those that follow. None of them: an event of
    a kind that nobody knows yet, or the last one (`is_done`).
    """

    name: str | None = None
    wire: StreamObject | None = None
    delta: dict[str, Any] | None = None
    error: GatewayError | None = None
    is_done: bool = False
    garbled: GatewayError | None = None

    @property
    def ends_stream(self) -> bool:
        """Whether nothing has to follow: the end itself, an error, or a run that is over or waits for its caller."""
        run = self.wire if isinstance(self.wire, RunObject) else None
        over = run is not None and (is_terminal(run.status) or run.status == "requires_action")
        return self.is_done or self.error is not None or over


class RunStream(Protocol):
    """An open stream of one run, owned by whoever holds it.

    `thread_id` is the thread that the request named; None where it made one, which the run then names.
    """

    @property
    def thread_id(self) -> str | None:
        """The thread of the run, where the request named it."""

    async def read(self) -> list[StreamEvent]:
        """Give the next events, in order, at least one; none at the end of the stream.

        Raises a `GatewayError` where the stream broke: cut short, unreadable, or silent for too long.
        """

    async def aclose(self) -> None:
        """Let go of the connection, at once; the run goes on. A `read` under way or to come finds the stream cut."""


TakeStream: TypeAlias = Callable[[RunStream], Awaitable[RunObject]]
"""Takes a stream over and gives its run as soon as the run exists. Whatever becomes of the caller, what was taken
over goes on. Raises the `GatewayError` of a stream that ended before it told of a run."""
