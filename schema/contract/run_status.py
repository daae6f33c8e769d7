"""Which states a run can be in, and which of them can no longer change."""

from __future__ import annotations

TERMINAL_STATUSES = frozenset({"cancelled", "failed", "completed", "incomplete", "expired"})
"""Statuses that cannot change. Source: the run object's `status` in the API's specification."""


def is_terminal(status: str) -> bool:
    """Tell whether a run in this status can never change again; an unknown status still may."""
    return status in TERMINAL_STATUSES
