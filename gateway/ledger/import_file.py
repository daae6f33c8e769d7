"""The file of `ledger import`: the id of a thread (or of a file) and its owner on each line, as CSV or as JSON.

thread_1,alice
thread_2,bob,acme,https://login.example.com
{"id": "thread_3", "subject": "carol", "tenant": "acme"}
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.identity.principal import Owner
from gateway.identity.token_claims import BadClaimError, check_subject, check_user_text
from schema.contract.errors import format_value
from schema.contract.keys import is_upstream_id

COLUMNS = ("id", "subject", "tenant", "issuer")
"""The columns in their order. The first line may name them, in any order."""


class ImportFileError(Exception):
    """The file cannot be used. The message says which line, and why."""


def count_ids(path: Path, default_owner: Owner, *, needs_tenant: bool = False) -> int:
    """Check the whole file, before anything is changed. Returns how many ids it has.

    Raises:
        ImportFileError: As `read_import_file`, or an id has two owners.
    """
    # Hashes, since a file may have millions of lines.
    owners: dict[int, int] = {}
    for object_id, owner in read_import_file(path, default_owner, needs_tenant=needs_tenant):
        if owners.setdefault(hash(object_id), hash(owner)) != hash(owner):
            raise ImportFileError(f"{path.name}: expected one owner of each id, got two of {object_id}")
    return len(owners)


def read_import_file(path: Path, default_owner: Owner, *, needs_tenant: bool = False) -> Iterator[tuple[str, Owner]]:
    """Read the ids and their owners, line by line.

    What a line leaves out is as in `default_owner`, whose empty subject stands for none. `needs_tenant` says that a
    line may not leave the tenant out.

    Raises:
        ImportFileError: The file cannot be read, or a line is malformed.
    """
    try:
        if path.exists() and not path.is_file():
            raise ImportFileError(f"{path}: expected a file, since it is read twice, got something else")
        # A BOM is no part of the first id.
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from _read_lines(file, path.name, default_owner, needs_tenant=needs_tenant)
    except OSError as error:
        raise ImportFileError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ImportFileError(f"{path}: expected text in UTF-8") from None


def _read_lines(
    lines: Iterable[str], name: str, default_owner: Owner, *, needs_tenant: bool
) -> Iterator[tuple[str, Owner]]:
    columns: tuple[str, ...] = COLUMNS
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        try:
            fields = _read_json(text) if text.startswith("{") else _read_csv(text, columns)
            if number == 1 and fields.get("id") in COLUMNS and not text.startswith("{"):
                columns = _read_header(text)
                continue
            yield _read_owned(fields, default_owner, needs_tenant=needs_tenant)
        except (ValueError, BadClaimError) as error:
            raise ImportFileError(f"{name}, line {number}: {error}") from None


def _read_header(text: str) -> tuple[str, ...]:
    columns = tuple(column.strip() for column in next(csv.reader([text])))
    if len(set(columns)) < len(columns) or not {"id"} <= set(columns) <= set(COLUMNS):
        raise ValueError(f"expected columns among {', '.join(COLUMNS)}, and id, got {format_value(text)}")
    return columns


def _read_csv(text: str, columns: tuple[str, ...]) -> dict[str, str]:
    values = [value.strip() for value in next(csv.reader([text]))]
    if len(values) > len(columns):
        raise ValueError(f"expected at most {', '.join(columns)}, got {format_value(text)}")
    return dict(zip(columns, values, strict=False))


def _read_json(text: str) -> dict[str, str]:
    try:
        fields = json.loads(text)
    except ValueError:
        raise ValueError(f"expected a JSON object, got {format_value(text)}") from None
    if not set(fields) <= set(COLUMNS) or not all(isinstance(value, str) for value in fields.values()):
        raise ValueError(f"expected texts in {', '.join(COLUMNS)}, got {format_value(text)}")
    return fields  # type: ignore[no-any-return]


def _read_owned(fields: dict[str, str], default_owner: Owner, *, needs_tenant: bool) -> tuple[str, Owner]:
    object_id = fields.get("id", "")
    if not is_upstream_id(object_id):
        raise ValueError(f"expected an id of the upstream, got {format_value(object_id)}")
    subject = check_subject(fields.get("subject") or default_owner.subject, "a subject")
    if needs_tenant and not fields.get("tenant"):
        raise ValueError("expected a tenant, since GATEWAY_JWT_TENANT_CLAIM is set and --tenant is not, got none")
    tenant = check_user_text(fields.get("tenant") or default_owner.tenant, "a tenant")
    issuer = fields.get("issuer") or default_owner.issuer
    if not issuer:
        raise ValueError("expected an issuer, since neither --issuer nor GATEWAY_JWT_ISSUER gives one, got none")
    return object_id, Owner(issuer, subject, tenant)
