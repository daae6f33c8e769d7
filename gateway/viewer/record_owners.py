"""The owners of records: who a principal is as a viewer, and whose the objects of a scope are."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import LRUCache

from gateway.identity.principal import Owner, Principal, UpstreamIdentity, credential_digest, own_key_digest
from gateway.ledger.sightings import CredentialOwner, RecordOwner
from gateway.ledger.thread_access import OwnerScopes
from gateway.run_log.store.event_log import LogName, ViewerKey

MAX_KNOWN_CREDENTIALS = 50_000


class RecordOwners:
    """The owners at one upstream. `find_own_credential` returns the gateway's own credential, which may change."""

    def __init__(
        self,
        upstream: UpstreamIdentity,
        owner_scopes: OwnerScopes,
        find_own_credential: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._upstream = upstream
        self._owner_scopes = owner_scopes
        self._find_own_credential = find_own_credential
        self._credentials: LRUCache[str, CredentialOwner] = LRUCache(MAX_KNOWN_CREDENTIALS)

    def from_principal(self, principal: Principal) -> RecordOwner | None:
        """Return the owner that a principal is. None for a caller of whom nothing is known."""
        if principal.user is not None:
            return principal.user.owner
        if principal.credential is None and not principal.uses_own_key:
            return None
        owner = self._credentials.get(principal.digest)
        if owner is None:
            owner = self._credentials[principal.digest] = CredentialOwner(self._lasting_digest(principal))
        return owner

    def find_owner(self, scope: str) -> RecordOwner | None:
        """Find the owner of the objects of a scope that was used lately. None for the gateway's own scope."""
        return self._credentials.get(scope) or self._owner_scopes.find_owner(scope)

    def to_viewer_id(self, owner: RecordOwner) -> str:
        """Return the opaque id of an owner as a viewer, which stays the same by another version of the API."""
        return owner.digest(self._upstream.lasting) if isinstance(owner, Owner) else owner.digest

    def to_log_name(self, owner: RecordOwner) -> LogName:
        """Return the name of the log of an owner's list, in the scope of their other logs."""
        viewer_id = self.to_viewer_id(owner)
        scope = self._owner_scopes.to_scope(owner) if isinstance(owner, Owner) else viewer_id
        return LogName(scope, ViewerKey(viewer_id))

    def _lasting_digest(self, principal: Principal) -> str:
        if principal.uses_own_key:
            return own_key_digest(self._find_own_credential(), self._upstream.lasting)
        return credential_digest(principal.credential, self._upstream.lasting)
