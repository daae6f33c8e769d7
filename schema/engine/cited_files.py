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
    this holds the operation to it: `most` is the number that was predicted. One error says that there are more.
    """

    def __init__(self, api: ThreadsApi) -> None:
        """Start without files, and with the highest number that is ever predicted."""
        self.most = MAX_CITED_FILES
        self._api = api
        self._count = 0
        self._loaded: set[FileKey] = set()
        self._first_refused: FileKey | None = None

    @cached_property
    def _citations(self) -> FileCitations | None:
        return self._api if isinstance(self._api, FileCitations) else None

    def admit(self, key: FileKey, *, is_loaded: bool) -> bool:
        """Admit a cited file, before it is loaded if it is. One that was loaded already counts once.

        Returns:
            False if it cannot be loaded, because more files are cited than were predicted.

        Raises:
            GatewayError: It is the first one that cannot be loaded.
        """
        if is_loaded and key not in self._loaded:
            if self._count >= self.most:
                return self._refuse(key)
            self._count += 1
            self._loaded.add(key)
        if self._citations is not None:
            self._citations.record_cited((key.file_id,))
        return True

    def _refuse(self, key: FileKey) -> bool:
        if self._first_refused is None:
            self._first_refused = key
        if key != self._first_refused:  # a field that is executed again has the same error again
            return False
        raise GatewayError(
            ErrorCode.TOO_EXPENSIVE,
            f"Expected objects that cite at most {self.most} different files, got more; the others are null. "
            "Ask for shorter pages, or look them up by `nodes`.",
        )

    def expect_new_loads(self) -> None:
        """Expect that each file is loaded anew, because a write was sent."""
        self._loaded.clear()
