"""Files in the events of runs: what a run made can be seen by the address in the event that tells of it."""

import asyncio
from typing import Any

from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.file_client import target, uploaded
from tests.support.gateway import Gateway
from tests.support.mutations import assistant, succeed
from tests.support.subscription_clients import open_socket, open_stream

PNG_START = b"\x89PNG\r\n\x1a\n"
MADE_FILES = """subscription ($run: ID!) { runEvents(runId: $run) {
  type: __typename
  ... on StepChanged { step { details { ... on ToolCallsDetails { toolCalls {
    ... on CodeInterpreterToolCall { outputs { ... on CodeInterpreterImage { file { ...Shown } } } } } } } } }
  ... on MessageFinished { message { content {
    ... on ImageFileContent { file { ...Shown } }
    ... on TextContent { annotations { ... on FilePath { file { ...Shown } } } } } } }
} }
fragment Shown on File { id filename contentUrl }"""


async def start_drawing(emulator: Emulator, gateway: Gateway) -> str:
    """Start a run that draws a chart and writes a table. Returns its global ID."""
    assistant_id = await assistant(emulator, tools=[{"type": "code_interpreter"}])
    table = await uploaded(gateway, b"region,sales\nBayern,3\nTokyo,2\n", "sales.csv")
    attached = {"fileId": table["id"], "tools": ["CODE_INTERPRETER"]}
    question = {"content": [{"text": "Draw a chart of the sales."}], "attachments": [attached]}
    made = await succeed(
        gateway, "createThreadAndRun", "run { id }", assistantId=assistant_id, thread={"messages": [question]}
    )
    run_id: str = made["run"]["id"]
    return run_id


def shown_files(value: Any) -> list[dict[str, str]]:
    """Find all files in a part of a response."""
    if isinstance(value, list):
        return [file for item in value for file in shown_files(item)]
    if not isinstance(value, dict):
        return []
    return [value] if "contentUrl" in value else [file for item in value.values() for file in shown_files(item)]


async def test_what_a_run_made_is_seen_by_the_address_in_its_event(emulator: Emulator, gateway: Gateway) -> None:
    run_id = await start_drawing(emulator, gateway)
    async with open_socket(gateway) as socket:
        reader = await socket.subscribe(MADE_FILES, run=run_id)
        emulator.clock.advance(LONG_SECONDS)
        events = await reader.wait_for_completion()
    (finished,) = (event for event in events if event["type"] == "MessageFinished")
    of_message = {file["filename"]: file for file in shown_files(finished)}
    of_steps = shown_files([event for event in events if event["type"] == "StepChanged"])
    assert {file["id"] for file in of_steps} == {of_message["chart.png"]["id"]}
    reply = await gateway.send("GET", target(of_message["chart.png"]["contentUrl"]))
    assert (reply.status, reply.body[:8]) == (200, PNG_START)
    (table,) = (file for name, file in of_message.items() if name.endswith(".csv"))
    assert b"Bayern" in (await gateway.send("GET", target(table["contentUrl"]))).body


async def test_each_reader_has_addresses_by_the_name_that_it_called(emulator: Emulator, gateway: Gateway) -> None:
    run_id = await start_drawing(emulator, gateway)
    bases = [gateway.url, "http://one.example.com", "http://two.example.com:8443"]
    async with (
        open_stream(gateway, MADE_FILES, run=run_id) as own,
        open_stream(gateway, MADE_FILES, host="one.example.com", run=run_id) as one,
        open_stream(gateway, MADE_FILES, host="two.example.com:8443", run=run_id) as two,
    ):
        emulator.clock.advance(LONG_SECONDS)
        received = await asyncio.gather(*(reader.wait_for_completion() for reader in (own, one, two)))
    for base, events in zip(bases, received, strict=True):
        addresses = [file["contentUrl"] for file in shown_files(events)]
        assert addresses
        assert {address.partition("/files/")[0] for address in addresses} == {base}
