"""A fake ledger of owners: it counts look-ups, can hold them back, and can be unavailable."""

import asyncio
from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass, field

from gateway.identity.principal import Owner
from gateway.ledger.ledger_store import MadeFile, ObjectKind
from schema.contract.errors import ErrorCode, GatewayError

UNAVAILABLE = GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "The ledger does not answer.")


@dataclass
class FakeIntent:
    """One intent. `object_id` is the recorded id."""

    ownership: "FakeOwnership"
    owner: Owner
    kind: ObjectKind
    object_id: str | None = None
    is_discarded: bool = False

    async def record_id(self, upstream_id: str) -> None:
        assert self.object_id is None, "recorded twice"
        assert not self.is_discarded
        self.object_id = upstream_id
        self.ownership.owners[upstream_id] = self.owner

    def discard(self) -> None:
        assert self.object_id is None
        self.is_discarded = True


@dataclass
class FakeOwnership:
    """Owners of threads and files, by id. `others` owns all that are not listed.

    While `gate` is closed, look-ups wait. Objects in `unknown` cannot be looked up; with `is_down`, nothing can be.
    """

    owners: dict[str, Owner] = field(default_factory=dict)
    others: Owner | None = None
    unknown: set[str] = field(default_factory=set)
    is_down: bool = False
    look_ups: list[list[str]] = field(default_factory=list)
    intents: list[FakeIntent] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    made_files: list[MadeFile] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def find_owners(self, _: ObjectKind, object_ids: Collection[str]) -> Mapping[str, Owner]:
        self.look_ups.append(list(object_ids))
        await self.gate.wait()
        if self.is_down or self.unknown & set(object_ids):
            raise UNAVAILABLE
        found = {object_id: self.owners.get(object_id, self.others) for object_id in object_ids}
        return {object_id: owner for object_id, owner in found.items() if owner is not None}

    async def begin_create(self, owner: Owner, kind: ObjectKind) -> FakeIntent:
        if self.is_down:
            raise UNAVAILABLE
        intent = FakeIntent(self, owner, kind)
        self.intents.append(intent)
        return intent

    async def record_deleted(self, _: ObjectKind, object_id: str) -> None:
        self.deleted.append(object_id)
        self.owners.pop(object_id, None)

    def record_made_files(self, files: Collection[MadeFile]) -> Awaitable[None] | None:
        self.made_files += files
        for made in files:
            self.owners.setdefault(made.file_id, made.owner)
        return None
