"""Run streams: the interface between the upstream, which sends a run's stream, and the run log, which consumes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from schema.contract.errors import GatewayError
from schema.contract.statuses import is_terminal
from schema.contract.wire import MessageObject, RunObject, RunStepObject, ThreadObject

StreamObject: TypeAlias = ThreadObject | MessageObject | RunObject | RunStepObject


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of a run's stream. An event of an unknown kind carries nothing but its name.

    Attributes:
        name: The event's name, if it has one.
        wire: An object of the API.
        delta: A change of an object, as plain JSON.
        error: The upstream's report of a failure.
        is_done: Whether this is the last event.
        decode_error: The reason why this event could not be decoded. Later events may still be fine.
        position: The place behind this event, in a text that only the upstream's client reads: a stream of the same
            run can be opened there again (`ports.RunReplay`). None if it cannot.
    """

    name: str | None = None
    wire: StreamObject | None = None
    delta: dict[str, Any] | None = None
    error: GatewayError | None = None
    is_done: bool = False
    decode_error: GatewayError | None = None
    position: str | None = None

    @property
    def ends_stream(self) -> bool:
        """Whether the stream may end here: last event, error, or a run that is over or waits for its caller."""
        run = self.wire if isinstance(self.wire, RunObject) else None
        over = run is not None and (is_terminal(run.status) or run.status == "requires_action")
        return self.is_done or self.error is not None or over


class RunStream(Protocol):
    """An open stream of one run. Its owner must close it."""

    @property
    def thread_id(self) -> str | None:
        """The thread that the request named. None if the request creates one; the run then names it."""

    async def read_events(self) -> list[StreamEvent]:
        """Wait for the next events.

        Returns:
            At least one event, in order. No event means the end of the stream.

        Raises:
            GatewayError: The stream broke: it was cut short, unreadable, or silent for too long.
        """

    async def aclose(self) -> None:
        """Close the connection at once. The run goes on. A `read_events` in flight or later finds a broken stream."""


StreamConsumer: TypeAlias = Callable[[RunStream], Awaitable[RunObject]]
"""Takes ownership of a stream, and returns its run as soon as the run exists.

The consumer goes on when its caller is cancelled. It raises the `GatewayError` of a stream that ended before it named a
run.
"""
