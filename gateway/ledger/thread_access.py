"""The threads that a signed-in user may reach, and the scope of each: the digest of its owner.

A thread of somebody else and a thread that never existed are the same to a caller: both have the error that the
upstream gives for an unknown thread, without an upstream call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from cachetools import LRUCache

from gateway.identity.principal import Owner, Principal, UpstreamIdentity, gateway_digest
from gateway.ledger.ownership import Ownership
from gateway.telemetry.audit import audit_refused_access
from schema.contract.errors import ErrorCode, GatewayError

MAX_KNOWN_SCOPES = 10_000

ThreadScope: TypeAlias = str | GatewayError
"""The scope of a thread, or the error in its place."""


def thread_not_found(thread_id: str) -> GatewayError:
    """Make the error of an unknown thread. Source: the message of `GET /threads/{thread_id}` with status 404."""
    return GatewayError(ErrorCode.NOT_FOUND, f"No thread found with id '{thread_id}'.")


def file_not_found(file_id: str) -> GatewayError:
    """Make the error of an unknown file. Source: the message of `GET /files/{file_id}` with status 404."""
    return GatewayError(ErrorCode.NOT_FOUND, f"No such File object: {file_id}")


class OwnerScopes:
    """The scopes at one upstream: one for each owner, and the gateway's for all that has no owner."""

    def __init__(self, upstream: UpstreamIdentity) -> None:
        self._upstream = upstream
        self._by_owner: LRUCache[Owner, str] = LRUCache(MAX_KNOWN_SCOPES)
        self._owners: LRUCache[str, Owner] = LRUCache(MAX_KNOWN_SCOPES)
        self.gateway_scope = gateway_digest(upstream)

    def to_scope(self, owner: Owner | None) -> str:
        """Return the scope of an owner; None is nobody."""
        if owner is None:
            return self.gateway_scope
        scope = self._by_owner.get(owner)
        if scope is None:
            scope = self._by_owner[owner] = owner.digest(self._upstream)
        self._owners[scope] = owner
        return scope

    def find_owner(self, scope: str) -> Owner | None:
        """Find the owner of a scope that was used lately."""
        return self._owners.get(scope)


class ThreadAccess:
    """The threads of one operation of a user. The owner of each is looked up once.

    An admin reaches every thread, in its owner's scope. The ledger need not know all threads of the upstream, so an
    admin reaches those without an owner too, in the gateway's scope.
    """

    def __init__(self, principal: Principal, ownership: Ownership, owner_scopes: OwnerScopes) -> None:
        if principal.user is None:
            raise ValueError("expected the principal of a signed-in user, got one without a user")
        self.user = principal.user
        self._principal = principal
        self._ownership = ownership
        self._owner_scopes = owner_scopes
        self._scopes: dict[str, ThreadScope] = {}
        self._look_ups: dict[str, asyncio.Future[None]] = {}

    @property
    def own_scope(self) -> str:
        """The scope of the user's own threads."""
        return self._owner_scopes.to_scope(self.user.owner)

    @property
    def gateway_scope(self) -> str:
        """The scope of all that has no owner, such as assistants."""
        return self._owner_scopes.gateway_scope

    async def find_scopes(self, thread_ids: Collection[str]) -> Mapping[str, ThreadScope]:
        """Find the scope of each thread, or the error in its place. The mapping may hold other threads too."""
        scopes, look_ups = self._scopes, self._look_ups
        while missing := [thread_id for thread_id in dict.fromkeys(thread_ids) if thread_id not in scopes]:
            others = {look_ups[thread_id] for thread_id in missing if thread_id in look_ups}
            new = [thread_id for thread_id in missing if thread_id not in look_ups]
            if new:
                await self._look_up(new)
            if others:  # of another batch; if that one was cancelled, its threads are still missing
                await asyncio.wait(others)
        return scopes

    async def find_scope(self, thread_id: str) -> str:
        """Find the scope of one thread. Raises the `GatewayError` of a thread that the user may not reach."""
        scope = (await self.find_scopes((thread_id,)))[thread_id]
        if isinstance(scope, GatewayError):
            raise scope.with_traceback(None)
        return scope

    def record_created(self, thread_id: str) -> None:
        """Record that the user has created a thread in this operation."""
        self._scopes[thread_id] = self.own_scope

    def record_deleted(self, thread_id: str) -> None:
        """Record that a thread was deleted in this operation."""
        self._scopes[thread_id] = self._choose_scope(thread_id, None)

    def to_thread_scopes(self) -> dict[str, str | None] | None:
        """Return the scopes of all threads that were looked up, None for those that the user may not reach.

        Returns None if the owner of a thread could not be found out.
        """
        thread_scopes: dict[str, str | None] = {}
        for thread_id, scope in self._scopes.items():
            if isinstance(scope, str):
                thread_scopes[thread_id] = scope
            elif scope.code is ErrorCode.NOT_FOUND:
                thread_scopes[thread_id] = None
            else:
                return None
        return thread_scopes

    async def are_unchanged(self, thread_scopes: Mapping[str, str | None]) -> bool:
        """Return whether the user would find all these threads in these scopes now."""
        await self.find_scopes(thread_scopes)
        present = self.to_thread_scopes()
        return present is not None and thread_scopes.items() <= present.items()

    async def _look_up(self, thread_ids: Sequence[str]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._look_ups |= dict.fromkeys(thread_ids, done)
        try:
            found = await self._find_owners(thread_ids)
            for thread_id, owner in found.items():
                scope = owner if isinstance(owner, GatewayError) else self._choose_scope(thread_id, owner)
                self._scopes.setdefault(thread_id, scope)
            self._audit_refusals(found)
        finally:
            for thread_id in thread_ids:
                del self._look_ups[thread_id]
            done.set_result(None)

    async def _find_owners(self, thread_ids: Sequence[str]) -> dict[str, Owner | GatewayError | None]:
        """Find owners in one look-up. If that fails, each is looked up alone: those in memory need no ledger."""
        try:
            owners = await self._ownership.find_owners(thread_ids)
        except GatewayError as error:
            if len(thread_ids) == 1:
                return {thread_ids[0]: error}
            found = await asyncio.gather(*(self._find_owners((thread_id,)) for thread_id in thread_ids))
            return {thread_id: owner for each in found for thread_id, owner in each.items()}
        return {thread_id: owners.get(thread_id) for thread_id in thread_ids}

    def _choose_scope(self, thread_id: str, owner: Owner | None) -> ThreadScope:
        if owner == self.user.owner or self.user.is_admin:
            return self._owner_scopes.to_scope(owner)
        return thread_not_found(thread_id)

    def _audit_refusals(self, found: Mapping[str, Owner | GatewayError | None]) -> None:
        if self.user.is_admin:
            return
        anothers = [each for each, owner in found.items() if isinstance(owner, Owner) and owner != self.user.owner]
        unowned = [thread_id for thread_id, owner in found.items() if owner is None]
        for reason, thread_ids in (("another's thread", anothers), ("nobody's thread", unowned)):
            if thread_ids:
                audit_refused_access(self._principal, reason, kind="Thread", ids=thread_ids)
