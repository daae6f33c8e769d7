"""The threads that a ledger knows, as a copy of all of them lists them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.copy_store import ObjectCopy
from gateway.ledger.ledger_store import ObjectKind
from gateway.ledger.open_store import open_store
from gateway.ledger.sightings import CredentialOwner, RecordKey, SeenThread
from gateway.ledger.sql_store import SqlStore
from tests.gateway.ledger.gated_store import ALICE, BOB

UPSTREAM = UpstreamIdentity("https://upstream.test/v1")


@pytest.fixture(params=["sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlStore]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql").create_database()
    elsewhere = await open_store(url, UpstreamIdentity("https://other.test/v1"))
    await elsewhere.adopt_objects(ObjectKind.THREAD, {"thread_elsewhere": ALICE}, 0)
    await elsewhere.aclose()
    store = await open_store(url, UPSTREAM)
    yield store
    await store.aclose()


async def test_all_threads_with_an_owner_or_a_record_are_listed_once(store: SqlStore) -> None:
    await store.adopt_objects(ObjectKind.FILE, {"file-1": ALICE}, 0)
    await store.adopt_objects(ObjectKind.THREAD, {"thread_1": ALICE, "thread_3": BOB, "thread_4": BOB}, 0)
    holders = [CredentialOwner(digit * 64) for digit in "ab"]
    sightings = [SeenThread(RecordKey(holder, each), 1) for holder in holders for each in ("thread_2", "thread_5")]
    await store.records.record_sightings([*sightings, SeenThread(RecordKey(ALICE, "thread_1"), 1)])
    await store.adopt_objects(ObjectKind.THREAD, {"thread_2_copy": ALICE}, 0)
    await store.copies.put_copy("responses", ObjectKind.THREAD, ObjectCopy("thread_2", "thread_2_copy"), 1)
    everything = [f"thread_{number}" for number in range(1, 6)]
    assert list(await store.copies.list_threads(10)) == everything
    pages = [await store.copies.list_threads(2, after) for after in ("", "thread_2", "thread_4", "thread_5")]
    assert [list(page) for page in pages] == [everything[:2], everything[2:4], everything[4:], []]
    assert await store.copies.count_threads() == 5
