"""The documents that a team has shipped, and the decision which text a request runs. Pure.

Source: https://graphql.github.io/graphql-over-http/draft/, appendix "Persisted Documents", and Apollo's protocol of
persisted queries, https://www.apollographql.com/docs/apollo-server/performance/apq.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any

from schema.contract.errors import ErrorCode, GatewayError, format_value

SHA256_PREFIX = "sha256:"


class DocumentsOnly(StrEnum):
    """Whether other documents than the trusted ones run: all of them, all of them with a log line, or none."""

    OFF = "off"
    LOG = "log"
    ON = "on"


class DocumentRefusedError(GatewayError):
    """The document of a request is not known, not trusted, or not the one that the request names."""


class TrustedDocuments:
    """Documents by their ids. An id is opaque; the SHA-256 hash of a text names it too."""

    def __init__(self, texts_by_id: Mapping[str, str] | None = None) -> None:
        """Hold these documents, or none."""
        self.texts_by_id = dict(texts_by_id or {})
        self.texts = frozenset(self.texts_by_id.values())
        self._texts_by_name = {hash_text(text): text for text in self.texts} | self.texts_by_id

    def __len__(self) -> int:
        """Count the ids."""
        return len(self.texts_by_id)

    def find(self, id_: str) -> str | None:
        """Find the text of an id, or of a hash with or without the prefix `sha256:`."""
        return self._texts_by_name.get(id_) or self._texts_by_name.get(id_.removeprefix(SHA256_PREFIX))


@dataclass(frozen=True, slots=True)
class DocumentReference:
    """The part of a request that says which document to run: its text, its id or hash, or several of them."""

    text: str | None
    document_id: str | None = None
    sha256_hash: str | None = None
    """The hash of `extensions.persistedQuery`. Apollo Client puts the id of its manifest there."""


def choose_text(reference: DocumentReference, documents: TrustedDocuments, mode: DocumentsOnly) -> str:
    """Choose the text that a request runs. What else it sends must belong to that text, and is never stored.

    Raises:
        DocumentRefusedError: The document is not known (`PERSISTED_QUERY_NOT_FOUND`), no documents are known at all
            (`PERSISTED_QUERY_NOT_SUPPORTED`), the text and the ids are of different documents
            (`PERSISTED_QUERY_HASH_MISMATCH`), or only trusted documents run and this is none (`DOCUMENT_NOT_TRUSTED`).
    """
    text = reference.text
    for id_, is_hash in ((reference.document_id, False), (reference.sha256_hash, True)):
        if id_ is None:
            continue
        known = documents.find(id_)
        if text is None:
            text = known
        elif known != text:
            _check_text_belongs(text, id_, is_hash=is_hash or id_.startswith(SHA256_PREFIX), is_known=known is not None)
    if mode is DocumentsOnly.ON and text not in documents.texts:
        expected = "Expected one of the documents that this gateway trusts"
        raise DocumentRefusedError(ErrorCode.DOCUMENT_NOT_TRUSTED, f"{expected}, got {_describe(reference)}.")
    if text is not None:
        return text
    # The links of Apollo and urql look for these very messages, and send the text then.
    if documents:
        raise DocumentRefusedError(ErrorCode.PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound")
    raise DocumentRefusedError(ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED, "PersistedQueryNotSupported")


def read_hash(extensions: Mapping[str, Any] | None) -> str | None:
    """Read the hash of Apollo's `extensions.persistedQuery`, or None without one.

    Raises:
        GatewayError: The extension has another form.
    """
    persisted = extensions.get("persistedQuery") if extensions else None
    if persisted is None:
        return None
    sha256_hash = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
    if not isinstance(sha256_hash, str) or persisted.get("version") != 1:
        expected = "Expected 'extensions.persistedQuery' to be an object with version 1 and the string 'sha256Hash'"
        raise GatewayError(ErrorCode.BAD_USER_INPUT, f"{expected}, got {format_value(persisted)}.")
    return sha256_hash


def hash_text(text: str) -> str:
    """Return the SHA-256 hash of a text, in hexadecimal digits."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _check_text_belongs(text: str, id_: str, *, is_hash: bool, is_known: bool) -> None:
    """Compare a text with the id or hash beside it. An id that is no hash and not known says nothing of its text."""
    hashed = hash_text(text)
    if is_hash and id_.removeprefix(SHA256_PREFIX).lower() == hashed and not is_known:
        return
    if is_hash or is_known:
        expected = f"Expected the id or the SHA-256 hash of the document that was sent, {hashed}"
        raise DocumentRefusedError(ErrorCode.PERSISTED_QUERY_HASH_MISMATCH, f"{expected}, got {format_value(id_)}.")


def _describe(reference: DocumentReference) -> str:
    id_ = reference.document_id or reference.sha256_hash
    return "another text" if id_ is None else f"the id {format_value(id_)}"
