"""The port of the ledger for storage: what a database, or the memory of the demo, must do.

A store belongs to one upstream. Of another upstream's rows in the same database it sees nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol

from gateway.identity.principal import Owner
from gateway.ledger.copy_store import CopyStore
from gateway.ledger.record_store import RecordStore
from gateway.upstream.responses.kept_records import KeptRecords


class ObjectKind(StrEnum):
    """A kind of upstream object that has an owner. The values are stored."""

    THREAD = "thread"
    FILE = "file"


class OwnedObject(NamedTuple):
    """An object that has an owner: its kind, and the upstream's id."""

    kind: ObjectKind
    object_id: str


class MadeFile(NamedTuple):
    """A file that a run made in a thread of an owner's."""

    file_id: str
    thread_id: str
    owner: Owner


@dataclass(frozen=True, slots=True)
class StoredIntent:
    """A create that was recorded before the upstream was called. `created_at` is in Unix seconds."""

    intent_id: str
    owner: Owner
    kind: ObjectKind
    created_at: int


@dataclass(frozen=True, slots=True)
class Adoption:
    """The outcome of adopting objects: how many were adopted, and how many were left as they were, by reason.

    `reassigned` are among the adopted. An owner who was forgotten adopts nothing.
    """

    adopted: int = 0
    reassigned: int = 0
    already_theirs: int = 0
    anothers: int = 0
    forgotten: int = 0

    def __add__(self, other: Adoption) -> Adoption:
        return Adoption(
            self.adopted + other.adopted,
            self.reassigned + other.reassigned,
            self.already_theirs + other.already_theirs,
            self.anothers + other.anothers,
            self.forgotten + other.forgotten,
        )


class LedgerUnavailableError(Exception):
    """The ledger did not answer: it cannot be reached, is too slow, or is busy. The same call may succeed later."""


class CannotOpenError(Exception):
    """The database cannot be used. The message gives the reason in a line, without a password."""


class LedgerStore(Protocol):
    """The durable rows of the ledger. Each method is one transaction, and may be repeated without harm.

    All raise `LedgerUnavailableError` when the ledger does not answer. The records of a thread go along with it, when
    it gets another owner or is removed, and so do its chains, its items and its lock when it is removed.
    """

    @property
    def records(self) -> RecordStore:
        """The records of threads, in the same database."""

    @property
    def copies(self) -> CopyStore:
        """The objects that were copied from another upstream, in the same database."""

    @property
    def kept(self) -> KeptRecords:
        """The chains, items, assistants and locks of an upstream with responses, in the same database.

        Like all that is here, they raise `LedgerUnavailableError`.
        """

    async def find_owners(self, kind: ObjectKind, object_ids: Collection[str]) -> dict[str, Owner]:
        """Find the owners of objects. An object without an owner is left out."""

    async def add_intent(self, intent: StoredIntent) -> None:
        """Record that an object is about to be created."""

    async def remove_intent(self, intent: StoredIntent) -> None:
        """Remove an intent whose object was not created."""

    async def add_created(self, intent: StoredIntent, object_id: str) -> bool:
        """Record the object that an intent led to, and remove the intent.

        Returns:
            Whether the object is the owner's now. It is not if the owner was forgotten after the intent was recorded,
            or if it is another's already.
        """

    async def add_made_files(self, files: Collection[MadeFile], created_at: int) -> dict[str, Owner]:
        """Give files that runs made to the owners of their threads. Changes the owner of none that has one.

        A file stays nobody's if its thread is not the owner's any more, since the thread or the person is gone.

        Returns:
            The owners of these files afterwards.
        """

    async def remove_objects(self, kind: ObjectKind, object_ids: Collection[str]) -> None:
        """Remove objects, which were deleted upstream."""

    async def adopt_objects(
        self, kind: ObjectKind, owners: Mapping[str, Owner], created_at: int, *, reassign: bool = False
    ) -> Adoption:
        """Give existing objects, by id, to owners. Changes the owner of none that has one, unless `reassign`."""

    async def list_objects(self, owner: Owner, limit: int, after: OwnedObject | None = None) -> Sequence[OwnedObject]:
        """List objects of an owner, at most `limit`, in an order of the store's own, those after one of them."""

    async def count_objects(self, owner: Owner) -> int:
        """Count the objects of an owner."""

    async def add_tombstone(self, owner: Owner, forgotten_at: int) -> None:
        """Record that an owner is forgotten, and remove their intents: what those led to is refused from now on.

        Creates that begin later are the owner's as any other's.
        """

    async def remove_intents_before(self, created_at: int) -> int:
        """Remove intents that are older, whose objects nobody can reach. Returns their number."""

    async def move_assistants(self, source: str, target: str) -> int:
        """Move assistants to another shelf, but for those that it has already. Returns how many were moved."""

    async def remove_locks_before(self, until: float) -> int:
        """Remove leases on conversations that ended before a time. Returns their number."""

    async def check(self) -> None:
        """Check that the ledger answers."""

    async def aclose(self) -> None:
        """Close all connections."""
