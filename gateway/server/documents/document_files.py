"""The files of trusted documents, read at the start, on request, and when they change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from gateway.background_tasks import BackgroundTasks
from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.documents.manifest import ManifestError, manifest_fingerprint, read_documents
from gateway.server.documents.trusted_documents import TrustedDocuments
from schema.contract.errors import format_value

POLL_SECONDS = 2.0
"""Time between two looks at the files."""

MAX_REPORTED = 20
"""The most documents that one reading names in the log."""

_logger = logging.getLogger(__name__)

PinDocuments: TypeAlias = Callable[[Iterable[str]], Awaitable[Mapping[str, Exception | None]]]
"""Keeps texts parsed and planned. Returns those that cannot be: each with its error, or None for lack of a place."""


class DocumentFiles:
    """Reads documents from a path and hands them to a policy. After a reading that fails, the former ones stay."""

    def __init__(
        self,
        path: Path,
        policy: DocumentPolicy,
        pin: PinDocuments,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Read the files now; `start` pins their documents, and follows changes.

        Raises:
            ManifestError: The files cannot be used.
        """
        self._path = path
        self._policy = policy
        self._pin = pin
        self._sleep = sleep
        self._tasks = BackgroundTasks()
        self._lock = asyncio.Lock()
        self._fingerprint = manifest_fingerprint(path)
        policy.replace_documents(TrustedDocuments(read_documents(path)))

    async def start(self) -> None:
        """Pin the documents, and begin to watch the files."""
        async with self._lock:
            await self._use(self._policy.documents)
        self._tasks.start(self._watch())

    async def aclose(self) -> None:
        """Stop watching the files."""
        await self._tasks.aclose()

    def request_reload(self) -> None:
        """Read the files again soon, whether they have changed or not."""
        self._tasks.start(self._reload())

    async def _watch(self) -> None:
        while True:
            await self._sleep(POLL_SECONDS)
            if await asyncio.to_thread(manifest_fingerprint, self._path) != self._fingerprint:
                await self._reload()

    async def _reload(self) -> None:
        async with self._lock:
            # Before the reading, so that a change during it is noticed.
            self._fingerprint = await asyncio.to_thread(manifest_fingerprint, self._path)
            try:
                documents = TrustedDocuments(await asyncio.to_thread(read_documents, self._path))
            except ManifestError as error:
                count = len(self._policy.documents)
                _logger.error("the documents were not read again, the former %d stay: %s", count, error)  # noqa: TRY400
                return
            try:
                await self._use(documents)
            except Exception:
                # The watch goes on: a later version of the files may be fine.
                count = len(self._policy.documents)
                _logger.exception("the documents were not read again, the former %d stay", count)

    async def _use(self, documents: TrustedDocuments) -> None:
        left_out = await self._pin(sorted(documents.texts))
        self._policy.replace_documents(documents)
        _logger.info("%d trusted documents from %s", len(documents), self._path)
        reported = [(id_, left_out[text]) for id_, text in documents.texts_by_id.items() if text in left_out]
        for id_, error in reported[:MAX_REPORTED]:
            reason = "there is no place to keep it parsed" if error is None else f"the schema refuses it: {error}"
            _logger.warning("the document %s: %s", format_value(id_), reason)
        if len(reported) > MAX_REPORTED:
            _logger.warning("%d more documents with such a warning", len(reported) - MAX_REPORTED)
