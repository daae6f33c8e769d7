"""The copies in memory, for the demo, which nobody copies to but in tests."""

from __future__ import annotations

from collections.abc import Collection

from gateway.ledger.copy_store import ObjectCopy


class MemoryCopyStore:
    """A store of copies without a database."""

    def __init__(self) -> None:
        self._copies: dict[tuple[str, str, str], ObjectCopy] = {}

    async def has_done_copies(self, family: str) -> bool:
        return any(key[0] == family and copy.is_done for key, copy in self._copies.items())

    async def find_copies(self, family: str, kind: str, old_ids: Collection[str]) -> dict[str, ObjectCopy]:
        found = ((old_id, self._copies.get((family, kind, old_id))) for old_id in old_ids)
        return {old_id: copy for old_id, copy in found if copy is not None}

    async def put_copy(
        self,
        family: str,
        kind: str,
        copy: ObjectCopy,
        begun_at: int,  # noqa: ARG002 - kept by databases only
    ) -> None:
        key = (family, kind, copy.old_id)
        present = self._copies.get(key)
        if present is None or not present.is_done:
            self._copies[key] = copy
