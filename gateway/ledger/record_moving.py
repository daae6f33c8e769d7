"""Moves all that is kept of one viewer to another: of a key that was changed, whose holder is another viewer since."""

from __future__ import annotations

from collections.abc import Callable

from gateway.ledger.ledger_store import LedgerStore
from gateway.ledger.sightings import CredentialOwner
from schema.contract.keys import InvalidOpaqueTextError, from_opaque
from schema.contract.thread_records import RecordFilter, RecordOrder, RecordWindow

PAGE_SIZE = 200

_DIGEST_LENGTH = 64


class ViewerIdError(Exception):
    """A text is not the id of a viewer."""


def viewer_from_id(text: str) -> CredentialOwner:
    """Return the viewer of a `viewer.id`.

    Raises:
        ViewerIdError: The text is none.
    """
    try:
        kind, digest = from_opaque(text)
    except (InvalidOpaqueTextError, ValueError):
        kind, digest = "", ""
    if kind != "Viewer" or len(digest) != _DIGEST_LENGTH:
        raise ViewerIdError(f"expected the value of viewer.id, got {text[:80]!r}")
    return CredentialOwner(digest)


async def move_all_records(
    store: LedgerStore, source: CredentialOwner, target: CredentialOwner, on_progress: Callable[[int], None]
) -> int:
    """Move assistants, then records page by page, so that it can break off and go on. Returns the number of records.

    Raises:
        LedgerUnavailableError: The ledger does not answer.
    """
    await store.move_assistants(source.digest, target.digest)
    moved = 0
    while True:
        page = await store.records.list_records(source, RecordFilter(), RecordOrder.CREATED, RecordWindow(PAGE_SIZE))
        if not page.items:
            return moved
        await store.records.move_records(dict.fromkeys([record.thread_id for record in page.items], target))
        moved += len(page.items)
        on_progress(moved)
