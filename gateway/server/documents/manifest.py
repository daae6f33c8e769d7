"""Reads the files of trusted documents that the build tools of frontends write: ids and their texts.

Three forms are read, and told apart by their content:

- a JSON object of ids and texts, as Relay's compiler (`persistConfig.file`) and graphql-codegen's client preset
  (`persistedDocuments`) write it,
- Apollo's manifest: `{"format": "apollo-persisted-query-manifest", "version": 1, "operations": [{"id", "body"}]}`.

Source: https://relay.dev/docs/guides/persisted-queries/, https://the-guild.dev/graphql/codegen/plugins/presets/preset-client
and https://www.apollographql.com/docs/graphos/platform/security/persisted-queries.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from schema.contract.errors import format_value

APOLLO_FORMAT = "apollo-persisted-query-manifest"
MAX_ID_LENGTH = 200

_ID = re.compile(rf"[A-Za-z0-9._~:/+=-]{{1,{MAX_ID_LENGTH}}}\Z")


class ManifestError(Exception):
    """A file or folder of documents cannot be used. The message names the file, the expectation and what was found."""


def read_documents(path: Path) -> dict[str, str]:
    """Read a file of documents, or all `*.json` files of a folder.

    Returns:
        The text of each id.

    Raises:
        ManifestError: A file cannot be read, has another form, or gives an id another text than one before it. Or there
            is no document.
    """
    documents: dict[str, str] = {}
    for file in _manifest_files(path):
        try:
            data = file.read_bytes()
        except OSError as error:
            raise ManifestError(f"Expected a readable file {file}, got: {error.strerror}.") from None
        for id_, text in _parse_manifest(file.name, data):
            if documents.setdefault(id_, text) != text:
                raise ManifestError(f"Expected one text for each id, got two for {format_value(id_)}. See {file.name}.")
    if not documents:
        raise ManifestError(f"Expected at least one document in {path}, got none.")
    return documents


def manifest_fingerprint(path: Path) -> tuple[object, ...]:
    """Describe the state of the files, so that two descriptions differ if a file was changed. Raises nothing."""
    try:
        stats = [(file.name, file.stat()) for file in _manifest_files(path)]
    except (ManifestError, OSError) as error:
        return (str(error),)
    return tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats)


def _manifest_files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.iterdir() if file.suffix == ".json")
    except OSError as error:
        raise ManifestError(f"Expected a readable folder {path}, got: {error.strerror}.") from None
    if not files:
        raise ManifestError(f"Expected a file with the extension .json in {path}, got none.")
    return files


def _parse_manifest(name: str, data: bytes) -> Iterable[tuple[str, str]]:
    """Parse one file. Yields ids and texts, each checked.

    Raises:
        ManifestError: The file has none of the forms.
    """
    try:
        parsed = json.loads(data, object_pairs_hook=_unique_members)
    except ManifestError as error:
        raise ManifestError(f"{error} See {name}.") from None
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"Expected JSON in {name}, got text that fails: {error}.") from None
    if not isinstance(parsed, dict):
        raise ManifestError(f"Expected a JSON object in {name}, got {format_value(parsed)}.")
    is_apollo = parsed.get("format") == APOLLO_FORMAT
    for id_, text in _apollo_operations(name, parsed) if is_apollo else parsed.items():
        if not isinstance(id_, str) or not _ID.match(id_):
            expected = f"Expected ids of at most {MAX_ID_LENGTH} letters, digits and ._~:/+=- in {name}"
            raise ManifestError(f"{expected}, got {format_value(id_)}.")
        if not isinstance(text, str) or not text.strip():
            expected = f"Expected the text of a document for {format_value(id_)} in {name}"
            raise ManifestError(f"{expected}, got {format_value(text)}.")
        yield id_, text


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a JSON object, and refuse two different values of one name, of which JSON parsers drop one."""
    members: dict[str, Any] = {}
    for name, value in pairs:
        if members.setdefault(name, value) != value:
            raise ManifestError(f"Expected one text for each id, got two for {format_value(name)}.")
    return members


def _apollo_operations(name: str, manifest: Mapping[str, Any]) -> Iterable[tuple[Any, Any]]:
    version, operations = manifest.get("version"), manifest.get("operations")
    if version != 1:
        raise ManifestError(f"Expected version 1 of Apollo's manifest in {name}, got {format_value(version)}.")
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise ManifestError(f"Expected a list of operations in {name}, got {format_value(operations)}.")
    return [(operation.get("id"), operation.get("body")) for operation in operations]
