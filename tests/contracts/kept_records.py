"""Every storage of what is kept of an upstream with responses, for the contract tests."""

import pytest

from gateway.ledger.memory_kept_records import make_memory_records
from gateway.upstream.responses.kept_records import KeptRecords


@pytest.fixture
def kept() -> KeptRecords:
    return make_memory_records()
