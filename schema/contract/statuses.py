"""The statuses in which an object of the upstream cannot change any more. An unknown status may still change."""

from __future__ import annotations

TERMINAL_STATUSES = frozenset({"cancelled", "failed", "completed", "incomplete", "expired"})
"""Statuses of a run that cannot change. Source: the schema `RunObject`, `status`."""

FINAL_STEP_STATUSES = frozenset({"completed", "failed", "cancelled", "expired"})
"""Statuses of a step that cannot change. Source: the schema `RunStepObject`, `status`."""

FINISHED_MESSAGE_STATUSES = frozenset({"completed", "incomplete"})
"""Statuses of a message that is complete. Source: the schema `MessageObject`, `status`."""


def is_terminal(status: str) -> bool:
    """Return whether a run in this status can never change again."""
    return status in TERMINAL_STATUSES
