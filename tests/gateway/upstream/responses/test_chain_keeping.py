"""A run is kept while its stream passes, whether or not the ledger answers, and its lease is renewed until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway.background_tasks import BackgroundTasks
from gateway.ledger.memory_kept_records import make_memory_records
from gateway.upstream.responses.chain_keeping import (
    SAVE_PAUSES_SECONDS,
    ChainKeeper,
    KeepingOptions,
    NewResponse,
)
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord, KeptRecords
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import MessageObject, RunObject
from tests.support.run_log_processes import settle
from tests.support.wire_samples import CREATED_AT, message, run

THREAD, RUN, TOKEN = "conv_1", "resp_1", "random"
CHAIN = ChainRecord("", THREAD, 5, "asst_1", (), b"{}")
AWAY = GatewayError(ErrorCode.LEDGER_UNAVAILABLE, "The ledger does not answer.")


class FrailChains:
    """The chains of a ledger that may be away."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.is_away = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any) -> Any:
            if self.is_away:
                raise AWAY
            return await getattr(self._inner, name)(*arguments)

        return call


class Keeping:
    """A ledger, a clock that a test moves, and the keeper of one run."""

    def __init__(
        self, *, starts: bool = True, chain: ChainRecord = CHAIN, answers: dict[str, str] | None = None
    ) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, asyncio.Event]] = []
        memory = make_memory_records(lambda: self.now)
        self.chains = FrailChains(memory.chains)
        chains: Any = self.chains
        self.kept: KeptRecords = replace(memory, chains=chains)
        self.tasks = BackgroundTasks()
        self.cancelling = 0
        new = NewResponse(chain, answers or {}, TOKEN) if starts else None
        self.keeper = ChainKeeper(
            self.kept,
            THREAD,
            KeepingOptions(30, 600, lambda: self.now, self._sleep),
            self.tasks,
            run_id=None if starts else RUN,
            new=new,
            on_cancelling=self._on_cancelling,
        )

    async def _sleep(self, seconds: float) -> None:
        awake = asyncio.Event()
        self._sleepers.append((self.now + seconds, awake))
        await awake.wait()

    async def _on_cancelling(self) -> None:
        self.cancelling += 1

    async def pass_seconds(self, seconds: float) -> None:
        await settle()
        self.now += seconds
        for _ in range(5):
            due = [awake for when, awake in self._sleepers if when <= self.now]
            self._sleepers = [sleeper for sleeper in self._sleepers if sleeper[0] > self.now]
            for awake in due:
                awake.set()
            await settle()

    async def tell(self, status: str, **options: Any) -> str:
        """Tell the keeper a run's status. Returns the one that readers see."""
        event = StreamEvent(wire=run(RUN, status=status, thread_id=THREAD))
        (kept,) = await self.keeper.keep([event], RUN, **options)
        assert isinstance(kept.wire, RunObject)
        return kept.wire.status

    async def tell_message(self, name: str = "msg_1") -> Any:
        (event,) = await self.keeper.keep([StreamEvent(wire=message(name, created_at=5))], RUN)
        assert isinstance(event.wire, MessageObject)
        return event.wire.created_at

    async def chain(self) -> ChainRecord | None:
        return (await self.kept.chains.find_chains([RUN])).get(RUN)

    async def status(self) -> str | None:
        chain = await self.chain()
        return None if chain is None else chain.status

    async def holder(self) -> str | None:
        return await self.kept.locks.find_holder(THREAD)


async def begun(**options: Any) -> Keeping:
    keeping = Keeping(**options)
    await keeping.kept.locks.acquire(THREAD, TOKEN, 30)
    await keeping.tell("queued")
    return keeping


async def test_a_run_gets_the_lease_and_its_chain_with_its_first_event() -> None:
    keeping = await begun()
    assert await keeping.holder() == RUN
    # The time is the upstream's, by which its runs are in order.
    assert await keeping.chain() == replace(CHAIN, run_id=RUN, created_at=CREATED_AT, response_ids=(RUN,))
    await keeping.keeper.aclose()


async def test_a_lease_that_ended_before_the_run_had_an_id_is_taken_again() -> None:
    keeping = Keeping()
    await keeping.tell("queued")
    assert await keeping.holder() == RUN
    await keeping.keeper.aclose()


async def test_a_response_that_goes_on_extends_its_chain_by_what_was_submitted() -> None:
    chain = replace(CHAIN, run_id=RUN, response_ids=("resp_1",), answers={"call_0": "a"}, status="requires_action")
    keeping = Keeping(chain=chain, answers={"call_1": "b"})
    await keeping.kept.chains.add_chain(chain)
    event = StreamEvent(wire=run(RUN, status="queued", thread_id=THREAD))
    await keeping.keeper.keep([event], "resp_2")
    extended = await keeping.chain()
    assert extended is not None
    assert (extended.response_ids, dict(extended.answers)) == (("resp_1", "resp_2"), {"call_0": "a", "call_1": "b"})
    assert extended.status == "queued"
    await keeping.keeper.aclose()


async def test_a_lease_is_renewed_until_its_run_ends_or_its_stream_is_closed() -> None:
    keeping = await begun()
    for _ in range(10):
        await keeping.pass_seconds(11)
        assert await keeping.holder() == RUN
    await keeping.tell("completed")
    assert await keeping.holder() is None
    ended = await keeping.chain()
    assert ended is not None
    assert ended.ended_run is not None
    left = await begun()
    await left.keeper.aclose()
    await left.pass_seconds(29)
    assert await left.holder() == RUN
    await left.pass_seconds(2)
    assert await left.holder() is None


async def test_a_run_that_waits_holds_its_lease_as_long_as_it_may_wait() -> None:
    keeping = await begun()
    await keeping.tell("requires_action")
    chain = await keeping.chain()
    assert chain is not None
    assert (chain.status, chain.waiting_since) == ("requires_action", 1000.0)
    await keeping.pass_seconds(629)
    assert await keeping.holder() == RUN
    await keeping.pass_seconds(2)
    assert await keeping.holder() is None
    await keeping.keeper.aclose()


async def test_a_run_that_expired_takes_no_lease_again_when_its_stream_is_opened_behind_its_last_event() -> None:
    keeping = Keeping(starts=False)
    ended = replace(CHAIN, run_id=RUN, response_ids=(RUN,), status="expired")
    await keeping.kept.chains.add_chain(ended)
    await keeping.keeper.hold_lease()
    assert await keeping.tell("requires_action") == "expired"
    assert (await keeping.status(), await keeping.holder()) == ("expired", None)


async def test_a_run_that_another_process_cancels_just_before_it_waits_is_cancelled() -> None:
    keeping = await begun()
    await keeping.kept.chains.record_status(RUN, "cancelling")
    assert await keeping.tell("requires_action") == "cancelled"
    assert (await keeping.status(), await keeping.holder()) == ("cancelled", None)
    await keeping.keeper.aclose()


async def test_another_process_can_ask_for_the_end_of_a_run() -> None:
    keeping = await begun()
    await keeping.pass_seconds(11)
    assert keeping.cancelling == 0
    await keeping.kept.chains.record_status(RUN, "cancelling")
    await keeping.pass_seconds(11)
    assert keeping.cancelling == 1
    await keeping.keeper.aclose()


@pytest.mark.parametrize("by", ["the next event", "the next renewal", "the end"])
async def test_what_a_ledger_does_not_take_is_written_later(by: str) -> None:
    keeping = Keeping()
    await keeping.kept.locks.acquire(THREAD, TOKEN, 30)
    keeping.chains.is_away = True
    await keeping.tell("queued")
    await keeping.tell("in_progress")
    seen_at = await keeping.tell_message()
    assert seen_at == 1000
    keeping.chains.is_away = by == "the end"
    assert by == "the end" or await keeping.chain() is None
    match by:
        case "the next event":
            await keeping.keeper.keep([StreamEvent()], RUN)
        case "the next renewal":
            await keeping.pass_seconds(11)
        case _:
            await keeping.keeper.aclose()
            await keeping.pass_seconds(SAVE_PAUSES_SECONDS[0])
            keeping.chains.is_away = False
            await keeping.pass_seconds(SAVE_PAUSES_SECONDS[1])
            assert not len(keeping.tasks)
    assert await keeping.status() == "in_progress"
    assert await keeping.kept.chains.find_items(THREAD, ["msg_1"]) == {"msg_1": ItemRecord(1000, RUN)}
    await keeping.keeper.aclose()


async def test_a_ledger_that_stays_away_is_given_up() -> None:
    keeping = Keeping()
    keeping.chains.is_away = True
    await keeping.tell("queued")
    await keeping.keeper.aclose()
    for pause in SAVE_PAUSES_SECONDS:
        assert len(keeping.tasks) == 1
        await keeping.pass_seconds(pause)
    assert not len(keeping.tasks)


async def test_a_message_has_the_time_when_any_gateway_first_saw_it() -> None:
    keeping = await begun()
    await keeping.kept.chains.add_items(THREAD, {"msg_1": ItemRecord(990), "msg_2": ItemRecord(980, RUN)})
    assert [await keeping.tell_message(name) for name in ("msg_1", "msg_2", "msg_3")] == [990, 980, 1000]
    await keeping.pass_seconds(1)
    assert await keeping.tell_message("msg_3") == 1000
    found = await keeping.kept.chains.find_items(THREAD, ["msg_1", "msg_2", "msg_3"])
    assert {item.run_id for item in found.values()} == {RUN}
    await keeping.keeper.aclose()


async def test_a_run_that_was_started_elsewhere_is_kept_only_where_it_ends_or_waits() -> None:
    keeping = Keeping(starts=False)
    waiting = replace(CHAIN, run_id=RUN, response_ids=(RUN,), status="requires_action", waiting_since=900.0)
    await keeping.kept.chains.add_chain(waiting)
    await keeping.keeper.hold_lease()
    assert await keeping.holder() == RUN
    for status in ("queued", "in_progress"):
        await keeping.tell(status)
    await keeping.tell("completed", is_last=False)
    assert await keeping.chain() == waiting
    await keeping.tell("requires_action")
    assert await keeping.chain() == waiting
    await keeping.tell("completed")
    assert await keeping.status() == "completed"
    assert await keeping.holder() is None
    await keeping.keeper.aclose()


async def test_a_run_without_a_stream_here_holds_its_lease_until_it_would_expire() -> None:
    keeping = Keeping()
    await keeping.kept.locks.acquire(THREAD, TOKEN, 30)
    await keeping.keeper.keep_run(run(RUN, status="queued", thread_id=THREAD), RUN)
    assert await keeping.status() == "queued"
    await keeping.pass_seconds(629)
    assert await keeping.holder() == RUN
    await keeping.keeper.aclose()
