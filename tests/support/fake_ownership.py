"""A fake ledger of owners: it counts look-ups, can hold them back, and can be unavailable."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from gateway.identity.principal import Owner
from schema.contract.errors import ErrorCode, GatewayError

UNAVAILABLE = GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "The ledger does not answer.")


@dataclass
class FakeIntent:
    """One intent. `thread_id` is the recorded id."""

    ownership: "FakeOwnership"
    owner: Owner
    thread_id: str | None = None
    is_discarded: bool = False

    async def record_id(self, upstream_id: str) -> None:
        assert self.thread_id is None, "recorded twice"
        assert not self.is_discarded
        self.thread_id = upstream_id
        self.ownership.owners[upstream_id] = self.owner

    def discard(self) -> None:
        assert self.thread_id is None
        self.is_discarded = True


@dataclass
class FakeOwnership:
    """Owners by thread. `others` owns all threads that are not listed.

    While `gate` is closed, look-ups wait. Threads in `unknown` cannot be looked up; with `is_down`, nothing can be.
    """

    owners: dict[str, Owner] = field(default_factory=dict)
    others: Owner | None = None
    unknown: set[str] = field(default_factory=set)
    is_down: bool = False
    look_ups: list[list[str]] = field(default_factory=list)
    intents: list[FakeIntent] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def find_owners(self, thread_ids: Collection[str]) -> Mapping[str, Owner]:
        self.look_ups.append(list(thread_ids))
        await self.gate.wait()
        if self.is_down or self.unknown & set(thread_ids):
            raise UNAVAILABLE
        found = {thread_id: self.owners.get(thread_id, self.others) for thread_id in thread_ids}
        return {thread_id: owner for thread_id, owner in found.items() if owner is not None}

    async def begin_create(self, owner: Owner) -> FakeIntent:
        if self.is_down:
            raise UNAVAILABLE
        intent = FakeIntent(self, owner)
        self.intents.append(intent)
        return intent

    async def record_deleted(self, thread_id: str) -> None:
        self.deleted.append(thread_id)
        self.owners.pop(thread_id, None)
