"""Tests that marks of old removals go, and texts that are not to be kept any more."""

import asyncio
import logging

import pytest

from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.record_store import KeptTexts
from gateway.ledger.record_sweep import MARK_SECONDS, SWEEP_SECONDS, TEXTS_PER_CALL, RecordSweep
from tests.contracts.record_helpers import search, seen_message, seen_thread


async def test_a_mark_goes_after_a_day_and_the_thread_may_be_seen_again() -> None:
    store, now = MemoryStore(), [1000.0]
    link = LedgerLink(store, deadline_seconds=5)
    sweep = RecordSweep(link, KeptTexts.ALL, unix_seconds=lambda: now[0])
    await store.records.remove_threads(["thread_1"], int(now[0] * 1000))
    for later, is_seen in ((0.0, False), (MARK_SECONDS, False), (1.0, True)):
        now[0] += later
        await sweep.sweep()
        changes = await store.records.record_sightings([seen_thread()])
        assert bool(changes.new_records) is is_seen
    await link.aclose()


async def test_the_lease_of_a_killed_gateway_goes_after_a_day() -> None:
    now = [1000.0]
    store = MemoryStore(unix_seconds=lambda: now[0])
    link = LedgerLink(store, deadline_seconds=5)
    sweep = RecordSweep(link, KeptTexts.ALL, unix_seconds=lambda: now[0])
    assert await store.kept.locks.acquire("conv_1", "resp_1", 60)
    for later, left in ((60 + MARK_SECONDS, 1), (1.0, 0)):
        now[0] += later
        await sweep.sweep()
        assert await store.remove_locks_before(now[0]) == left
        # What was just counted is there again for the next sweep.
        assert await store.kept.locks.acquire("conv_1", "resp_1", -MARK_SECONDS)
    await link.aclose()


@pytest.mark.parametrize("kept_texts", KeptTexts)
async def test_the_words_of_messages_go_where_titles_alone_are_kept(kept_texts: KeptTexts) -> None:
    store = MemoryStore()
    link = LedgerLink(store, deadline_seconds=5)
    count = TEXTS_PER_CALL + 1
    for start in range(0, count, 300):
        numbers = range(start, min(start + 300, count))
        await store.records.record_sightings([seen_message("words", f"msg_{number}") for number in numbers])
    await RecordSweep(link, kept_texts).sweep()
    # The first message gave the thread its title, which is kept.
    assert await search(store.records, "words") == {"thread_1"}
    left = await store.records.remove_message_texts(1000)
    assert left == (count if kept_texts is KeptTexts.ALL else 0)
    await link.aclose()


async def test_a_sweep_that_fails_is_made_good_by_the_next_one(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    link = LedgerLink(store, deadline_seconds=5)
    await link.aclose()
    slept: list[float] = []
    enough = asyncio.Event()

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            enough.set()
            await asyncio.Event().wait()

    with caplog.at_level(logging.WARNING):
        task = asyncio.create_task(RecordSweep(link, KeptTexts.ALL, sleep=sleep).run())
        await asyncio.wait_for(enough.wait(), 10)
        task.cancel()
    assert slept == [SWEEP_SECONDS] * 3
    assert caplog.records == []
