"""The port of the ledger for operations: the owners of threads and files, and the record of new ones."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from gateway.identity.principal import Owner
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import MadeFile, ObjectKind
from gateway.upstream.responses.kept_records import KeptRecords


class CreateIntent(Protocol):
    """A create that was recorded before the upstream was called. Its end is told by one call of a method, at most.

    Of a create whose outcome is unknown, such as one that timed out, nothing is told: nobody owns what it made.
    """

    async def record_id(self, upstream_id: str) -> None:
        """Record the id that the upstream gave. Never raises: what cannot be stored now is tried again from memory.

        The owner is known to this process as soon as it is called. A caller that is cancelled has recorded it too.
        """

    def discard(self) -> None:
        """Remove the record in the background, because the upstream surely created nothing."""


class Ownership(Protocol):
    """The owners of objects. Fails closed: an owner that cannot be found out is an error, never a guess."""

    async def find_owners(self, kind: ObjectKind, object_ids: Collection[str]) -> Mapping[str, Owner]:
        """Find the owners of objects, in one look-up. An object without an owner is left out.

        What this process learned in the last 60 s is taken from memory.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`; an owner is not in memory, and the ledger did not answer in time.
        """

    async def begin_create(self, owner: Owner, kind: ObjectKind) -> CreateIntent:
        """Record that an object of an owner is about to be created.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`; the ledger did not answer in time, so the object must not be created.
        """

    async def record_deleted(self, kind: ObjectKind, object_id: str) -> None:
        """Record that an object was deleted. Never raises: what cannot be stored now is tried again from memory."""

    def record_made_files(self, files: Collection[MadeFile]) -> Awaitable[None] | None:
        """Record files that runs made in threads of their owners. Never changes the owner of a file that has one.

        The owner is known to this process as soon as it is called. What cannot be stored now is tried again from
        memory.

        Returns:
            The end of the first try, which never raises. None if there is nothing to wait for.
        """


class Ledger(Protocol):
    """The ledger of a gateway: opened before the gateway serves, closed after its last operation."""

    @property
    def ownership(self) -> Ownership | None:
        """The owners of objects. None without a ledger."""

    @property
    def records(self) -> LedgerLink | None:
        """The store, for the records of threads. None if the gateway keeps none."""

    @property
    def kept(self) -> KeptRecords | None:
        """The chains, items, assistants and locks of an upstream with responses. None without a ledger."""

    async def open(self) -> None:
        """Open the ledger.

        Raises:
            CannotOpenError: It cannot be used.
        """

    async def check(self) -> bool | None:
        """Tell whether the ledger answers. None if there is none to ask."""

    async def aclose(self) -> None:
        """Close the ledger."""


@dataclass(frozen=True, slots=True)
class BorrowedLedger:
    """A ledger that somebody else opens and closes, or none."""

    ownership: Ownership | None
    records: LedgerLink | None = None
    kept: KeptRecords | None = None

    async def open(self) -> None:
        """Do nothing: it is open."""

    async def check(self) -> None:
        """Tell nothing."""

    async def aclose(self) -> None:
        """Do nothing: its owner closes it."""
