"""A run that makes files, and the files in its events."""

from typing import Any

from tests.support.emulator import Emulator
from tests.support.file_client import uploaded
from tests.support.gateway import Gateway
from tests.support.mutations import assistant, succeed

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
