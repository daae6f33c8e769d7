"""The content of the Threads API as plain lists and dicts: a model to compare emulator and gateway with.

It predicts the effect of writes, and the statuses that a run may have after some time. Ids and texts that the emulator
makes up are learned when they first appear, and must stay the same.
"""

from dataclasses import dataclass, field
from typing import Any

from schema.contract.keys import NodeKey

LIFETIME_SECONDS = 600
SURELY_DONE_SECONDS = 60
ACTIVE = {"queued", "in_progress", "requires_action", "cancelling"}
CANCELLABLE = ACTIVE - {"cancelling"}


@dataclass
class Run:
    """A run and the known facts of its life."""

    id: str
    assistant_id: str
    metadata: dict[str, str]
    tools: list[str]
    created: int
    queued: int
    status: str = "queued"
    calls: list[str] = field(default_factory=list)
    submitted: bool = False
    made: set[str] = field(default_factory=set)

    @property
    def expected(self) -> dict[str, Any]:
        names = ("id", "status", "metadata", "assistant_id", "calls", "tools")
        return {name: getattr(self, name) for name in names}

    def possible_statuses(self, now: int) -> set[str]:
        """Return the statuses that it may have now, at least two seconds after its last change."""
        expires = self.created + LIFETIME_SECONDS
        if self.status == "cancelling":
            return {"cancelled"}
        if self.status == "requires_action":
            return {"expired"} if now >= expires else {"requires_action"}
        waits = bool(self.tools) and not self.submitted
        if now >= expires:
            return {"expired"} if waits else {"expired", "completed"}
        goal = "requires_action" if waits else "completed"
        return {goal} if now >= self.queued + SURELY_DONE_SECONDS else {"queued", "in_progress", goal}


@dataclass
class Thread:
    """A thread with all its content, oldest first."""

    id: str
    metadata: dict[str, str]
    messages: list[dict[str, Any]] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def expected(self) -> dict[str, Any]:
        return {"id": self.id, "metadata": self.metadata}

    @property
    def active_run(self) -> Run | None:
        return next((run for run in self.runs if run.status in ACTIVE), None)

    @property
    def has_question(self) -> bool:
        return any(message["role"] == "user" for message in self.messages)

    def update_run_state(self, run: Run, shown: dict[str, Any], messages: list[dict[str, Any]], now: int) -> None:
        """Copy the progress of a run and its messages from the upstream. All else must be unchanged."""
        possible_statuses = run.possible_statuses(now)
        assert shown["status"] in possible_statuses, f"expected one of {possible_statuses}, got {shown}"
        run.status, run.calls = shown["status"], shown["calls"]
        assert shown == run.expected
        assert len(run.calls) == (len(run.tools) if run.status == "requires_action" else 0)
        known = [message["id"] for message in self.messages]
        assert [message["id"] for message in messages][: len(known)] == known
        for message in messages:
            if message["id"] in known and message["id"] not in run.made:
                assert message in self.messages
            else:
                assert (message["role"], message["run_id"]) == ("assistant", run.id)
                run.made.add(message["id"])
        self.messages = messages
        if run.status == "completed":
            assert len(run.made) == 1


@dataclass
class Model:
    """All data of one key. `deleted` holds the keys of deleted objects."""

    now: int
    threads: dict[str, Thread] = field(default_factory=dict)
    assistants: dict[str, dict[str, Any]] = field(default_factory=dict)
    deleted: list[NodeKey] = field(default_factory=list)
