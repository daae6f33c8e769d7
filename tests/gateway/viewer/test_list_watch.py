"""Tests that runs that wait are read again while somebody looks, and that readers must stay accepted."""

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from gateway.ledger.sightings import CredentialOwner, RecordKey, RunRecordKey, SeenRun
from gateway.run_log.viewer_hub import ViewerHub
from gateway.viewer.list_watch import BUSY_ROUND_SECONDS, IDLE_ROUND_SECONDS, ListWatch
from gateway.viewer.observing_threads_api import ObservingThreadsApi
from gateway.viewer.seen_objects import seen_run
from gateway.viewer.waiting_checks import FIRST_CHECK_SECONDS, MAX_CHECK_SECONDS, WaitingChecks
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.ports import ThreadsApi
from schema.contract.thread_records import KeysetWindow, WaitingRun
from tests.gateway.viewer.keepers import NOW_MS, Kept, running_keeper, told, wait_until_told
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.subscription_gateway import until
from tests.support.wire_samples import run

RUN = RunKey("thread_1", "run_1")
WAITS = run(status="requires_action", thread_id="thread_1", expires_at=NOW_MS // 1000 + 600)


class Clock:
    """Time that passes when a watch sleeps and the test lets it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._rounds = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._rounds.acquire()
        self.now += seconds

    async def pass_round(self) -> None:
        rounds = len(self.slept)
        self._rounds.release()
        await until(lambda: len(self.slept) > rounds)

    def end_sleep(self) -> None:
        self._rounds.release()

    def unix_seconds(self) -> float:
        return NOW_MS / 1000 + self.now


class Watched:
    """A watch over the list of one owner, over an upstream with one run."""

    def __init__(self, kept: Kept, clock: Clock) -> None:
        self.kept = kept
        self.clock = clock
        self.upstream = FakeThreadsApi(runs={RUN: WAITS})
        self.refusal: GatewayError | None = None
        self.watch = ListWatch(
            kept.keeper,
            kept.hub,
            now=lambda: self.clock.now,
            unix_seconds=self.clock.unix_seconds,
            sleep=self.clock.sleep,
        )

    @property
    def name(self) -> Any:
        return self.kept.owners.to_log_name(self.kept.ann)

    def open_poller(self) -> ThreadsApi:
        return ObservingThreadsApi(self.upstream, self.kept.keeper, self.kept.ann, unix_seconds=self.clock.unix_seconds)

    async def check_accepted(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def follow(self) -> None:
        self.watch.follow(self.kept.ann, self.name, self.open_poller, self.check_accepted)

    async def record(self, status: str = "requires_action") -> None:
        seen = SeenRun(RecordKey(self.kept.ann, "thread_1"), "run_1", status, NOW_MS, expires_at_ms=NOW_MS + 600_000)
        await self.kept.store.records.record_sightings([seen])

    async def waiting(self) -> list[RunKey]:
        await self.kept.keeper.writer.wait_until_idle()
        page = await self.kept.store.records.list_waiting_runs(self.kept.ann, KeysetWindow(9), NOW_MS)
        return [one.key for one in page.items]


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    clock = Clock()
    async with running_keeper(clock.unix_seconds) as kept:
        watched = Watched(kept, clock)
        yield watched
        await watched.watch.aclose()


async def test_a_run_that_was_answered_elsewhere_leaves_the_inbox_when_it_is_asked_for(watched: Watched) -> None:
    await watched.record()
    watched.upstream.runs[RUN] = run(status="completed", thread_id="thread_1")
    runs = [WaitingRun(RUN, NOW_MS)]
    for _ in range(2):
        watched.watch.check_soon(watched.kept.ann, runs, watched.open_poller)
    await until(lambda: len(watched.upstream.calls) > 0)
    await watched.kept.keeper.writer.wait_until_idle()
    assert await watched.waiting() == []
    assert watched.upstream.calls == [("get_runs", (RUN,))]


async def test_a_list_that_is_followed_is_looked_at_while_it_is(watched: Watched) -> None:
    await watched.record()
    reader = await watched.kept.follow()
    watched.follow()
    watched.follow()
    await until(lambda: watched.clock.slept == [BUSY_ROUND_SECONDS])
    assert len(watched.upstream.calls) == 1
    watched.upstream.runs[RUN] = run(status="cancelled", thread_id="thread_1")
    await watched.clock.pass_round()
    await wait_until_told(reader, "thread_1/run_1 is cancelled")
    await watched.clock.pass_round()
    assert watched.clock.slept[-1] == IDLE_ROUND_SECONDS
    await reader.aclose()
    watched.clock.end_sleep()
    await until(lambda: not watched.watch.followed_count)


async def test_a_run_that_begins_to_wait_ends_the_rest(watched: Watched) -> None:
    reader = await watched.kept.follow()
    watched.follow()
    await until(lambda: watched.clock.slept == [IDLE_ROUND_SECONDS])
    seen = seen_run(watched.kept.ann, "thread_1", WAITS, NOW_MS)
    watched.kept.keeper.observe(watched.kept.ann, iter([seen]))
    await wait_until_told(reader, "thread_1/run_1 is requires_action")
    await until(lambda: watched.clock.slept == [IDLE_ROUND_SECONDS, BUSY_ROUND_SECONDS])
    assert watched.upstream.calls == []
    await watched.clock.pass_round()
    assert watched.upstream.calls == [("get_runs", (RUN,))]


async def test_a_run_that_was_answered_elsewhere_is_followed_to_its_end(watched: Watched) -> None:
    await watched.record()
    reader = await watched.kept.follow()
    watched.follow()
    await until(lambda: len(watched.clock.slept) == 1)
    for status in ("in_progress", "completed"):
        watched.upstream.runs[RUN] = run(status=status, thread_id="thread_1", expires_at=WAITS.expires_at)
        await watched.clock.pass_round()
        await wait_until_told(reader, f"thread_1/run_1 is {status}")
        assert watched.clock.slept[-1] == BUSY_ROUND_SECONDS
    for _ in range(2):
        await watched.clock.pass_round()
    assert watched.clock.slept[-1] == IDLE_ROUND_SECONDS
    assert len(watched.upstream.calls) == 3
    await reader.aclose()


async def test_a_run_that_expired_is_read_once_more_so_that_its_viewers_are_told(watched: Watched) -> None:
    await watched.record()
    reader = await watched.kept.follow()
    watched.follow()
    await until(lambda: len(watched.clock.slept) == 1)
    watched.clock.now += 600
    watched.upstream.runs[RUN] = run(status="expired", thread_id="thread_1", expires_at=WAITS.expires_at)
    await watched.clock.pass_round()
    await wait_until_told(reader, "thread_1/run_1 is expired")
    await watched.clock.pass_round()
    assert len(watched.upstream.calls) == 2


async def test_a_run_that_is_gone_takes_its_thread_along(watched: Watched) -> None:
    await watched.record()
    watched.upstream.runs.clear()
    reader = await watched.kept.follow()
    watched.watch.check_soon(watched.kept.ann, [WaitingRun(RUN, NOW_MS)], watched.open_poller)
    assert await told(reader) == ["thread_1 is gone"]
    assert await watched.waiting() == []


async def test_who_is_refused_follows_no_more(watched: Watched) -> None:
    reader = await watched.kept.follow()
    watched.follow()
    await until(lambda: watched.clock.slept == [IDLE_ROUND_SECONDS])
    watched.refusal = GatewayError(ErrorCode.UNAUTHENTICATED, "no")
    watched.clock.end_sleep()
    with pytest.raises(GatewayError, match="no"):
        await anext(reader)


async def test_another_process_that_watches_leaves_nothing_to_do(watched: Watched) -> None:
    await watched.record()
    await watched.kept.follow()
    assert await ViewerHub(watched.kept.log).acquire_watch(watched.name)
    watched.follow()
    await until(lambda: watched.clock.slept == [IDLE_ROUND_SECONDS])
    assert watched.upstream.calls == []


def test_a_run_is_due_at_once_and_then_ever_more_rarely() -> None:
    checks, key = WaitingChecks(), RunRecordKey(RecordKey(CredentialOwner("ann"), "thread_1"), "run_1")
    due_at = [now for now in range(2000) if checks.take_due([key], float(now))]
    pauses = [later - earlier for earlier, later in pairwise(due_at)]
    assert due_at[0] == 0
    assert pauses[:6] == [FIRST_CHECK_SECONDS * 2**step for step in range(5)] + [MAX_CHECK_SECONDS]
    assert set(pauses[6:]) == {MAX_CHECK_SECONDS}


def test_only_a_run_that_is_known_to_have_expired_is_read_after_it_waits_no_more() -> None:
    checks = WaitingChecks()
    record = RecordKey(CredentialOwner("ann"), "thread_1")
    keys = [RunRecordKey(record, f"run_{number}") for number in range(3)]
    checks.take_due(keys[:2], 0.0)
    checks.record_read(keys[0], run(status="requires_action", expires_at=100))
    checks.record_read(keys[2], run(status="requires_action", expires_at=100))
    assert checks.take_expired(keys, 99.0) == []
    checks.take_due(keys[:2], 0.0)
    checks.record_read(keys[0], run(status="requires_action", expires_at=100))
    assert checks.take_expired(keys, 100.0) == [keys[0]]
    assert checks.take_expired(keys, 100.0) == []
