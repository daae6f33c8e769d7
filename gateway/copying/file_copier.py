"""Copies the files that messages name, where the other upstream does not see them already."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from weakref import WeakValueDictionary

from cachetools import LRUCache

from gateway.copying.copied_form import CopiedForm
from gateway.copying.copy_ends import CopySource, CopyTarget
from gateway.copying.copy_ledger import CopyLedger
from gateway.ledger.ledger_store import ObjectKind
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.wire import FileObject

MAX_KNOWN = 100_000

UPLOADED_PURPOSES = frozenset({"assistants", "vision", "user_data"})
"""The purposes with which a file may be uploaded. One that a run made has another."""

_IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp")
# A server that keeps the content of a file to itself says so with one of these.
_REFUSALS = frozenset({ErrorCode.NOT_FOUND, ErrorCode.BAD_USER_INPUT, ErrorCode.FORBIDDEN, ErrorCode.UPSTREAM_REFUSED})


class FileCopier:
    """Finds out what the files of messages are called at the target. Each is copied once.

    `copied_count` is the number of files that were uploaded.
    """

    def __init__(self, source: CopySource, target: CopyTarget, ledger: CopyLedger) -> None:
        self._source = source
        self._target = target
        self._ledger = ledger
        self._new_ids: LRUCache[str, str | None] = LRUCache(MAX_KNOWN)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self.copied_count = 0

    async def find_new_ids(self, file_ids: Iterable[str]) -> Mapping[str, str | None]:
        """Find the ids at the target, and upload what is not there. None for a file that does not come along.

        Raises:
            GatewayError: An upstream failed.
            LedgerUnavailableError: The ledger did not answer.
        """
        return {file_id: await self._find_new_id(file_id) for file_id in file_ids}

    async def _find_new_id(self, file_id: str) -> str | None:
        async with self._locks.setdefault(file_id, asyncio.Lock()):
            if file_id not in self._new_ids:
                self._new_ids[file_id] = await self._copy(file_id)
            return self._new_ids[file_id]

    async def _copy(self, file_id: str) -> str | None:
        copied = await self._ledger.find_copy(ObjectKind.FILE, file_id)
        if copied is not None and copied.is_done:
            return copied.new_id
        if await self._target.has_file(file_id):
            return file_id
        file = await self._source.find_file(file_id)
        if file is None:
            return None
        try:
            async with self._source.transfers.open_download(file_id, None) as download:
                new_id = await self._target.upload(CopiedForm(download, file.filename, _purpose_of(file)))
        except GatewayError as error:
            if error.code in _REFUSALS:
                return None
            raise
        await self._ledger.finish_file(file_id, new_id)
        self.copied_count += 1
        return new_id


def _purpose_of(file: FileObject) -> str:
    if file.purpose in UPLOADED_PURPOSES:
        return file.purpose
    return "vision" if (file.filename or "").lower().endswith(_IMAGE_ENDINGS) else "assistants"
