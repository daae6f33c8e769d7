"""The port for the storage of copies: which objects were copied from another upstream, and under which id they are now.

A store belongs to the upstream that was copied to, and is a part of a `LedgerStore`. Servers of both families may share
one URL, so each copy also belongs to a family: the same id is an old one for the new API only. A `kind` is the value
of an `ObjectKind`.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Protocol


class ObjectCopy(NamedTuple):
    """The copy of one object.

    Attributes:
        old_id: The object's id at the upstream that it was copied from.
        new_id: Its id at the upstream that it was copied to. None until it is created.
        is_done: Whether all of it was copied, so that the old id stands for the new one.
    """

    old_id: str
    new_id: str | None = None
    is_done: bool = False


class CopyStore(Protocol):
    """The durable copies of one upstream. Each method is one transaction, and may be repeated without harm.

    All raise `LedgerUnavailableError` when the ledger does not answer.
    """

    async def has_done_copies(self, family: str) -> bool:
        """Return whether any object was copied to this upstream as a server of a family."""

    async def find_copies(self, family: str, kind: str, old_ids: Collection[str]) -> dict[str, ObjectCopy]:
        """Find copies by the old ids. An object that nobody began to copy is left out."""

    async def put_copy(self, family: str, kind: str, copy: ObjectCopy, begun_at: int) -> None:
        """Store the state of a copy. One that is done stays as it is. `begun_at` is in Unix seconds."""
