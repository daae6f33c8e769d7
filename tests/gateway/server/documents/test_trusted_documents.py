"""The decision which text a request runs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.documents.trusted_documents import (
    DocumentReference,
    DocumentRefusedError,
    DocumentsOnly,
    TrustedDocuments,
    choose_text,
    hash_text,
    read_hash,
)
from schema.contract.errors import ErrorCode, GatewayError

A, B = "query A { a }", "query B { b }"
HASH_A, HASH_B = hash_text(A), hash_text(B)
KNOWN = TrustedDocuments({"a": A, "b": B, "again": A})
NONE = TrustedDocuments()
OFF, LOG, ON = DocumentsOnly.OFF, DocumentsOnly.LOG, DocumentsOnly.ON


def refused(reference: DocumentReference, documents: TrustedDocuments, mode: DocumentsOnly = OFF) -> tuple[str, str]:
    with pytest.raises(DocumentRefusedError) as raised:
        choose_text(reference, documents, mode)
    return raised.value.code.value, raised.value.message


@pytest.mark.parametrize("mode", DocumentsOnly)
@pytest.mark.parametrize(
    "reference",
    [
        DocumentReference(A),
        DocumentReference(None, "a"),
        DocumentReference(None, "again"),
        DocumentReference(None, HASH_A),
        DocumentReference(None, f"sha256:{HASH_A}"),
        DocumentReference(None, None, HASH_A),
        DocumentReference(None, None, "a"),
        DocumentReference(None, "a", HASH_A),
        DocumentReference(A, "a", HASH_A),
        DocumentReference(A, "an id of another build"),
    ],
)
def test_a_trusted_document_runs_by_its_text_id_or_hash(reference: DocumentReference, mode: DocumentsOnly) -> None:
    assert choose_text(reference, KNOWN, mode) == A


@pytest.mark.parametrize("mode", [OFF, LOG])
@pytest.mark.parametrize("documents", [KNOWN, NONE])
def test_another_text_runs_unless_only_trusted_ones_do(documents: TrustedDocuments, mode: DocumentsOnly) -> None:
    for reference in (
        DocumentReference("{ x }"),
        DocumentReference("{ x }", None, hash_text("{ x }")),
        DocumentReference("{ x }", f"sha256:{hash_text('{ x }').upper()}"),
        DocumentReference("{ x }", "unknown"),
    ):
        assert choose_text(reference, documents, mode) == "{ x }"


@pytest.mark.parametrize("mode", DocumentsOnly)
@pytest.mark.parametrize(
    "reference",
    [
        DocumentReference(A, None, HASH_B),
        DocumentReference(A, "b"),
        DocumentReference(A, HASH_B),
        DocumentReference(A, f"sha256:{'0' * 64}"),
        DocumentReference(A, None, "0" * 64),
        DocumentReference(A, "a", HASH_B),
        DocumentReference(None, "a", HASH_B),
        DocumentReference(None, "a", "b"),
        DocumentReference("{ x }", None, "a"),
    ],
)
def test_a_text_and_ids_of_different_documents_are_refused(reference: DocumentReference, mode: DocumentsOnly) -> None:
    code, message = refused(reference, KNOWN, mode)
    assert code == "PERSISTED_QUERY_HASH_MISMATCH"
    assert message.startswith("Expected the id or the SHA-256 hash of the document that was sent, ")


def test_an_unknown_id_has_the_message_that_the_links_look_for() -> None:
    for reference in (DocumentReference(None, "x"), DocumentReference(None, None, "0" * 64)):
        assert refused(reference, KNOWN) == ("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")
        assert refused(reference, NONE) == ("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported")


def test_with_on_nothing_else_runs_and_the_text_is_not_quoted() -> None:
    expected = "Expected one of the documents that this gateway trusts, got"
    assert refused(DocumentReference("{ x }"), KNOWN, ON) == ("DOCUMENT_NOT_TRUSTED", f"{expected} another text.")
    assert refused(DocumentReference(None, "x"), KNOWN, ON) == ("DOCUMENT_NOT_TRUSTED", f'{expected} the id "x".')
    assert refused(DocumentReference("{ x }", None, hash_text("{ x }")), KNOWN, ON)[0] == "DOCUMENT_NOT_TRUSTED"
    assert refused(DocumentReference(A + " "), KNOWN, ON)[0] == "DOCUMENT_NOT_TRUSTED"


@given(
    st.builds(
        DocumentReference,
        st.sampled_from([None, A, B, "{ x }"]),
        st.sampled_from([None, "a", "b", "x", HASH_A, f"sha256:{HASH_B}"]),
        st.sampled_from([None, "a", HASH_A, HASH_B, "0" * 64]),
    )
)
def test_with_on_only_a_trusted_text_is_ever_chosen(reference: DocumentReference) -> None:
    try:
        assert choose_text(reference, KNOWN, ON) in {A, B}
    except DocumentRefusedError as error:
        assert error.code in {ErrorCode.DOCUMENT_NOT_TRUSTED, ErrorCode.PERSISTED_QUERY_HASH_MISMATCH}  # noqa: PT017
        assert "{ x }" not in error.message  # noqa: PT017


def test_the_hash_of_the_extension_is_read() -> None:
    assert read_hash({"persistedQuery": {"version": 1, "sha256Hash": "x", "miss": True}}) == "x"
    for extensions in (None, {}, {"other": 1}, {"persistedQuery": None}):
        assert read_hash(extensions) is None


@pytest.mark.parametrize("value", [True, "x", [], {}, {"version": 1}, {"version": 2, "sha256Hash": "x"}])
def test_another_form_of_the_extension_is_refused(value: object) -> None:
    with pytest.raises(GatewayError, match=r"Expected 'extensions\.persistedQuery' to be an object with version 1"):
        read_hash({"persistedQuery": value})
