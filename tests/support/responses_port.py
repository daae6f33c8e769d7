"""The port over an emulator's conversations and responses, without the gateway around it."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gateway.ledger.memory_kept_records import make_memory_records
from gateway.upstream.responses.kept_records import KeptRecords
from gateway.upstream.responses.responses_client import BoundResponsesApi, ResponsesClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract import writes
from schema.contract.bodies import (
    AssistantBody,
    MessageBody,
    RunBody,
    ThreadBody,
    ToolOutputsBody,
)
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import (
    RUNS,
)
from schema.contract.paging import Window
from schema.contract.wire import AssistantObject, RunObject
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.mutations import WEATHER

MESSAGE = MessageBody.model_validate({"role": "user", "content": [{"type": "text", "text": "What is the weather?"}]})
FIRST = Window(5, "asc")


@pytest.fixture
def kept() -> KeptRecords:
    return make_memory_records()


@pytest.fixture
async def client(emulator: Emulator, kept: KeptRecords) -> AsyncIterator[ResponsesClient]:
    async with ResponsesClient(UpstreamOptions(emulator.url, "openai-responses"), kept) as client:
        yield client


@pytest.fixture
def api(client: ResponsesClient) -> BoundResponsesApi:
    return client.bind(AUTHORIZATION)


async def new_assistant(api: BoundResponsesApi, **fields: Any) -> AssistantObject:
    return await api.write(writes.CREATE_ASSISTANT, None, AssistantBody.model_validate({"model": "gpt-4o", **fields}))


async def new_thread(api: BoundResponsesApi) -> ThreadKey:
    return ThreadKey((await api.write(writes.CREATE_THREAD, None, ThreadBody(messages=[MESSAGE]))).id)


async def start(api: BoundResponsesApi, thread: ThreadKey, **fields: Any) -> RunKey:
    assistant = await new_assistant(api, **fields)
    run = await api.write(writes.CREATE_RUN, thread, RunBody(assistant_id=assistant.id))
    return RunKey(thread.thread_id, run.id)


async def waiting_run(emulator: Emulator, api: BoundResponsesApi) -> tuple[RunKey, ToolOutputsBody]:
    """Start a run that waits for an output. Returns its key and the output."""
    key = await start(api, await new_thread(api), tools=[WEATHER])
    emulator.clock.advance(LONG_SECONDS)
    (call,) = (await emulator.get(f"/responses/{key.run_id}"))["output"]
    outputs = [{"tool_call_id": call["call_id"], "output": "22 °C"}]
    return key, ToolOutputsBody.model_validate({"tool_outputs": outputs})


async def status_of(api: BoundResponsesApi, key: RunKey) -> str:
    (run,) = await api.get(RUNS, [key])
    assert isinstance(run, RunObject), run
    return run.status


def codes(results: Sequence[object]) -> list[ErrorCode | None]:
    return [result.code if isinstance(result, GatewayError) else None for result in results]


async def outcomes(*writing: Any) -> list[ErrorCode | None]:
    """Send writes at once. Returns the codes of their errors."""
    return codes(await asyncio.gather(*writing, return_exceptions=True))
