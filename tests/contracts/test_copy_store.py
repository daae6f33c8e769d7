"""Copies, in every implementation of the ledger."""

from gateway.identity.principal import UpstreamIdentity
from gateway.ledger.copy_store import ObjectCopy
from gateway.ledger.ledger_store import LedgerStore, ObjectKind
from tests.contracts.ledger_stores import THREAD, OpenLedger, open_ledger, store

__all__ = ["open_ledger", "store"]

NEW, OLD = "responses", "assistants"


async def test_a_copy_is_found_in_its_state(store: LedgerStore) -> None:
    copies = store.copies
    assert not await copies.has_done_copies(NEW)
    for copy in (ObjectCopy("thread_1"), ObjectCopy("thread_1", "conv_1"), ObjectCopy("thread_2", "conv_2")):
        await copies.put_copy(NEW, THREAD, copy, 1)
    found = await copies.find_copies(NEW, THREAD, ["thread_1", "thread_2", "thread_3"])
    assert found == {"thread_1": ObjectCopy("thread_1", "conv_1"), "thread_2": ObjectCopy("thread_2", "conv_2")}
    assert not await copies.has_done_copies(NEW)
    await copies.put_copy(NEW, THREAD, ObjectCopy("thread_1", "conv_1", is_done=True), 1)
    assert await copies.has_done_copies(NEW)


async def test_a_copy_that_is_done_stays(store: LedgerStore) -> None:
    done = ObjectCopy("thread_1", "conv_1", is_done=True)
    for copy in (done, ObjectCopy("thread_1"), ObjectCopy("thread_1", "conv_2", is_done=True)):
        await store.copies.put_copy(NEW, THREAD, copy, 1)
    assert await store.copies.find_copies(NEW, THREAD, ["thread_1"]) == {"thread_1": done}


async def test_a_copy_is_of_one_upstream_family_and_kind(open_ledger: OpenLedger) -> None:
    store = await open_ledger()
    await store.copies.put_copy(NEW, THREAD, ObjectCopy("x", "y", is_done=True), 1)
    other = await open_ledger(UpstreamIdentity("https://other.test/v1"))
    assert await other.copies.find_copies(NEW, THREAD, ["x"]) == {}
    assert await store.copies.find_copies(OLD, THREAD, ["x"]) == {}
    assert await store.copies.find_copies(NEW, ObjectKind.FILE, ["x"]) == {}
    assert not await store.copies.has_done_copies(OLD)


async def test_ids_of_any_characters_are_looked_for(store: LedgerStore) -> None:
    strange = ["", "\0", "\ud800", "\\", "'; --", "x" * 10_000]
    await store.copies.put_copy(NEW, THREAD, ObjectCopy("\ud800", "\0", is_done=True), 1)
    assert await store.copies.find_copies(NEW, THREAD, strange) == {"\ud800": ObjectCopy("\ud800", "\0", is_done=True)}
    assert await store.copies.find_copies(NEW, THREAD, []) == {}
