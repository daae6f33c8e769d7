"""The ports of this package for records that the gateway itself keeps of an upstream with responses.

Conversations know no assistants, no runs and no times of items, so these are kept beside them: in the ledger. All
methods raise a `GatewayError` with `LEDGER_UNAVAILABLE` where the ledger does not answer. Times are Unix seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schema.contract.paging import Window
from schema.contract.wire import AssistantObject, Page


@dataclass(frozen=True, slots=True)
class ChainRecord:
    """A run as a chain of responses.

    Attributes:
        run_id: The id of the first response.
        thread_id: The id of the conversation.
        created_at: When the run was started.
        assistant_id: The assistant that it was started with.
        response_ids: The ids of the responses, oldest first.
        request: The JSON of the request that started the chain: what continues it has the same options.
        answers: What the client has submitted, by the id of the call.
        status: The run's status as it was last seen. Once terminal it stays; `expired` is known here alone.
        waiting_since: Since when the run waits for its client. None if it does not.
        ended_run: The JSON of the run as it ended, which no call need read again. None until it is known.
    """

    run_id: str
    thread_id: str
    created_at: int
    assistant_id: str | None
    response_ids: tuple[str, ...]
    request: bytes
    answers: Mapping[str, str] = field(default_factory=dict)
    status: str = "queued"
    waiting_since: float | None = None
    ended_run: bytes | None = None


@dataclass(frozen=True, slots=True)
class ItemRecord:
    """A message as the gateway saw it: the run that wrote it, if any, and when it was first seen."""

    created_at: int
    run_id: str | None = None


class ChainStore(Protocol):
    """The chains of one upstream, and the items of its conversations that were seen.

    A conversation that was removed takes no more of either: what is written late is dropped without an error.
    """

    async def add_chain(self, chain: ChainRecord) -> None:
        """Add a chain, or replace the one of that run."""

    async def find_chains(self, run_ids: Sequence[str]) -> Mapping[str, ChainRecord]:
        """Find chains by run. Those that are unknown are left out."""

    async def list_chains(self, thread_id: str, window: Window) -> Page[ChainRecord] | None:
        """List the chains of a conversation by the second in which they were started, then as they were added.

        None if `after` is unknown.
        """

    async def list_waiting(self, before: float, limit: int) -> Sequence[ChainRecord]:
        """List at most so many chains that have waited since before a time, the longest first."""

    async def extend_chain(self, run_id: str, response_id: str, answers: Mapping[str, str]) -> None:
        """Add a response to a chain and what was submitted for it. A chain that waited is queued again."""

    async def record_status(
        self, run_id: str, status: str, waiting_since: float | None = None, ended_run: bytes | None = None
    ) -> bool:
        """Record a status. One that has ended a run stays, and a run that waits already keeps its time.

        `ended_run` is the run as it ended; it may come later than its status, and the first one stays.

        Returns whether the record was changed.
        """

    async def add_items(self, thread_id: str, items: Mapping[str, ItemRecord]) -> None:
        """Add items by id. One that is known keeps its time, and gets a run where it had none."""

    async def find_items(self, thread_id: str, item_ids: Sequence[str]) -> Mapping[str, ItemRecord]:
        """Find items by id. Those that are unknown are left out."""

    async def remove_thread(self, thread_id: str) -> None:
        """Remove all that is kept of a conversation."""


class AssistantStore(Protocol):
    """The assistants at one upstream. `shelf` says whose: the digest of a credential, or the gateway's own."""

    async def add_assistant(self, shelf: str, assistant: AssistantObject) -> None:
        """Add an assistant, or replace the one with that id."""

    async def find_assistants(self, shelf: str, ids: Sequence[str]) -> Mapping[str, AssistantObject]:
        """Find assistants by id. Those that are unknown are left out."""

    async def list_assistants(self, shelf: str, window: Window) -> Page[AssistantObject] | None:
        """List assistants by the second in which they were created, then as they were added.

        None if `after` is unknown.
        """

    async def change_assistant(
        self, shelf: str, assistant_id: str, change: Callable[[AssistantObject], AssistantObject]
    ) -> AssistantObject | None:
        """Change an assistant to what `change` makes of it, with no other change in between.

        Returns the assistant as it is then, or None if there is none.
        """

    async def remove_assistant(self, shelf: str, assistant_id: str) -> bool:
        """Remove an assistant. Returns whether there was one."""


class ThreadLocks(Protocol):
    """The leases on conversations: at most one run at a time, also where the server has no lock of its own.

    A lease that is not renewed ends by itself, so that one whose holder was killed is free after its time. The holder
    is the run's id as soon as that is known, so that whoever follows the run can renew the lease and let it go.
    """

    async def acquire(self, thread_id: str, holder: str, seconds: float) -> bool:
        """Take a lease, or renew one's own. Returns whether the caller holds it now."""

    async def hand_over(self, thread_id: str, holder: str, new_holder: str, seconds: float) -> bool:
        """Give a lease to another holder, for so long from now. Returns whether it was the first one's."""

    async def find_holder(self, thread_id: str) -> str | None:
        """Find who holds a lease now."""

    async def release(self, thread_id: str, holder: str) -> None:
        """Let a lease go, if it is the caller's."""


@dataclass(frozen=True, slots=True)
class KeptRecords:
    """All three, as a client of this package gets them."""

    chains: ChainStore
    assistants: AssistantStore
    locks: ThreadLocks
