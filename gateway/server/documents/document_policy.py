"""The policy of a gateway for documents: which ones it trusts, and whether others run."""

from __future__ import annotations

import logging
import re

from gateway.server.documents.trusted_documents import (
    DocumentReference,
    DocumentsOnly,
    TrustedDocuments,
    choose_text,
    hash_text,
)
from schema.contract.errors import format_value

_logger = logging.getLogger(__name__)

MAX_LOGGED_DOCUMENTS = 1000
"""The most unknown documents that are logged. Callers choose them, so the log needs a bound."""

_OPERATION_NAME = re.compile(r"\b(?:query|mutation|subscription)\s+([_A-Za-z][_0-9A-Za-z]*)")


class DocumentPolicy:
    """The trusted documents of this moment, and what happens to others."""

    def __init__(
        self,
        documents: TrustedDocuments | None = None,
        mode: DocumentsOnly = DocumentsOnly.OFF,
        *,
        allows_text_by_get: bool = True,
    ) -> None:
        """Trust these documents. Without `allows_text_by_get`, a GET may only name one of them by its id."""
        self._documents = documents or TrustedDocuments()
        self._mode = mode
        self._logged_hashes: set[str] = set()
        self.allows_text_by_get = allows_text_by_get

    @property
    def documents(self) -> TrustedDocuments:
        """The documents that are trusted now."""
        return self._documents

    def replace_documents(self, documents: TrustedDocuments) -> None:
        """Trust these documents from now on, in place of the former ones."""
        self._documents = documents
        self._logged_hashes.clear()

    def choose_text(self, reference: DocumentReference, operation_name: str | None) -> str:
        """Choose the text that a request runs.

        Raises:
            DocumentRefusedError: The document is not known, not trusted, or not the one that the request names.
        """
        text = choose_text(reference, self._documents, self._mode)
        if self._mode is DocumentsOnly.LOG and text not in self._documents.texts:
            self._log_unknown(text, operation_name)
        return text

    def _log_unknown(self, text: str, operation_name: str | None) -> None:
        """Log an unknown document once, never its text."""
        hashed = hash_text(text)
        if hashed in self._logged_hashes or len(self._logged_hashes) > MAX_LOGGED_DOCUMENTS:
            return
        self._logged_hashes.add(hashed)
        if len(self._logged_hashes) > MAX_LOGGED_DOCUMENTS:
            _logger.warning("more than %d documents are not trusted; no more are logged", MAX_LOGGED_DOCUMENTS)
            return
        found = _OPERATION_NAME.search(text)
        name = operation_name or (found[1] if found else None)
        _logger.warning("a document is not trusted: operation %s, sha256:%s", format_value(name), hashed)
