"""The run events of signed-in users: the owner of the thread is checked before its log is followed."""

from __future__ import annotations

from collections.abc import Callable

from gateway.identity.permissions import Permissions
from gateway.identity.redacted_events import RedactedEvents, RedactedFeed
from gateway.ledger.ledger_store import MadeFile
from gateway.ledger.ownership import Ownership
from gateway.ledger.recording_feed import RecordingFeed
from gateway.ledger.seen_files import find_files_made_in_changes
from gateway.ledger.thread_access import ThreadAccess
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import EventFeed, RunEvents
from schema.contract.run_events import RunEvent


class OwnedRunEvents:
    """The `RunEvents` of one operation of a signed-in user.

    Each log is followed in the scope of its owner, whoever follows: so there is one log, and one reader of the
    upstream. A cursor is read after the check, so it tells nothing of another's log.
    """

    def __init__(
        self,
        access: ThreadAccess,
        ownership: Ownership,
        open_events: Callable[[str], RunEvents],
        redacted_events: RedactedEvents,
        permissions: Permissions,
    ) -> None:
        """Follow with the ports that `open_events` opens for a scope."""
        self._access = access
        self._ownership = ownership
        self._open_events = open_events
        self._redacted_events = redacted_events
        self._permissions = permissions

    async def follow_status(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        return self._redact(await (await self._find_events(key)).follow_status(key, after=after))

    async def follow_run(self, key: RunKey, *, after: str | None = None) -> EventFeed:
        return self._show(key, await (await self._find_events(key)).follow_run(key, after=after))

    async def follow_thread(self, key: ThreadKey, *, after: str | None = None) -> EventFeed:
        return self._show(key, await (await self._find_events(key)).follow_thread(key, after=after))

    async def _find_events(self, key: RunKey | ThreadKey) -> RunEvents:
        return self._open_events(await self._access.find_scope(key.thread_id))

    def _show(self, key: RunKey | ThreadKey, feed: EventFeed) -> EventFeed:
        owner = self._access.get_owner(key.thread_id)
        if owner is None:
            return self._redact(feed)

        def record(event: RunEvent) -> None:
            if file_ids := list(find_files_made_in_changes((event.change,))):
                self._ownership.record_made_files([MadeFile(each, key.thread_id, owner) for each in file_ids])

        return RecordingFeed(self._redact(feed), record)

    def _redact(self, feed: EventFeed) -> EventFeed:
        return feed if self._permissions.sees_all else RedactedFeed(feed, self._redacted_events, self._permissions)
