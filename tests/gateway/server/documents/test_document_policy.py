"""The log of documents that are not trusted."""

import logging

import pytest

from gateway.server.documents.document_policy import MAX_LOGGED_DOCUMENTS, DocumentPolicy
from gateway.server.documents.trusted_documents import DocumentReference, DocumentsOnly, TrustedDocuments, hash_text

NAMED = 'query B { b(c: "secret") }'


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_each_unknown_document_is_logged_once_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    policy = DocumentPolicy(TrustedDocuments({"a": "{ a }"}), DocumentsOnly.LOG)
    for _ in range(2):
        for text, name in (("{ a }", None), (NAMED, None), ("{ c }", "C"), ("{ d }", None)):
            assert policy.choose_text(DocumentReference(text), name) == text
    assert messages(caplog) == [
        f'a document is not trusted: operation "B", sha256:{hash_text(NAMED)}',
        f'a document is not trusted: operation "C", sha256:{hash_text("{ c }")}',
        f"a document is not trusted: operation null, sha256:{hash_text('{ d }')}",
    ]


def test_the_log_has_a_bound_and_starts_again_with_new_documents(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    policy = DocumentPolicy(mode=DocumentsOnly.LOG)
    for number in range(MAX_LOGGED_DOCUMENTS + 50):
        policy.choose_text(DocumentReference(f"{{ a{number} }}"), None)
    assert len(messages(caplog)) == MAX_LOGGED_DOCUMENTS + 1
    assert messages(caplog)[-1] == "more than 1000 documents are not trusted; no more are logged"
    policy.replace_documents(TrustedDocuments({"a": "{ a0 }"}))
    policy.choose_text(DocumentReference("{ a0 }"), None)
    policy.choose_text(DocumentReference("{ a1 }"), None)
    assert len(messages(caplog)) == MAX_LOGGED_DOCUMENTS + 2


def test_without_log_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    DocumentPolicy().choose_text(DocumentReference("{ a }"), None)
    assert messages(caplog) == []
