"""Tests `threads-gateway emulator` with a model behind it, as a self-hosted server for the official SDK."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.types.beta.function_tool_param import FunctionToolParam
from openai.types.beta.threads import Run

from gateway.compose import DEMO_KEY
from tests.gateway.emulator.model.chat_server import (
    ChatServer,
    call,
    completion,
    finish,
    running_chat_server,
    usage,
    words,
)
from tests.support.gateway import running_command, running_gateway, url_in
from tests.support.openai_sdk import check_object, ignores_its_deprecation

pytestmark = ignores_its_deprecation

MODEL_KEY = "sk-model-secret"
WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture
async def model() -> AsyncIterator[ChatServer]:
    async with running_chat_server() as server:
        yield server


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "emulator.log"


@asynccontextmanager
async def started(log: Path, *arguments: str) -> AsyncIterator[str]:
    """Run the emulator as a process of its own. It starts while the model's server here keeps running."""
    command = running_command("emulator", "--port", "0", *arguments, log=log, EMULATOR_MODEL_KEY=MODEL_KEY)
    _, printed = await asyncio.to_thread(command.__enter__)
    try:
        yield url_in(printed, "Base URL")
    finally:
        await asyncio.to_thread(command.__exit__, None, None, None)


@pytest.fixture
async def url(model: ChatServer, log: Path) -> AsyncIterator[str]:
    async with started(log, "--model-url", model.url, "--model", "llama3.1") as url:
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    http_client = DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(api_key=DEMO_KEY, base_url=f"{url}/v1", max_retries=0, http_client=http_client) as client:
        yield client


async def test_a_text_is_streamed_as_the_model_writes_it(client: AsyncOpenAI, model: ChatServer) -> None:
    go_on = asyncio.Event()
    model.will_stream(*words("Rome is "), go_on, *words("in ", "Italy."), finish(), usage(12, 6))
    assistant = await client.beta.assistants.create(model="gpt-4o", instructions="Be brief.")
    seen: list[str] = []
    async with client.beta.threads.create_and_run_stream(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Is Rome in Italy?"}]}
    ) as stream:
        async for text in stream.text_deltas:
            seen.append(text)
            # The first words arrive before the model has sent the others.
            go_on.set()
        run = stream.current_run
    assert seen[0] == "Rome is "
    assert "".join(seen) == "Rome is in Italy."
    assert run is not None
    assert (check_object(run).status, run.usage and run.usage.total_tokens) == ("completed", 18)
    (asked,) = model.requests
    assert asked.headers["Authorization"] == f"Bearer {MODEL_KEY}"
    assert asked.body["model"] == "llama3.1"
    assert [one["content"] for one in asked.body["messages"]] == ["Be brief.", "Is Rome in Italy?"]


async def test_a_function_is_called_and_its_output_goes_back_to_the_model(
    client: AsyncOpenAI, model: ChatServer
) -> None:
    model.will_stream(
        call(0, "", id="call_1", name="get_weather"), call(0, '{"city":'), call(0, '"Oslo"}'), finish("tool_calls")
    )
    model.will_answer(completion({"content": "It has 4 degrees."}))
    assistant = await client.beta.assistants.create(model="gpt-4o", tools=[WEATHER])
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Weather in Oslo?"}])
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20
    )
    assert check_object(run).required_action is not None
    assert run.required_action is not None
    (wanted,) = run.required_action.submit_tool_outputs.tool_calls
    assert (wanted.function.name, json.loads(wanted.function.arguments)) == ("get_weather", {"city": "Oslo"})
    run = await client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=thread.id,
        tool_outputs=[{"tool_call_id": wanted.id, "output": "4 degrees"}],
        poll_interval_ms=20,
    )
    assert check_object(run).status == "completed"
    (message,) = (await client.beta.threads.messages.list(thread.id, run_id=run.id)).data
    assert [part.text.value for part in message.content if part.type == "text"] == ["It has 4 degrees."]
    assert model.requests[1].body["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "4 degrees"}


async def failed_run(client: AsyncOpenAI) -> Run:
    assistant = await client.beta.assistants.create(model="gpt-4o")
    thread = await client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    run = await client.beta.threads.runs.create_and_poll(
        thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=20
    )
    assert check_object(run).status == "failed"
    return run


async def test_a_failing_model_is_reported_without_its_key_or_address(
    client: AsyncOpenAI, model: ChatServer, log: Path
) -> None:
    model.will_answer({"error": {"message": f"Incorrect API key provided: {MODEL_KEY}"}}, 401)
    run = await failed_run(client)
    assert run.last_error is not None
    assert run.last_error.message == "The model refused the emulator's own key (status 401)."
    written = await asyncio.to_thread(log.read_text)
    assert f"run {run.id} failed: {run.last_error.message}" in written
    for secret in (MODEL_KEY, model.url.removeprefix("http://")):
        assert secret not in written
        assert secret not in run.to_json()


async def test_the_gateway_shows_a_models_answer(url: str, model: ChatServer, client: AsyncOpenAI) -> None:
    model.will_stream(*words("Hello"), finish(), usage(3, 1))
    assistant = await client.beta.assistants.create(model="gpt-4o")
    run = await client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Hi"}]}, poll_interval_ms=20
    )
    query = f'{{ thread(id: "{run.thread_id}") {{ runs {{ nodes {{ status usage {{ totalTokens }} }} }} }} }}'
    async with running_gateway(f"{url}/v1", upstream_api_key=DEMO_KEY) as gateway:
        reply = await gateway.post({"query": query})
    assert reply.json["data"]["thread"]["runs"]["nodes"] == [{"status": "COMPLETED", "usage": {"totalTokens": 4}}]
