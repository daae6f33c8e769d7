"""The objects that a signed-in user may reach, and the scope of each: the digest of its owner.

An object of somebody else and one that never existed are the same to a caller: both have the error that the upstream
gives for an unknown object, without an upstream call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TypeAlias

from cachetools import LRUCache

from gateway.identity.principal import Owner, Principal, UpstreamIdentity, gateway_digest
from gateway.ledger.ledger_store import ObjectKind, OwnedObject
from gateway.ledger.ownership import Ownership
from gateway.telemetry.audit import audit_refused_access
from schema.contract.errors import ErrorCode, GatewayError

MAX_KNOWN_SCOPES = 10_000

Scope: TypeAlias = str | GatewayError
"""The scope of an object, or the error in its place."""


def thread_not_found(thread_id: str) -> GatewayError:
    """Make the error of an unknown thread. Source: the message of `GET /threads/{thread_id}` with status 404."""
    return GatewayError(ErrorCode.NOT_FOUND, f"No thread found with id '{thread_id}'.")


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


class ObjectAccess:
    """The objects of one kind that one operation of a user may reach. The owner of each is looked up once.

    An admin reaches every object, in its owner's scope. The ledger need not know all objects of the upstream, so an
    admin reaches those without an owner too, in the gateway's scope. `not_found` makes the error of an unknown object.
    """

    def __init__(
        self,
        kind: ObjectKind,
        principal: Principal,
        ownership: Ownership,
        owner_scopes: OwnerScopes,
        not_found: Callable[[str], GatewayError],
    ) -> None:
        if principal.user is None:
            raise ValueError("expected the principal of a signed-in user, got one without a user")
        self.user = principal.user
        self._kind = kind
        self._principal = principal
        self._ownership = ownership
        self._owner_scopes = owner_scopes
        self._not_found = not_found
        self._owners: dict[str, Owner | GatewayError | None] = {}
        self._scopes: dict[str, Scope] = {}
        self._look_ups: dict[str, asyncio.Future[None]] = {}

    @property
    def own_scope(self) -> str:
        """The scope of the user's own objects."""
        return self._owner_scopes.to_scope(self.user.owner)

    @property
    def gateway_scope(self) -> str:
        """The scope of all that has no owner, such as assistants."""
        return self._owner_scopes.gateway_scope

    async def find_scopes(self, object_ids: Collection[str]) -> Mapping[str, Scope]:
        """Find the scope of each object, or the error in its place. The mapping may hold other objects too."""
        scopes, look_ups = self._scopes, self._look_ups
        while missing := [object_id for object_id in dict.fromkeys(object_ids) if object_id not in scopes]:
            others = {look_ups[object_id] for object_id in missing if object_id in look_ups}
            new = [object_id for object_id in missing if object_id not in look_ups]
            if new:
                await self._look_up(new)
            if others:  # of another batch; if that one was cancelled, its objects are still missing
                await asyncio.wait(others)
        return scopes

    async def find_scope(self, object_id: str) -> str:
        """Find the scope of one object. Raises the `GatewayError` of an object that the user may not reach."""
        scope = (await self.find_scopes((object_id,)))[object_id]
        if isinstance(scope, GatewayError):
            raise scope.with_traceback(None)
        return scope

    def get_owner(self, object_id: str) -> Owner | None:
        """Return the owner of an object whose scope was found. None if it is nobody's."""
        owner = self._owners[object_id]
        return owner if isinstance(owner, Owner) else None

    def record_created(self, object_id: str) -> None:
        """Record that the user has created an object in this operation."""
        self._set_owner(object_id, self.user.owner)

    def record_deleted(self, object_id: str) -> None:
        """Record that an object was deleted in this operation."""
        self._set_owner(object_id, None)

    def to_object_scopes(self) -> dict[OwnedObject, str | None] | None:
        """Return the scopes of all objects that were looked up, None for those that the user may not reach.

        Returns None if the owner of an object could not be found out.
        """
        object_scopes: dict[OwnedObject, str | None] = {}
        for object_id, scope in self._scopes.items():
            if isinstance(scope, str):
                object_scopes[OwnedObject(self._kind, object_id)] = scope
            elif scope.code is ErrorCode.NOT_FOUND:
                object_scopes[OwnedObject(self._kind, object_id)] = None
            else:
                return None
        return object_scopes

    async def are_unchanged(self, object_scopes: Mapping[OwnedObject, str | None]) -> bool:
        """Return whether the user would find all these objects of this kind in these scopes now."""
        before = {owned: scope for owned, scope in object_scopes.items() if owned.kind is self._kind}
        await self.find_scopes([owned.object_id for owned in before])
        present = self.to_object_scopes()
        return present is not None and before.items() <= present.items()

    async def _look_up(self, object_ids: Sequence[str]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._look_ups |= dict.fromkeys(object_ids, done)
        try:
            found = await self._find_owners(object_ids)
            for object_id, owner in found.items():
                if object_id not in self._scopes:
                    self._set_owner(object_id, owner)
            self._audit_refusals(found)
        finally:
            for object_id in object_ids:
                del self._look_ups[object_id]
            done.set_result(None)

    async def _find_owners(self, object_ids: Sequence[str]) -> dict[str, Owner | GatewayError | None]:
        """Find owners in one look-up. If that fails, each is looked up alone: those in memory need no ledger."""
        try:
            owners = await self._ownership.find_owners(self._kind, object_ids)
        except GatewayError as error:
            if len(object_ids) == 1:
                return {object_ids[0]: error}
            found = await asyncio.gather(*(self._find_owners((object_id,)) for object_id in object_ids))
            return {object_id: owner for each in found for object_id, owner in each.items()}
        return {object_id: owners.get(object_id) for object_id in object_ids}

    def _set_owner(self, object_id: str, owner: Owner | GatewayError | None) -> None:
        self._owners[object_id] = owner
        self._scopes[object_id] = owner if isinstance(owner, GatewayError) else self._choose_scope(object_id, owner)

    def _choose_scope(self, object_id: str, owner: Owner | None) -> Scope:
        if self._is_reachable(object_id, owner):
            return self._owner_scopes.to_scope(owner)
        return self._not_found(object_id)

    def _is_reachable(self, object_id: str, owner: Owner | None) -> bool:  # noqa: ARG002 - files need the id
        return self._is_own(owner)

    def _is_own(self, owner: Owner | GatewayError | None) -> bool:
        """Return whether an object is the user's by its owner, or the user is an admin."""
        return self.user.is_admin or owner == self.user.owner

    def _audit_refusals(self, found: Mapping[str, Owner | GatewayError | None]) -> None:
        refused = {each: owner for each, owner in found.items() if not isinstance(self._scopes[each], str)}
        anothers = [object_id for object_id, owner in refused.items() if isinstance(owner, Owner)]
        unowned = [object_id for object_id, owner in refused.items() if owner is None]
        for whose, object_ids in (("another's", anothers), ("nobody's", unowned)):
            if object_ids:
                reason, name = f"{whose} {self._kind}", self._kind.capitalize()
                audit_refused_access(self._principal, reason, kind=name, ids=object_ids)


class ThreadAccess(ObjectAccess):
    """The threads of one operation of a user."""

    def __init__(self, principal: Principal, ownership: Ownership, owner_scopes: OwnerScopes) -> None:
        super().__init__(ObjectKind.THREAD, principal, ownership, owner_scopes, thread_not_found)
