"""Every storage of what is kept of an upstream with responses, for the contract tests."""

from collections.abc import AsyncIterator

import pytest

from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.ledger_store import LedgerStore
from gateway.ledger.linked_kept_records import link_kept_records
from gateway.upstream.responses.kept_records import KeptRecords


@pytest.fixture
async def kept(store: LedgerStore) -> AsyncIterator[KeptRecords]:
    """Open each kind of store behind a link, as operations use it."""
    # The deadline is long, so that a busy machine does not make the ledger seem to be down.
    link = LedgerLink(store, deadline_seconds=20)
    yield link_kept_records(link)
    await link.aclose()
