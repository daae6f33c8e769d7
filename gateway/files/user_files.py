"""The files of signed-in users: which of them a user may read, and whose a new one is."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from gateway.identity.principal import Principal
from gateway.ledger.ownership import CreateIntent


class FileReader(Protocol):
    """The files of one signed-in user, for one operation."""

    async def find_readable(self, file_ids: Collection[str]) -> Collection[str]:
        """Find the files whose content the user may read. Raises `GatewayError` if it cannot be known."""


class UserFiles(Protocol):
    """The files of all signed-in users."""

    def open_files(self, principal: Principal) -> FileReader:
        """Open the files of a user, for one operation."""

    async def begin_upload(self, principal: Principal) -> CreateIntent:
        """Record that a user is about to make a file. Raises `GatewayError` if it cannot be recorded."""
