"""The files that a signed-in user may reach: their own; of those that their threads cite, the object alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gateway.identity.permissions import NamedObject
from gateway.identity.principal import Owner, Principal
from gateway.ledger.ledger_store import ObjectKind, OwnedObject
from gateway.ledger.ownership import Ownership
from gateway.ledger.thread_access import ObjectAccess, OwnerScopes
from schema.contract.errors import ErrorCode, GatewayError


def file_not_found(file_id: str) -> GatewayError:
    """Make the error of an unknown file. Source: the message of `GET /files/{file_id}` with status 404."""
    return GatewayError(ErrorCode.NOT_FOUND, f"No such File object: {file_id}")


def named_file_not_found(named: NamedObject) -> GatewayError:
    """Make the error of a body that names an unknown file. Source: the message of `POST /threads/{id}/messages`."""
    message = f"No file found with id '{named.upstream_id}'."
    return GatewayError(ErrorCode.NOT_FOUND, message, argument=named.path)


class FileAccess(ObjectAccess):
    """The files of one operation of a user.

    A file that is cited by what the operation shows is reached too, in the scope of its owner as always. Its content
    is not: that is for its owner and for admins.
    """

    def __init__(self, principal: Principal, ownership: Ownership, owner_scopes: OwnerScopes) -> None:
        super().__init__(ObjectKind.FILE, principal, ownership, owner_scopes, file_not_found)
        self._cited: set[str] = set()

    def record_cited(self, file_ids: Iterable[str]) -> None:
        """Record that objects which the operation shows cite files."""
        for file_id in file_ids:
            if file_id not in self._cited:
                self._cited.add(file_id)
                if file_id in self._owners:
                    self._set_owner(file_id, self._owners[file_id])

    async def find_readable(self, file_ids: Collection[str]) -> set[str]:
        """Find the files whose content the user may read, and which they may name: their own, of an admin all.

        Raises:
            GatewayError: `LEDGER_UNAVAILABLE`; the owner of a file cannot be found out.
        """
        await self.find_scopes(file_ids)
        for file_id in file_ids:
            if isinstance(owner := self._owners[file_id], GatewayError):
                raise owner.with_traceback(None)
        return {file_id for file_id in file_ids if self._is_own(self._owners[file_id])}

    async def check_named(self, named_files: Collection[NamedObject]) -> None:
        """Check the files that a body names, before any call.

        Raises:
            GatewayError: `NOT_FOUND` for a file that is not the user's, in the upstream's own sentence;
                `LEDGER_UNAVAILABLE` if it cannot be known whose it is.
        """
        own = await self.find_readable({named.upstream_id for named in named_files})
        for named in named_files:
            if named.upstream_id not in own:
                raise named_file_not_found(named)

    def to_object_scopes(self) -> dict[OwnedObject, str | None] | None:
        """Return the scopes as those of threads, without merely cited files: those are shown with what cites them."""
        object_scopes = super().to_object_scopes()
        if object_scopes is None:
            return None
        return {
            owned: scope
            for owned, scope in object_scopes.items()
            if owned.object_id not in self._cited or self._is_own(self._owners[owned.object_id])
        }

    def _is_reachable(self, object_id: str, owner: Owner | None) -> bool:
        return self._is_own(owner) or object_id in self._cited
