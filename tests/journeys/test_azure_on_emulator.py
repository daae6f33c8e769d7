"""Tests that Azure's official clients and the gateway's dialects of Azure run on the emulator unchanged."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from azure.ai.agents import AgentsClient
from azure.ai.agents.models import (
    FunctionTool,
    ListSortOrder,
    RequiredFunctionToolCall,
    SubmitToolOutputsAction,
    ToolOutput,
)
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from openai import AsyncAzureOpenAI, DefaultAsyncHttpxClient

from gateway.config import Settings
from schema.contract.keys import to_file_id
from tests.support.clocks import RestlessClock
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    RUN_EVENTS,
    check_events_match_messages,
    messages_of_run,
    start_run,
    statuses,
)
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import mutate, succeed
from tests.support.openai_sdk import check_object, check_page, ignores_its_deprecation
from tests.support.subscription_clients import open_socket

API_VERSION = "2025-04-01-preview"
DIALECTS = {"azure-openai": "/openai", "azure-foundry": "/api/projects/demo"}


@pytest.fixture
async def restless() -> AsyncIterator[Emulator]:
    async with running_emulator(clock=RestlessClock(1.0)) as emulator:
        yield emulator


def azure_openai(emulator: Emulator, key: str = KEY) -> AsyncAzureOpenAI:
    return AsyncAzureOpenAI(
        azure_endpoint=emulator.root_url,
        api_key=key,
        api_version=API_VERSION,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(trust_env=False),
    )


@ignores_its_deprecation
async def test_azure_openai_of_the_official_sdk_runs_unchanged(restless: Emulator) -> None:
    async with azure_openai(restless) as client:
        file = check_object(await client.files.create(file=("notes.md", b"# Leave\n30 days"), purpose="assistants"))
        assert (await client.files.content(file.id)).content == b"# Leave\n30 days"
        assert file.id in [one.id for one in (await client.files.list(purpose="assistants")).data]
        ranked: Any = {"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 0.5}}}
        assistant = check_object(await client.beta.assistants.create(model="gpt-4o", tools=[ranked]))
        question: Any = {"role": "user", "content": "Days of leave?"}
        question["attachments"] = [{"file_id": file.id, "tools": [{"type": "file_search"}]}]
        thread = check_object(await client.beta.threads.create(messages=[question]))
        run = await client.beta.threads.runs.create_and_poll(
            thread_id=thread.id, assistant_id=assistant.id, poll_interval_ms=0
        )
        assert check_object(run).status == "completed"
        steps = check_page(await client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc"))
        details: Any = steps[0].step_details.to_dict()
        (call,) = details["tool_calls"]
        assert call["file_search"]["ranking_options"] == {"ranker": "default_2024_08_21", "score_threshold": 0.5}
        (result,) = call["file_search"]["results"]
        assert (result["file_name"], result["attributes"]) == ("notes.md", {})
        async with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id) as stream:
            names = [event.event async for event in stream]
        assert (names[0], names[-1]) == ("thread.run.created", "thread.run.completed")
        assert (await client.files.delete(file.id)).deleted
        with pytest.raises(openai.NotFoundError, match=f"No such File object: {file.id}"):
            await client.files.retrieve(file.id)


async def test_a_wrong_key_of_azure_is_refused_in_azures_words(restless: Emulator) -> None:
    async with azure_openai(restless, "sk-invalid") as client:
        with pytest.raises(openai.AuthenticationError, match="Access denied due to invalid subscription key"):
            await client.files.list()


class Credential:
    """A token that never ends."""

    def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(KEY, 4_102_444_800)


class TakesPlainHttp(SansIOHTTPPolicy[Any, Any]):
    """Lets a token be sent to a loopback address without TLS."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.context.options["enforce_https"] = False


def agents_client(emulator: Emulator) -> AgentsClient:
    return AgentsClient(
        endpoint=f"{emulator.root_url}/api/projects/demo",
        credential=Credential(),
        per_call_policies=[TakesPlainHttp()],
    )


async def test_azure_ai_agents_runs_unchanged(restless: Emulator, tmp_path: Path) -> None:
    def converse() -> None:
        with agents_client(restless) as client:
            agent = client.create_agent(model="gpt-4o", name="Helper", instructions="Be brief.")
            assert [one.id for one in client.list_agents()] == [agent.id]
            threads = [client.threads.create() for _ in range(3)]
            assert {one.id for one in client.threads.list(limit=2)} == {one.id for one in threads}
            thread = threads[0]
            client.messages.create(thread_id=thread.id, role="user", content="What is a heron?")
            run = client.runs.create_and_process(thread_id=thread.id, agent_id=agent.id, polling_interval=0)
            assert run.status == "completed"
            (step,) = client.run_steps.list(thread_id=thread.id, run_id=run.id)
            assert step.type == "message_creation"
            texts = [
                one.text_messages[0].text.value
                for one in client.messages.list(thread.id, order=ListSortOrder.ASCENDING)
            ]
            assert (texts[0], len(texts)) == ("What is a heron?", 2)
            with client.runs.stream(thread_id=thread.id, agent_id=agent.id) as stream:
                names = [name for name, _, _ in stream]
            assert (names[0], names[-2:]) == ("thread.run.created", ["thread.run.completed", "done"])
            client.threads.delete(thread.id)
            with pytest.raises(HttpResponseError, match="No thread found with id"):
                client.threads.get(thread.id)

    await asyncio.to_thread(converse)


async def test_azure_ai_agents_answers_function_calls_and_uploads_files(restless: Emulator, tmp_path: Path) -> None:
    def get_weather(city: str) -> str:
        """Return the weather.

        :param city: The city.
        """
        return json.dumps({"city": city, "degrees": 4})

    notes = tmp_path / "notes.md"
    notes.write_text("# Leave")

    def converse() -> None:
        with agents_client(restless) as client:
            tool = FunctionTool({get_weather})
            agent = client.create_agent(model="gpt-4o", tools=tool.definitions)
            thread = client.threads.create()
            client.messages.create(thread_id=thread.id, role="user", content="The weather in Oslo?")
            run = client.runs.create(thread_id=thread.id, agent_id=agent.id)
            while run.status in {"queued", "in_progress"}:
                run = client.runs.get(thread_id=thread.id, run_id=run.id)
            assert run.status == "requires_action"
            assert isinstance(run.required_action, SubmitToolOutputsAction)
            (call,) = run.required_action.submit_tool_outputs.tool_calls
            assert isinstance(call, RequiredFunctionToolCall)
            outputs = [ToolOutput(tool_call_id=call.id, output=tool.execute(call))]
            client.runs.submit_tool_outputs(thread_id=thread.id, run_id=run.id, tool_outputs=outputs)
            while run.status != "completed":
                run = client.runs.get(thread_id=thread.id, run_id=run.id)
            file = client.files.upload_and_poll(file_path=str(notes), purpose="assistants", polling_interval=0)
            assert (file.filename, b"".join(client.files.get_content(file.id))) == ("notes.md", b"# Leave")
            assert file.id in [one.id for one in client.files.list().data]
            client.files.delete(file.id)

    await asyncio.to_thread(converse)


@pytest.fixture(params=DIALECTS)
async def azure_gateway(request: pytest.FixtureRequest, emulator: Emulator) -> AsyncIterator[Gateway]:
    """A gateway that reaches the emulator as one of Azure's servers."""
    url = emulator.root_url + DIALECTS[request.param]
    async with running_gateway(url, upstream_dialect=request.param) as gateway:
        yield gateway


async def test_the_gateways_dialects_of_azure_write_and_read(emulator: Emulator, azure_gateway: Gateway) -> None:
    made = await succeed(
        azure_gateway,
        "createThread",
        "thread { id upstreamId messages { nodes { id text attachments { fileId } } } }",
        messages=[
            {"content": [{"text": "Hello"}], "attachments": [{"fileId": "file-notes", "tools": ["FILE_SEARCH"]}]}
        ],
    )
    thread = made["thread"]
    (message,) = thread["messages"]["nodes"]
    assert (message["text"], message["attachments"]) == ("Hello", [{"fileId": to_file_id("file-notes")}])
    assert (await emulator.get(f"/threads/{thread['upstreamId']}"))["id"] == thread["upstreamId"]
    deleted = await mutate(azure_gateway, "deleteMessage", "deletedId", messageId=message["id"])
    capabilities = await azure_gateway.data("{ upstream { deletesMessages } }")
    deletes = capabilities["upstream"]["deletesMessages"]
    codes = [error["code"] for error in deleted["userErrors"]]
    assert codes == ([] if deletes else ["UNSUPPORTED_BY_UPSTREAM"])
    missing = await azure_gateway.data('{ thread(id: "thread_none") { id } }')
    assert missing == {"thread": None}


async def test_the_gateways_dialects_of_azure_follow_a_run(emulator: Emulator, azure_gateway: Gateway) -> None:
    async with open_socket(azure_gateway) as socket:
        run = await start_run(emulator, azure_gateway)
        reader = await socket.subscribe(RUN_EVENTS, run=run.id)
        await reader.wait_for_event("RunSnapshot")
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
        assert statuses(events)[-1] == "COMPLETED"
        check_events_match_messages(events, await messages_of_run(emulator, run))


async def test_a_wrong_key_of_azure_is_unauthenticated(emulator: Emulator, azure_gateway: Gateway) -> None:
    answer = await azure_gateway.execute(
        '{ thread(id: "thread_1") { id } }', headers={"Authorization": "Bearer sk-invalid"}
    )
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAUTHENTICATED"]


def test_both_dialects_of_azure_are_tested() -> None:
    (names,) = [field.annotation for name, field in Settings.model_fields.items() if name == "upstream_dialect"]
    assert {name for name in names.__args__ if name.startswith("azure")} == set(DIALECTS)  # type: ignore[union-attr]
