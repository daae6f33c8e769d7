"""What happens in a run or on a thread, as a run log keeps it: changes in the upstream's own names and units.

A `RunEvent` is one change with its cursor, its time and its provenance. What reads a run's stream and what polls a
run make the same changes of it, so a reader need not know which of them was at work.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from msgspec import Raw, Struct

from schema.contract.wire import MessageObject, RunObject, RunStepObject


class Provenance(StrEnum):
    """How the gateway came to know of a change."""

    SNAPSHOT = "SNAPSHOT"
    STREAMED = "STREAMED"
    POLLED = "POLLED"


class _Change(Struct, frozen=True, gc=False, tag_field="kind"):
    """Base of all changes: immutable, told apart by `kind` where they are written down."""


class SnapshotChange(_Change, frozen=True, tag="snapshot"):
    """A run as it stands, with its steps and the messages that it wrote, oldest first.

    A log begins with one; others in it are only there for those who find its beginning gone.
    """

    run: RunObject
    steps: list[RunStepObject]
    messages: list[MessageObject]


class StatusChange(_Change, frozen=True, tag="status"):
    """A run in another status than before; `previous` is None where nothing was known of it."""

    run: RunObject
    previous: str | None = None


class StepChange(_Change, frozen=True, tag="step"):
    """A step that is new or not as it was."""

    step: RunStepObject


class ToolCallDeltaChange(_Change, frozen=True, tag="tool_call_delta"):
    """A piece of a step's tool call number `index`, to be appended; `call_id` and `name` come with its first piece."""

    step_id: str
    index: int
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    code: str | None = None


class MessageCreatedChange(_Change, frozen=True, tag="message_created"):
    """A message that is new; one that a run is writing has no content yet."""

    message: MessageObject


class TextDeltaChange(_Change, frozen=True, tag="text_delta"):
    """A piece of the text of a message's part number `index`, to be appended, with the annotations that came along."""

    message_id: str
    index: int
    value: str
    annotations: list[Raw] = []


class MessageFinishedChange(_Change, frozen=True, tag="message_finished"):
    """A message that nothing is added to any more, whole."""

    message: MessageObject


class FaultChange(_Change, frozen=True, tag="fault"):
    """What went wrong while the run was followed; not `final` where what was lost can still be read."""

    code: str
    message: str
    final: bool = False


class LaggedChange(_Change, frozen=True, tag="lagged"):
    """A reader was too slow for `skipped` events; the present state follows. In no log: it is one reader's own."""

    skipped: int


Change: TypeAlias = (
    SnapshotChange
    | StatusChange
    | StepChange
    | ToolCallDeltaChange
    | MessageCreatedChange
    | TextDeltaChange
    | MessageFinishedChange
    | FaultChange
    | LaggedChange
)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RunEvent:
    """One change: when it was written down (Unix time), how it became known, and the opaque cursor behind it."""

    cursor: str
    at: float
    provenance: Provenance
    change: Change
