"""The part of a copy in the ledger: what was begun and done, and the owners, titles and words that move along."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.identity.principal import Owner
from gateway.ledger.copy_store import ObjectCopy
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from gateway.ledger.record_merging import to_first_words
from gateway.ledger.record_store import MAX_SIGHTINGS
from gateway.ledger.sightings import (
    CredentialOwner,
    GivenTitle,
    RecordKey,
    RecordOwner,
    SeenMessage,
    SeenThread,
    Sighting,
)
from gateway.viewer.seen_objects import seen_message, text_from_message, to_ms
from schema.contract.thread_records import RecordUpdate, ThreadRecord
from schema.contract.wire import MessageObject


@dataclass(frozen=True, slots=True)
class LedgerEnd:
    """The ledger of one upstream, and the owner of the records of those who call with the command's own key."""

    store: LedgerStore
    key_owner: CredentialOwner


@dataclass(frozen=True, slots=True)
class CopiedThread:
    """A thread whose messages are all there: its old and its new id, and the messages with their new ids."""

    old_id: str
    new_id: str
    created_at: float
    messages: Sequence[tuple[str, MessageObject]] = field(default=())


class CopyLedger:
    """The ledger of a copy: that of its source and that of its target, which may be the same.

    They are the same where both upstreams have one URL. Then the record of a thread moves, so that no list has it
    twice. Otherwise the source keeps its own.
    """

    def __init__(
        self,
        source: LedgerEnd,
        target: LedgerEnd,
        family: str,
        *,
        is_same: bool,
        unix_seconds: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._target = target
        self._family = family
        self._is_same = is_same
        self._unix_seconds = unix_seconds

    async def find_copy(self, kind: ObjectKind, old_id: str) -> ObjectCopy | None:
        """Find the copy of an object, as far as it is."""
        return (await self._target.store.copies.find_copies(self._family, kind, [old_id])).get(old_id)

    async def begin_thread(self, old_id: str, new_id: str | None = None) -> None:
        """Record that a thread is about to be created, or under which id it was."""
        await self._put(ObjectKind.THREAD, ObjectCopy(old_id, new_id))

    async def drop_thread(self, new_id: str) -> None:
        """Remove all that the target keeps of a thread that was deleted again."""
        await self._target.store.remove_objects(ObjectKind.THREAD, [new_id])

    async def finish_file(self, old_id: str, new_id: str) -> None:
        """Record a file that was uploaded, for its owner."""
        owner = (await self._source.store.find_owners(ObjectKind.FILE, [old_id])).get(old_id)
        if owner is not None:
            await self._adopt(ObjectKind.FILE, new_id, owner)
        await self._put(ObjectKind.FILE, ObjectCopy(old_id, new_id, is_done=True))

    async def finish_thread(self, copied: CopiedThread) -> None:
        """Give a thread its owner, its title and its words, and let its old id stand for it."""
        owner = (await self._source.store.find_owners(ObjectKind.THREAD, [copied.old_id])).get(copied.old_id)
        if owner is not None:
            await self._adopt(ObjectKind.THREAD, copied.new_id, owner)
        for source_owner, target_owner in self._record_owners(owner):
            key = RecordKey(source_owner, copied.old_id)
            record = (await self._source.store.records.get_records([key])).get(key)
            if record is not None:
                await self._write_record(RecordKey(target_owner, copied.new_id), record, copied)
        await self._put(ObjectKind.THREAD, ObjectCopy(copied.old_id, copied.new_id, is_done=True))
        await self.remove_moved(copied.old_id)

    async def remove_moved(self, old_id: str) -> None:
        """Remove the record of a thread whose copy is done, where the record moves."""
        if not self._is_same:
            return
        owner = (await self._source.store.find_owners(ObjectKind.THREAD, [old_id])).get(old_id)
        owners = [source_owner for source_owner, _ in self._record_owners(owner)]
        await self._source.store.records.remove_records([RecordKey(each, old_id) for each in owners])

    def _record_owners(self, owner: Owner | None) -> Sequence[tuple[RecordOwner, RecordOwner]]:
        """Return whose records move to whom: a user's stay theirs, those of the source's key go to the target's."""
        of_key = (self._source.key_owner, self._target.key_owner)
        return [of_key] if owner is None else [(owner, owner), of_key]

    async def _write_record(self, key: RecordKey, record: ThreadRecord, copied: CopiedThread) -> None:
        now_ms = int(self._unix_seconds() * 1000)
        sightings: list[Sighting] = [
            SeenThread(key, now_ms, record.created_at_ms, title=_given_title(record, copied, now_ms))
        ]
        sightings += _seen_messages(key, copied, now_ms)
        store = self._target.store.records
        for start in range(0, len(sightings), MAX_SIGHTINGS):
            await store.record_sightings(sightings[start : start + MAX_SIGHTINGS])
        if record.is_archived:
            await store.update_record(key, RecordUpdate(is_archived=True), now_ms)

    async def _adopt(self, kind: ObjectKind, object_id: str, owner: Owner) -> None:
        await self._target.store.adopt_objects(kind, {object_id: owner}, int(self._unix_seconds()))

    async def _put(self, kind: ObjectKind, copy: ObjectCopy) -> None:
        await self._target.store.copies.put_copy(self._family, kind, copy, int(self._unix_seconds()))


def _given_title(record: ThreadRecord, copied: CopiedThread, now_ms: int) -> GivenTitle | None:
    """Return the title that somebody gave. One that is the first words is made of them again."""
    texts = [text_from_message(message) for _, message in copied.messages]
    first = next((words for text in texts if (words := to_first_words(text))), None)
    return None if record.title in {None, first} else GivenTitle(record.title or "", now_ms)


def _seen_messages(key: RecordKey, copied: CopiedThread, now_ms: int) -> list[SeenMessage]:
    seen = []
    for index, (new_id, message) in enumerate(copied.messages):
        sighting = seen_message(key.owner, key.thread_id, message, now_ms, is_first=index == 0).sighting
        if isinstance(sighting, SeenMessage):
            seen.append(sighting._replace(message_id=new_id, created_at_ms=to_ms(message.created_at)))
    return seen
