"""Run events: the changes of a run or a thread as the run log stores them, in the upstream's own names and units.

A `RunEvent` is one change with its cursor, its time and its provenance. The recorder of a run's stream and the poller
of a run produce the same changes, so a reader need not know which of them was at work.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import Raw, Struct

from schema.contract.thread_records import ThreadRecord
from schema.contract.wire import MessageObject, RunObject, RunStepObject


class Provenance(StrEnum):
    """The way in which the gateway learned of a change."""

    SNAPSHOT = "SNAPSHOT"
    STREAMED = "STREAMED"
    POLLED = "POLLED"


class _Change(Struct, frozen=True, gc=False, tag_field="kind"):
    """Base of all changes: immutable. In stored form the field `kind` tells them apart."""


class SnapshotChange(_Change, frozen=True, tag="snapshot"):
    """The current state of a run, with its steps and the messages that it wrote, oldest first.

    A log begins with a snapshot. Later snapshots serve readers that find its beginning gone.
    """

    run: RunObject
    steps: list[RunStepObject]
    messages: list[MessageObject]


class StatusChange(_Change, frozen=True, tag="status"):
    """A run whose status changed. `previous` is None if the run was not known before."""

    run: RunObject
    previous: str | None = None


class StepChange(_Change, frozen=True, tag="step"):
    """A new or changed step."""

    step: RunStepObject


class ToolCallDeltaChange(_Change, frozen=True, tag="tool_call_delta"):
    """A part to append to a step's tool call number `index`. The first part brings `call_id` and `name`.

    `rest` holds the other fields of the part, such as the kind of a call, its outputs or its results. The offsets count
    the UTF-16 units of the arguments and of the code before this part.
    """

    step_id: str
    index: int
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    code: str | None = None
    rest: dict[str, Any] | None = None
    arguments_offset: int = 0
    code_offset: int = 0


class MessageCreatedChange(_Change, frozen=True, tag="message_created"):
    """A new message. A message that a run is still writing has no content yet."""

    message: MessageObject


class TextDeltaChange(_Change, frozen=True, tag="text_delta"):
    """A piece of text to append to a message's part number `index`, with the annotations that came with it.

    `rest` holds the fields of a part that is not text, such as an image. Its text is empty. The offset counts the
    UTF-16 units of this part's text before this piece.
    """

    message_id: str
    index: int
    value: str
    annotations: list[Raw] = []
    rest: dict[str, Any] | None = None
    offset: int = 0


class MessageFinishedChange(_Change, frozen=True, tag="message_finished"):
    """A complete message. Nothing will be added to it."""

    message: MessageObject


class FaultChange(_Change, frozen=True, tag="fault"):
    """A fault while the run was followed. It is not `final` if the lost data can still be read."""

    code: str
    message: str
    final: bool = False


class LaggedChange(_Change, frozen=True, tag="lagged"):
    """A subscriber was too slow and missed `skipped` events. The current state follows. It is never stored in a log."""

    skipped: int


class ThreadChange(_Change, frozen=True, tag="thread_changed"):
    """A thread that is new in its viewer's list, or whose record changed. Without the record, it is read when shown.

    It stands in the log of a viewer, not of a thread.
    """

    thread_id: str
    record: ThreadRecord | None = None


class ThreadRemovedChange(_Change, frozen=True, tag="thread_removed"):
    """A thread that is gone from its viewer's list. It stands in the log of a viewer, not of a thread."""

    thread_id: str


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
    | ThreadChange
    | ThreadRemovedChange
)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class RunEvent:
    """One change with its opaque cursor. `at` is the Unix time in seconds when it was recorded."""

    cursor: str
    at: float
    provenance: Provenance
    change: Change
