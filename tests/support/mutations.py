"""Sends mutations as a frontend does, and creates the upstream data that they need."""

from typing import Any

from schema.contract.keys import RunKey
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway

ERRORS = "userErrors { code message field }"
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


async def mutate(gateway: Gateway, mutation: str, fields: str, /, **values: Any) -> Any:
    """Send one mutation and return its payload."""
    type_name = mutation[0].upper() + mutation[1:]
    query = (
        f"mutation ($input: {type_name}Input!) {{ {mutation}(input: $input) {{ {fields} {ERRORS} clientMutationId }} }}"
    )
    return (await gateway.data(query, {"input": values}))[mutation]


async def succeed(gateway: Gateway, mutation: str, fields: str, /, **values: Any) -> Any:
    payload = await mutate(gateway, mutation, fields, **values)
    assert payload["userErrors"] == []
    return payload


async def refusal(gateway: Gateway, mutation: str, /, **values: Any) -> Any:
    """Return the only user error of a mutation."""
    payload = await mutate(gateway, mutation, "__typename", **values)
    (error,) = payload["userErrors"]
    return error


async def thread_with_question(emulator: Emulator) -> str:
    thread = await emulator.post("/threads", {"messages": [{"role": "user", "content": "What is the weather?"}]})
    thread_id: str = thread["id"]
    return thread_id


async def assistant(emulator: Emulator, **options: Any) -> str:
    made = await emulator.post("/assistants", {"model": "gpt-4o", **options})
    assistant_id: str = made["id"]
    return assistant_id


async def waiting_run(emulator: Emulator) -> tuple[RunKey, str]:
    """Create a run that waits for the output of one call. Returns its key and the call's id."""
    thread_id = await thread_with_question(emulator)
    assistant_id = await assistant(emulator, tools=[WEATHER])
    run = await emulator.post(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    emulator.clock.advance(30)
    run = await emulator.get(f"/threads/{thread_id}/runs/{run['id']}")
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    return RunKey(thread_id, run["id"]), call["id"]


async def answered_thread(emulator: Emulator) -> str:
    """Create a thread with a question that a run answered one day ago."""
    thread_id = await thread_with_question(emulator)
    assistant_id = await assistant(emulator, tools=[{"type": "code_interpreter"}])
    await emulator.post(f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    emulator.clock.advance(86_400)
    emulator.counts.reset()
    return thread_id
