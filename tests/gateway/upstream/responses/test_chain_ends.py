"""How runs over conversations and responses end where the upstream alone does not end them, at the port."""

import time
from dataclasses import replace

import pytest

from gateway.upstream.responses.chain_locks import STORING_SECONDS
from gateway.upstream.responses.kept_records import KeptRecords
from gateway.upstream.responses.responses_client import BoundResponsesApi, ResponsesClient
from schema.contract import writes
from schema.contract.errors import ErrorCode
from schema.contract.keys import ThreadKey
from schema.contract.kinds import RUNS
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.mutations import WEATHER
from tests.support.responses_port import (
    MESSAGE,
    api,
    client,
    codes,
    kept,
    new_thread,
    outcomes,
    start,
    status_of,
    waiting_run,
)

__all__ = ["api", "client", "kept"]  # fixtures


async def test_a_run_that_expires_is_closed_with_answers_to_its_calls(
    emulator: Emulator, api: BoundResponsesApi, kept: KeptRecords
) -> None:
    key, body = await waiting_run(emulator, api)
    assert await kept.locks.hand_over(key.thread_id, key.run_id, "expiry-1", 5)
    await api.close_chain(key.run_id, "expired")
    await kept.locks.release(key.thread_id, "expiry-1")
    chain = (await kept.chains.find_chains([key.run_id]))[key.run_id]
    assert (chain.status, chain.ended_run is not None) == ("expired", True)
    assert await outcomes(api.write(writes.SUBMIT_TOOL_OUTPUTS, key, body)) == [ErrorCode.WRONG_STATE]
    emulator.counts.reset()
    following = await start(api, ThreadKey(key.thread_id))
    assert emulator.counts.by_operation == {"createResponse": 1}
    emulator.clock.advance(LONG_SECONDS)
    assert await status_of(api, following) == "completed"
    await api.close_chain(key.run_id, "expired")
    await api.close_chain("resp_unknown", "expired")


async def test_a_foreground_run_that_asks_before_its_reader_hears_of_the_cancel_is_cancelled(
    emulator: Emulator, api: BoundResponsesApi, kept: KeptRecords
) -> None:
    key = await start(api, await new_thread(api), tools=[WEATHER])
    chain = (await kept.chains.find_chains([key.run_id]))[key.run_id]
    await kept.chains.add_chain(replace(chain, request=b'{"background": false}', status="in_progress"))
    assert (await api.write(writes.CANCEL_RUN, key, None)).status == "cancelling"
    emulator.clock.advance(LONG_SECONDS)
    assert await status_of(api, key) == "cancelled"
    emulator.counts.reset()
    following = await start(api, ThreadKey(key.thread_id))
    assert emulator.counts.by_operation["createResponse"] == 1
    emulator.clock.advance(LONG_SECONDS)
    assert (await status_of(api, following), await status_of(api, key)) == ("completed", "cancelled")


@pytest.mark.parametrize("background", [True, False])
async def test_a_run_that_waits_and_whose_response_the_server_has_forgotten_expires_before_the_next_run(
    emulator: Emulator, client: ResponsesClient, kept: KeptRecords, background: bool
) -> None:
    api = client.bind(AUTHORIZATION)
    key, _ = await waiting_run(emulator, api)
    assert await status_of(api, key) == "requires_action"
    thread = ThreadKey(key.thread_id)
    await emulator.delete(f"/responses/{key.run_id}")
    chain = (await kept.chains.find_chains([key.run_id]))[key.run_id]
    chain = replace(chain, request=b'{"background": %s}' % str(background).lower().encode())
    await kept.chains.add_chain(chain)
    assert codes(await api.get(RUNS, [key])) == [ErrorCode.NOT_FOUND]
    # Its server may only be slow to store it.
    assert await outcomes(api.write(writes.CREATE_MESSAGE, thread, MESSAGE)) == [ErrorCode.ACTIVE_RUN]
    await kept.chains.add_chain(replace(chain, waiting_since=time.time() - STORING_SECONDS))
    await api.write(writes.CREATE_MESSAGE, thread, MESSAGE)
    assert await status_of(api, key) == "expired"
    assert codes(await client.bind("Bearer bob").get(RUNS, [key])) == [ErrorCode.NOT_FOUND]
    emulator.counts.reset()
    following = await start(api, thread)
    assert emulator.counts.by_operation["createConversationItems"] == 1
    emulator.clock.advance(LONG_SECONDS)
    assert (await status_of(api, following), await status_of(api, key)) == ("completed", "expired")


async def test_what_another_client_is_asked_is_not_answered_for_it(
    emulator: Emulator, api: BoundResponsesApi, kept: KeptRecords
) -> None:
    """It may answer yet, whether the newest run of the gateway is there still or forgotten."""
    key, body = await waiting_run(emulator, api)
    await api.write(writes.SUBMIT_TOOL_OUTPUTS, key, body)
    emulator.clock.advance(LONG_SECONDS)
    assert await status_of(api, key) == "completed"
    tools = [{"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}]
    asks = {"model": "gpt-4o", "conversation": key.thread_id, "input": "And now?", "tools": tools, "background": True}
    await emulator.post("/responses", asks)
    emulator.clock.advance(LONG_SECONDS)
    emulator.counts.reset()
    for response_id in [None, *(await kept.chains.find_chains([key.run_id]))[key.run_id].response_ids]:
        if response_id is not None:
            await emulator.delete(f"/responses/{response_id}")
        assert await outcomes(start(api, ThreadKey(key.thread_id))) == [ErrorCode.WRONG_STATE]
    assert "createConversationItems" not in emulator.counts.by_operation
