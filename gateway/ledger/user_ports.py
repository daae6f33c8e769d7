"""The ports of the operations of signed-in users, each with its own access to threads and files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from gateway.cache.cached_threads_api import OperationResponses
from gateway.cache.shared_cache import SharedCache
from gateway.identity.permissions import Permissions
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.identity.redacted_events import RedactedEvents, RedactedFeed
from gateway.ledger.file_access import FileAccess
from gateway.ledger.ledger_store import MadeFile, ObjectKind
from gateway.ledger.owned_run_events import OwnedRunEvents
from gateway.ledger.owned_threads_api import OpenPort, OwnedThreadsApi
from gateway.ledger.owner_watch import OwnerWatch
from gateway.ledger.ownership import CreateIntent, Ownership
from gateway.ledger.seen_files import find_files_made_in_changes
from gateway.ledger.thread_access import OwnerScopes, ThreadAccess
from gateway.run_log.hub import RunLogHub
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.ports import EventFeed, RunEvents, ThreadsApi
from schema.contract.run_events import Change


class UserPorts:
    """Makes the ports of signed-in users, over those of a scope.

    `may_override_runs` and `sees_instructions` are the rights of users who are no admins.
    """

    def __init__(
        self,
        ownership: Ownership,
        upstream: UpstreamIdentity,
        shared_cache: SharedCache,
        *,
        may_override_runs: bool = False,
        sees_instructions: bool = False,
    ) -> None:
        self.owner_scopes = OwnerScopes(upstream)
        self._ownership = ownership
        self._shared_cache = shared_cache
        self._redacted_events = RedactedEvents()
        self._may_override_runs = may_override_runs
        self._sees_instructions = sees_instructions
        self._has_followers = asyncio.Event()

    def bind(self, principal: Principal, upstream: ThreadsApi, open_port: OpenPort) -> OwnedThreadsApi:
        """Make the port of one operation, over the ports of scopes that `open_port` opens over `upstream`."""
        access = self.open_access(principal)
        responses = OperationResponses(self._shared_cache, principal.visibility, upstream.cost)
        return OwnedThreadsApi(
            principal,
            access,
            self.open_files(principal),
            self._ownership,
            self._permissions(access),
            upstream=upstream,
            responses=responses,
            open_port=open_port,
        )

    def bind_events(self, principal: Principal, open_events: Callable[[str], RunEvents]) -> OwnedRunEvents:
        """Make the port of the run events of one operation."""
        access = self.open_access(principal)
        self._has_followers.set()
        return OwnedRunEvents(access, self._ownership, open_events, self._redacted_events, self._permissions(access))

    def open_access(self, principal: Principal) -> ThreadAccess:
        """Open the threads of a user, for one operation."""
        return ThreadAccess(principal, self._ownership, self.owner_scopes)

    def open_files(self, principal: Principal) -> FileAccess:
        """Open the files of a user, for one operation."""
        return FileAccess(principal, self._ownership, self.owner_scopes)

    async def begin_upload(self, principal: Principal) -> CreateIntent:
        """Record that a user is about to upload a file, before the upstream is called.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`; the file must not be uploaded.
        """
        return await self._ownership.begin_create(self.open_files(principal).user.owner, ObjectKind.FILE)

    async def record_made_files(self, scope: str, key: RunKey | ThreadKey, changes: Sequence[Change]) -> None:
        """Record the files that runs made, from the changes of a log in a scope. Never raises."""
        file_ids = list(find_files_made_in_changes(changes))
        if not file_ids or (owner := self.owner_scopes.find_owner(scope)) is None:
            return
        made = [MadeFile(file_id, key.thread_id, owner) for file_id in file_ids]
        if (recording := self._ownership.record_made_files(made)) is not None:
            await recording

    def redact_feed(self, principal: Principal, feed: EventFeed) -> EventFeed:
        """Return a feed of events as a user may see them."""
        is_admin = principal.user is not None and principal.user.is_admin
        permissions = Permissions(is_admin, self._may_override_runs, self._sees_instructions)
        return feed if permissions.sees_all else RedactedFeed(feed, self._redacted_events, permissions)

    async def watch_owners(self, hub: RunLogHub) -> None:
        """End the readers of logs whose thread has another owner than before. Runs without end.

        Nothing ends before a user follows something: where nobody signs in, logs lie in the scopes of credentials.
        """
        await self._has_followers.wait()
        await OwnerWatch(hub, self._ownership, self.owner_scopes).run()

    def _permissions(self, access: ThreadAccess) -> Permissions:
        return Permissions(access.user.is_admin, self._may_override_runs, self._sees_instructions)
