"""Tests that look-ups of many operations become few, and that none waits for a slow one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from gateway.identity.principal import Owner
from gateway.ledger.ledger_store import LedgerUnavailableError
from gateway.ledger.look_up_batches import LookUpBatches
from tests.gateway.ledger.gated_store import ALICE, until


@dataclass
class SlowLedger:
    """A ledger in which all threads are Alice's. Each look-up waits until it is answered, or fails."""

    asked: list[Sequence[str]] = field(default_factory=list)
    answers: list[asyncio.Future[None]] = field(default_factory=list)

    async def find(self, thread_ids: Sequence[str]) -> dict[str, Owner]:
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked.append(thread_ids)
        self.answers.append(answer)
        await answer
        return dict.fromkeys(thread_ids, ALICE)


@pytest.fixture
def ledger() -> SlowLedger:
    return SlowLedger()


@pytest.fixture
async def batches(ledger: SlowLedger) -> AsyncIterator[LookUpBatches]:
    batches = LookUpBatches(ledger.find, max_batch=3)
    yield batches
    await batches.aclose()


async def test_a_look_up_alone_is_asked_at_once(ledger: SlowLedger, batches: LookUpBatches) -> None:
    look_up = batches.add_objects(["thread_1"])
    await until(lambda: ledger.asked == [("thread_1",)])
    ledger.answers[0].set_result(None)
    assert await look_up == {"thread_1": ALICE}


async def test_look_ups_that_come_meanwhile_are_asked_together(ledger: SlowLedger, batches: LookUpBatches) -> None:
    first = batches.add_objects(["thread_1"])
    await until(lambda: len(ledger.asked) == 1)
    later = [batches.add_objects([f"thread_{number}"]) for number in (2, 3)]
    ledger.answers[0].set_result(None)
    await first
    await until(lambda: len(ledger.asked) == 2)
    assert ledger.asked[1] == ("thread_2", "thread_3")
    ledger.answers[1].set_result(None)
    assert [await look_up for look_up in later] == [{"thread_2": ALICE, "thread_3": ALICE}] * 2
    # The next one is not added to what was asked.
    batches.add_objects(["thread_4"])
    await until(lambda: ledger.asked[2:] == [("thread_4",)])


async def test_a_look_up_that_takes_long_holds_no_other_up(ledger: SlowLedger, batches: LookUpBatches) -> None:
    slow = batches.add_objects(["thread_1"])
    await until(lambda: len(ledger.asked) == 1)
    quick = batches.add_objects(["thread_2"])
    await until(lambda: len(ledger.asked) == 2)
    ledger.answers[1].set_result(None)
    assert await quick == {"thread_2": ALICE}
    assert not slow.done()


async def test_a_batch_is_bounded_and_its_failure_is_its_own(ledger: SlowLedger, batches: LookUpBatches) -> None:
    look_ups = [batches.add_objects([f"thread_{number}"]) for number in range(5)]
    await until(lambda: len(ledger.asked) == 2)
    assert [len(asked) for asked in ledger.asked] == [3, 2]
    ledger.answers[0].set_exception(LedgerUnavailableError("gone"))
    ledger.answers[1].set_result(None)
    outcomes = await asyncio.gather(*look_ups, return_exceptions=True)
    assert [isinstance(outcome, LedgerUnavailableError) for outcome in outcomes] == [True] * 3 + [False] * 2
