"""Runs in the foreground through the port: they end with their reader, which may be another gateway."""

from dataclasses import replace
from typing import Any

from gateway.emulator.clock import ManualClock
from gateway.upstream.responses.kept_records import KeptRecords
from gateway.upstream.responses.lost_chains import LostChains
from gateway.upstream.responses.responses_client import BoundResponsesApi, ResponsesClient
from schema.contract import writes
from schema.contract.errors import ErrorCode
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import RUN_STEPS, RUNS, RunStepPageKey
from schema.contract.wire import Page, RunObject
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.responses_port import (
    FIRST,
    MESSAGE,
    client,
    codes,
    kept,
    new_thread,
    outcomes,
    start,
    status_of,
)

__all__ = ["client", "kept"]  # fixtures


async def begin_in_foreground(
    client: ResponsesClient, kept: KeptRecords, **fields: Any
) -> tuple[ManualClock, BoundResponsesApi, RunKey]:
    """Start a run that is kept as one in the foreground, whose lease is 30 s by the clock that is returned."""
    clock = ManualClock()
    client.lost_chains = LostChains(kept, 30, clock.now)
    api = client.bind(AUTHORIZATION)
    key = await start(api, await new_thread(api))
    chain = (await kept.chains.find_chains([key.run_id]))[key.run_id]
    await kept.chains.add_chain(replace(chain, **{"request": b'{"background": false}', **fields}))
    return clock, api, key


async def test_a_foreground_run_without_a_reader_has_failed_after_its_lease(
    emulator: Emulator, client: ResponsesClient, kept: KeptRecords
) -> None:
    clock, api, key = await begin_in_foreground(client, kept)
    assert await status_of(api, key) == "queued"
    await kept.locks.release(key.thread_id, key.run_id)
    # Redis may have lost the lease of a run that is read.
    assert await status_of(api, key) == "queued"
    assert await outcomes(start(api, ThreadKey(key.thread_id))) == [ErrorCode.ACTIVE_RUN]
    clock.advance(30)
    assert await status_of(api, key) == "failed"
    emulator.clock.advance(LONG_SECONDS)
    assert await status_of(api, key) == "failed"


async def test_a_foreground_run_that_another_gateway_reads_is_cancelled_though_it_is_read_meanwhile(
    emulator: Emulator, client: ResponsesClient, kept: KeptRecords
) -> None:
    """Its reader looks at the record now and then, which shows nothing but the wish until then."""
    clock, api, key = await begin_in_foreground(client, kept, status="in_progress")
    assert (await api.write(writes.CANCEL_RUN, key, None)).status == "cancelling"
    assert await status_of(api, key) == "cancelling"
    assert (await kept.chains.find_chains([key.run_id]))[key.run_id].status == "cancelling"
    assert await outcomes(api.write(writes.CREATE_MESSAGE, ThreadKey(key.thread_id), MESSAGE)) == [ErrorCode.ACTIVE_RUN]
    await kept.locks.release(key.thread_id, key.run_id)
    assert await status_of(api, key) == "cancelling"
    clock.advance(30)
    assert await status_of(api, key) == "cancelled"


async def test_a_foreground_run_that_its_server_has_not_stored_yet_is_in_progress(
    emulator: Emulator, client: ResponsesClient, kept: KeptRecords
) -> None:
    """Some servers store a response once it has ended. Until then it is not found."""
    request = b'{"background": false, "model": "gpt-4o"}'
    clock, api, key = await begin_in_foreground(client, kept, request=request)
    await emulator.delete(f"/responses/{key.run_id}")
    (run,) = await api.get(RUNS, [key])
    assert isinstance(run, RunObject)
    assert (run.status, run.model, run.thread_id) == ("in_progress", "gpt-4o", key.thread_id)
    assert await api.list(RUN_STEPS, [RunStepPageKey(*key, FIRST)]) == [Page([])]
    assert codes(await client.bind("Bearer bob").get(RUNS, [key])) == [ErrorCode.NOT_FOUND]
    await kept.locks.release(key.thread_id, key.run_id)
    assert await status_of(api, key) == "in_progress"
    clock.advance(30)
    assert await status_of(api, key) == "failed"
