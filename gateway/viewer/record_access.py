"""The records that a principal may reach: those of a signed-in user's threads, or those of a credential's holder."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

from gateway.identity.principal import Owner
from gateway.ledger.sightings import CredentialOwner, RecordKey, SeenThread
from gateway.ledger.thread_access import OwnerScopes, ThreadAccess
from gateway.viewer.seen_objects import seen_thread
from gateway.viewer.upstream_acceptance import OpenUpstream
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import THREADS


class UserRecords:
    """The records of a signed-in user: of their own threads. An admin reaches those of all owners."""

    def __init__(self, access: ThreadAccess, owner_scopes: OwnerScopes, now_ms: Callable[[], int]) -> None:
        self._access = access
        self._owner_scopes = owner_scopes
        self._now_ms = now_ms

    @property
    def needs_question(self) -> bool:
        return False

    async def check(self) -> None:
        """Do nothing: the token was verified."""

    async def find_keys(self, keys: Sequence[ThreadKey]) -> Sequence[RecordKey | GatewayError | None]:
        user = self._access.user
        if not user.is_admin:
            # The ledger has no record of a thread for a user whose thread it is not.
            return [RecordKey(user.owner, key.thread_id) for key in keys]
        scopes = await self._access.find_scopes([key.thread_id for key in keys])
        return [self._key_from_scope(key, scopes[key.thread_id]) for key in keys]

    async def find_key_to_update(self, key: ThreadKey) -> RecordKey:
        scope = await self._access.find_scope(key.thread_id)
        found = self._key_from_scope(key, scope)
        if not isinstance(found, RecordKey):
            raise GatewayError(
                ErrorCode.UNSUPPORTED,
                "The thread belongs to nobody, so nothing is kept of it. `threads-gateway ledger import` gives it an "
                "owner.",
            )
        return found

    async def see_thread(self, key: RecordKey) -> SeenThread:
        """Return the sighting of a thread whose owner is known: so it exists, as far as anybody knows."""
        return SeenThread(key, self._now_ms())

    def _key_from_scope(self, key: ThreadKey, scope: str | GatewayError) -> RecordKey | GatewayError | None:
        if isinstance(scope, GatewayError):
            return scope
        owner: Owner | None = self._owner_scopes.find_owner(scope)
        return None if owner is None else RecordKey(owner, key.thread_id)


class CredentialRecords:
    """The records of the holder of a credential. The upstream decides what they may reach.

    `check_accepted` raises a `GatewayError` unless the upstream has accepted the credential a moment ago.
    `needs_question` tells whether it may have to be asked.
    `open_upstream` opens a port without a cache.
    """

    def __init__(
        self,
        owner: CredentialOwner,
        open_upstream: OpenUpstream,
        check_accepted: Callable[[], Awaitable[None]],
        now_ms: Callable[[], int],
        *,
        needs_question: Callable[[], bool] = lambda: False,
    ) -> None:
        self._owner = owner
        self._open_upstream = open_upstream
        self._check_accepted = check_accepted
        self._needs_question = needs_question
        self._now_ms = now_ms

    @property
    def needs_question(self) -> bool:
        return self._needs_question()

    async def check(self) -> None:
        await self._check_accepted()

    async def find_keys(self, keys: Sequence[ThreadKey]) -> Sequence[RecordKey | GatewayError | None]:
        return [RecordKey(self._owner, key.thread_id) for key in keys]

    async def find_key_to_update(self, key: ThreadKey) -> RecordKey:
        return RecordKey(self._owner, key.thread_id)

    async def see_thread(self, key: RecordKey) -> SeenThread:
        """Read the thread from the upstream."""
        began_ms = self._now_ms()
        (thread,) = await self._open_upstream().get(THREADS, [ThreadKey(key.thread_id)])
        if isinstance(thread, GatewayError):
            raise thread.with_traceback(None)
        return cast("SeenThread", seen_thread(self._owner, thread, began_ms).sighting)
