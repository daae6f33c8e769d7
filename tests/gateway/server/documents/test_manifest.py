"""The files of trusted documents in the forms that build tools write."""

import json
import os
from pathlib import Path

import pytest

from gateway.server.documents.manifest import ManifestError, manifest_fingerprint, read_documents

APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [{"id": "x1", "name": "A", "type": "query", "body": "query A { a }"}],
}


def test_relays_and_codegens_map_is_read(tmp_path: Path) -> None:
    file = tmp_path / "persisted.json"
    file.write_text('{"4b0f": "query A { a }", "App/Query": "query B { b }"}')
    assert read_documents(file) == {"4b0f": "query A { a }", "App/Query": "query B { b }"}


def test_apollos_manifest_is_read(tmp_path: Path) -> None:
    file = tmp_path / "manifest.txt"
    file.write_text(json.dumps(APOLLO))
    assert read_documents(file) == {"x1": "query A { a }"}


def test_all_json_files_of_a_folder_are_read_together(tmp_path: Path) -> None:
    (tmp_path / "apollo.json").write_text(json.dumps(APOLLO))
    (tmp_path / "relay.json").write_text('{"x1": "query A { a }", "2": "{ b }"}')
    (tmp_path / "notes.txt").write_text("no documents")
    assert read_documents(tmp_path) == {"x1": "query A { a }", "2": "{ b }"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "Expected JSON in documents.json, got text that fails"),
        ("[" * 100_000, "Expected JSON in documents.json, got text that fails"),
        ("[]", "Expected a JSON object in documents.json, got []."),
        ("{}", "Expected at least one document in "),
        ('{"a": 1}', 'Expected the text of a document for "a" in documents.json, got 1.'),
        ('{"a": " "}', 'Expected the text of a document for "a" in documents.json, got " ".'),
        ('{"a b": "{ a }"}', "Expected ids of at most 200 letters, digits and ._~:/+=- in documents.json"),
        ('{"a": "{ a }", "a": "{ b }"}', 'Expected one text for each id, got two for "a". See documents.json.'),
        (json.dumps({**APOLLO, "version": 2}), "Expected version 1 of Apollo's manifest in documents.json, got 2."),
        (json.dumps({**APOLLO, "operations": {}}), "Expected a list of operations in documents.json, got {}."),
        (json.dumps({**APOLLO, "operations": [{}]}), "Expected ids of at most"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "documents.json"
    file.write_text(text)
    with pytest.raises(ManifestError) as raised:
        read_documents(file)
    assert str(raised.value).startswith(message)
    assert len(str(raised.value)) <= 300


def test_one_id_with_two_texts_is_refused_across_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"1": "{ a }"}')
    (tmp_path / "b.json").write_text('{"1": "{ b }"}')
    with pytest.raises(ManifestError, match=r'got two for "1"\. See b\.json\.'):
        read_documents(tmp_path)


def test_a_path_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"Expected a readable file .*No such file or directory"):
        read_documents(tmp_path / "missing.json")
    with pytest.raises(ManifestError, match=r"Expected a file with the extension \.json in"):
        read_documents(tmp_path)


def test_the_fingerprint_changes_with_a_file(tmp_path: Path) -> None:
    assert manifest_fingerprint(tmp_path / "missing") == manifest_fingerprint(tmp_path / "missing")
    file = tmp_path / "a.json"
    file.write_text("{}")
    seen = {manifest_fingerprint(tmp_path)}
    assert seen == {manifest_fingerprint(tmp_path)}
    file.write_text("{ }")
    seen.add(manifest_fingerprint(tmp_path))
    os.utime(file, ns=(1, 1))
    seen.add(manifest_fingerprint(tmp_path))
    (tmp_path / "b.json").write_text("{}")
    seen.add(manifest_fingerprint(tmp_path))
    assert len(seen) == 4


def test_the_fingerprint_of_what_cannot_be_read_is_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(13, "Permission denied")

    assert manifest_fingerprint(tmp_path / "missing.json") != manifest_fingerprint(tmp_path)
    monkeypatch.setattr(Path, "iterdir", refuse)
    (reason,) = manifest_fingerprint(tmp_path)
    assert reason == f"Expected a readable folder {tmp_path}, got: Permission denied."
    with pytest.raises(ManifestError, match="Permission denied"):
        read_documents(tmp_path)
