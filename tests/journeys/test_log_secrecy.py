"""Drives a gateway through good, bad and crashing requests at the level `debug`, and searches its whole log.

Everything that a caller or the configuration has to keep to themselves holds the word `planted`: credentials, tokens,
texts, instructions, metadata, outputs of tools, variables, URLs with their queries, and bytes that are no HTTP.
"""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from gateway.telemetry.log_fields import AUDIT_FIELDS, LINE_FIELDS, OPERATION_FIELDS
from tests.support.emulator import Emulator
from tests.support.gateway import running_command, url_in
from tests.support.graphql import GraphQLClient
from tests.support.mutations import WEATHER
from tests.support.ports import free_port
from tests.support.subscription_clients import open_socket, open_stream

PLANTED = "planted"
KEY = "sk-planted-key-of-a-caller"
HEADERS = {"Authorization": f"Bearer {KEY}"}

CRASHING_PROGRAM = """
import sys
from gateway.cli import main
from gateway.server.http import graphql_request, operation_runner
from gateway.upstream import call_sender

def crash_if_asked(function, find_text):
    def crashing(*args, **kwargs):
        text = find_text(*args)
        if "crash" in text:
            try:
                {}[text]
            except KeyError:
                raise ValueError(f"cannot work on {text}, see https://a.example/x?planted=1")
        return function(*args, **kwargs)
    return crashing

call_sender.outcome_from_reply = crash_if_asked(
    call_sender.outcome_from_reply, lambda reader, key, reply: reply.body.decode()
)
operation_runner.describe_operation = crash_if_asked(
    operation_runner.describe_operation, lambda record, parsed: parsed.request.query
)
sys.exit(main(sys.argv[1:]))
"""

CREATE = """mutation Create($text: String!, $metadata: Metadata!) {
  createThread(input: {messages: [{content: [{text: $text}]}], metadata: $metadata}) {
    thread { upstreamId } userErrors { message }
  }
}"""
ASSISTANT = """mutation ($instructions: String!, $tools: [ToolInput!]) {
  createAssistant(input: {model: "gpt-4o", instructions: $instructions, tools: $tools}) { assistant { upstreamId } }
}"""
RUN = """mutation ($thread: ID!, $assistant: ID!, $text: String!, $metadata: Metadata) {
  createRun(input: {threadId: $thread, assistantId: $assistant, instructions: $text, metadata: $metadata}) {
    run { id }
  }
}"""
EVENTS = "subscription ($id: ID!) { runEvents(runId: $id) { type: __typename } }"
READ = "query ($id: ID!) { thread(id: $id) { metadata messages { nodes { text metadata } } } }"


def token(**claims: Any) -> str:
    parts = ({"alg": "none"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".x"


async def do_good(client: GraphQLClient) -> str:
    """Write and read. Returns the thread."""
    variables = {"text": "planted text", "metadata": {"a": "planted metadata"}}
    answer = await client.execute(CREATE, variables, HEADERS)
    thread_id: str = answer["data"]["createThread"]["thread"]["upstreamId"]
    made = await client.execute(ASSISTANT, {"instructions": "planted instructions"}, HEADERS)
    assistant = made["data"]["createAssistant"]["assistant"]["upstreamId"]
    run = await client.execute(
        RUN, {"thread": thread_id, "assistant": assistant, "text": "planted", "metadata": {"a": "planted"}}, HEADERS
    )
    run_id = run["data"]["createRun"]["run"]["id"]
    async with open_socket(client, key=KEY) as socket, open_stream(client, EVENTS, key=KEY, id=run_id) as stream:
        await (await socket.subscribe(EVENTS, id=run_id)).wait_for_event("RunSnapshot")
        await stream.wait_for_event("RunSnapshot")
    read = await client.get(params={"query": READ, "variables": json.dumps({"id": thread_id})}, headers=HEADERS)
    assert b"planted text" in read.body
    return thread_id


async def do_bad(client: GraphQLClient, thread_id: str) -> None:
    """Send what is refused, each with something that must not be logged."""
    for body in (
        b'{"query": "planted',
        b"planted",
        {"query": "{ planted }"},
        {"query": 'planted { " '},
        {"query": READ, "variables": {"id": {"planted": 1}}},
        {"query": READ, "variables": {"id": "planted id"}},
        {"query": READ, "variables": "planted"},
        {"query": READ, "operationName": "planted name"},
        {"query": '{ run(id: "planted") { id } }'},
        {"query": READ, "documentId": "planted"},
        {"query": CREATE, "variables": {"text": "planted", "metadata": {"planted": "planted" * 100}}},
        {"query": RUN, "variables": {"thread": thread_id, "assistant": "asst_no", "text": "planted"}},
    ):
        sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        await client.send("POST", "/graphql", headers={**HEADERS, "Content-Type": "application/json"}, **sent)
    for credential in ("Bearer planted\x80", "planted", f"Bearer {token(sub='planted', exp=1)}", "Basic cGxhbnRlZA=="):
        await client.post({"query": "{ assistants { nodes { id } } }"}, headers={"Authorization": credential})
    await client.get("/graphql", params={"query": "{ planted }", "variables": '{"planted": 1}'}, headers=HEADERS)
    await client.get("/planted", params={"planted": "1"})
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    await client.send("OPTIONS", "/graphql?planted=1", headers=preflight)
    reader, writer = await asyncio.open_connection("127.0.0.1", URL(client.url).port)
    writer.write(b"GET /graphql?planted HTTP/1.1\r\nAuthorization planted\r\n\r\n")
    await reader.read()
    writer.close()
    async with open_socket(client, key=KEY) as socket:
        for query in ("{ planted }", "planted {", READ):
            await (await socket.subscribe(query, id={"planted": 1})).wait_for_end()
    async with client.session.ws_connect(f"{client.url}/graphql", protocols=("graphql-transport-ws",)) as ws:
        await ws.send_str("planted")
        await ws.receive()


async def crash(client: GraphQLClient, thread_id: str) -> None:
    """Run into the bugs of the program, with texts in hand."""
    variables = {"text": "planted crash", "metadata": {"a": "planted"}}
    answer = await client.execute(CREATE, variables, HEADERS)
    await client.execute(READ + " # planted crash", {"id": thread_id}, HEADERS)
    async with open_socket(client, key=KEY) as socket:
        await (await socket.subscribe(READ + " # planted crash", id=thread_id)).wait_for_end()
    message = """mutation ($thread: ID!) {
      createMessage(input: {threadId: $thread, content: [{text: "planted crash"}]}) { message { id } }
    }"""
    answer = await client.execute(message, {"thread": thread_id}, HEADERS)
    assert "planted" not in json.dumps(answer)


@pytest.mark.parametrize("log_format", ["json", "text"])
async def test_nothing_private_is_logged_at_any_level(emulator: Emulator, tmp_path: Path, log_format: str) -> None:
    log = tmp_path / "log.txt"
    settings = {
        "UPSTREAM_URL": f"{emulator.url}?code=planted",
        "UPSTREAM_API_KEY": "planted-own-key",
        "GATEWAY_LOG_LEVEL": "debug",
        "GATEWAY_LOG_FORMAT": log_format,
        "GATEWAY_PROFILE": "development",
        "REDIS_URL": f"redis://planted:planted@127.0.0.1:{free_port()}/0",
    }
    with running_command("serve", "--port", "0", log=log, program=CRASHING_PROGRAM, **settings) as (_, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), emulator.session)
        thread_id = await do_good(client)
        await do_bad(client, thread_id)
        await crash(client, thread_id)
    text = log.read_text()
    assert PLANTED not in text.lower()
    assert PLANTED not in printed
    assert text.count("Traceback") >= 3
    assert "ValueError" in text
    if log_format == "json":
        lines = [json.loads(line) for line in text.splitlines()]
        assert set().union(*lines) <= {*LINE_FIELDS, *OPERATION_FIELDS, *AUDIT_FIELDS}
        assert all(list(line)[:4] == ["timestamp", "level", "logger", "event"] for line in lines)
        crashes = [line for line in lines if "exception" in line]
        assert all("request_id" in line for line in crashes), crashes


async def test_an_upstream_that_cannot_be_reached_leaves_no_url(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    url = f"http://127.0.0.1:{free_port()}/v1?code=planted"
    with running_command("serve", "--port", "0", "--log-level", "debug", log=log, UPSTREAM_URL=url) as (_, printed):
        async with aiohttp.ClientSession() as session:
            client = GraphQLClient(url_in(printed, "GraphQL"), session)
            answer = await client.execute("{ assistants { nodes { id } } }", None, HEADERS)
    assert answer["errors"][0]["extensions"]["code"] == "UPSTREAM_UNREACHABLE"
    assert "UPSTREAM_UNREACHABLE" in log.read_text()
    assert PLANTED not in log.read_text()


async def test_tool_outputs_are_not_logged(emulator: Emulator, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    thread = await emulator.post("/threads", {"messages": [{"role": "user", "content": "planted?"}]}, key=KEY)
    made = await emulator.post("/assistants", {"model": "gpt-4o", "tools": [WEATHER]}, key=KEY)
    run = await emulator.post(f"/threads/{thread['id']}/runs", {"assistant_id": made["id"]}, key=KEY)
    emulator.clock.advance(30)
    waiting = await emulator.get(f"/threads/{thread['id']}/runs/{run['id']}", key=KEY)
    (call,) = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    submit = """mutation Submit($run: ID!, $call: String!) {
      submitToolOutputs(input: {runId: $run, toolOutputs: [{callId: $call, output: "planted output"}]}) {
        run { status } userErrors { message }
      }
    }"""
    settings = {"UPSTREAM_URL": emulator.url, "GATEWAY_LOG_LEVEL": "debug"}
    with running_command("serve", "--port", "0", log=log, **settings) as (_, printed):
        client = GraphQLClient(url_in(printed, "GraphQL"), emulator.session)
        found = await client.execute(
            "query ($id: ID!) { thread(id: $id) { runs { nodes { id } } } }", {"id": thread["id"]}, HEADERS
        )
        (node,) = found["data"]["thread"]["runs"]["nodes"]
        answer = await client.execute(submit, {"run": node["id"], "call": call["id"]}, HEADERS)
        assert answer["data"]["submitToolOutputs"]["userErrors"] == []
    assert '"mutation":"submitToolOutputs"' in log.read_text()
    assert PLANTED not in log.read_text()
