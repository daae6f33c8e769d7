"""Tests that what was deleted upstream is removed at once, or again from memory until the ledger answers."""

import asyncio
import logging

import pytest

from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.viewer.removal_writer import MAX_PAUSE_SECONDS, Removal, RemovalWriter
from schema.contract.keys import MessageKey, ThreadKey
from tests.support.subscription_gateway import until

THREAD, MESSAGE = Removal(ThreadKey("thread_1")), Removal(MessageKey("thread_1", "msg_1"))


class FakeLedger:
    """Removes, unless it is away or refuses a key."""

    def __init__(self) -> None:
        self.is_away = False
        self.refused: object = None
        self.removed: list[object] = []
        self.pauses: list[float] = []

    async def remove(self, removal: Removal) -> None:
        if self.is_away:
            raise LedgerUnavailableError("away")
        if removal == self.refused:
            raise ValueError("refused")
        self.removed.append(removal)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


async def test_a_removal_has_taken_place_when_it_returns(ledger: FakeLedger) -> None:
    removals = RemovalWriter(ledger.remove, sleep=ledger.sleep)
    await removals.submit(THREAD)
    await removals.submit(MESSAGE)
    assert (ledger.removed, len(removals)) == ([THREAD, MESSAGE], 0)
    await removals.aclose()


async def test_a_removal_that_fails_is_tried_again_until_it_succeeds(ledger: FakeLedger) -> None:
    removals = RemovalWriter(ledger.remove, sleep=ledger.sleep)
    ledger.is_away = True
    await removals.submit(THREAD)
    await removals.submit(MESSAGE)
    assert len(removals) == 2
    await until(lambda: len(ledger.pauses) > 8)
    ledger.is_away = False
    await until(lambda: not len(removals))
    assert ledger.removed == [THREAD, MESSAGE]
    assert max(ledger.pauses) == MAX_PAUSE_SECONDS
    await removals.aclose()


async def test_one_that_the_ledger_refuses_is_given_up(ledger: FakeLedger, caplog: pytest.LogCaptureFixture) -> None:
    removals = RemovalWriter(ledger.remove, sleep=ledger.sleep)
    ledger.refused = THREAD
    with caplog.at_level(logging.ERROR):
        await removals.submit(THREAD)
    assert "cannot be removed" in caplog.text
    caplog.clear()
    await removals.submit(MESSAGE)
    assert ledger.removed == [MESSAGE]
    await removals.aclose()


async def test_so_many_are_remembered_and_a_stop_says_what_is_lost(
    ledger: FakeLedger, caplog: pytest.LogCaptureFixture
) -> None:
    removals = RemovalWriter(ledger.remove, max_removals=1, sleep=ledger.sleep)
    ledger.is_away = True
    with caplog.at_level(logging.WARNING):
        await removals.submit(THREAD)
        await removals.submit(MESSAGE)
        assert len(removals) == 1
        assert "that of thread thread_1 is late" in caplog.text
        await removals.aclose()
    assert "has to find out: 1" in caplog.text
    caplog.clear()
    ledger.is_away = False
    await removals.aclose()
    assert ledger.removed == [THREAD]
