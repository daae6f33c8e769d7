"""The files that the objects of one operation cite: counted as they are loaded, and held to what was predicted."""

from __future__ import annotations

from functools import cached_property

from schema.contract.cost import MAX_CITED_FILES
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import FileKey
from schema.contract.ports import FileCitations, ThreadsApi


class CitedFiles:
    """The files that one operation, or one event, loads because objects cite them.

    How many files an object cites is known only from the upstream's answer, so the prediction assumes a number, and
    this holds the operation to it: `most` is the number that was predicted.
    """

    def __init__(self, api: ThreadsApi) -> None:
        """Start without files, and with the highest number that is ever predicted."""
        self.most = MAX_CITED_FILES
        self._api = api
        self._count = 0
        self._loaded: set[FileKey] = set()

    @cached_property
    def _citations(self) -> FileCitations | None:
        return self._api if isinstance(self._api, FileCitations) else None

    def add(self, key: FileKey, *, is_loaded: bool) -> None:
        """Add a cited file, before it is loaded if it is. One that was loaded already counts once.

        Raises:
            GatewayError: More files would be loaded than were predicted.
        """
        if is_loaded and key not in self._loaded:
            if self._count >= self.most:
                expected = f"Expected objects that cite at most {self.most} different files, got more."
                raise GatewayError(
                    ErrorCode.TOO_EXPENSIVE, f"{expected} Ask for shorter pages, or look the others up by `nodes`."
                )
            self._count += 1
            self._loaded.add(key)
        if self._citations is not None:
            self._citations.record_cited((key.file_id,))

    def expect_new_loads(self) -> None:
        """Expect that each file is loaded anew, because a write was sent."""
        self._loaded.clear()
