"""A gateway over the emulator's second face: conversations and responses."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway.ledger.memory_kept_records import make_memory_records
from gateway.ledger.ownership import BorrowedLedger
from gateway.upstream.responses.kept_records import KeptRecords
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import WEATHER, succeed

DIALECTS = ("openai-responses", "foundry-responses", "lenient-responses")
QUESTION: dict[str, Any] = {"content": [{"text": "What is the weather?"}]}
FUNCTION = {"function": WEATHER["function"]}


@asynccontextmanager
async def running_responses_gateway(
    emulator: Emulator, dialect: str = "openai-responses", kept: KeptRecords | None = None, **settings: Any
) -> AsyncIterator[Gateway]:
    """Run a gateway of a dialect whose records are in memory, by default new ones."""
    path = "/openai/v1" if dialect == "foundry-responses" else "/v1"
    ledger = BorrowedLedger(None, kept=kept or make_memory_records())
    async with running_gateway(
        emulator.root_url + path, upstream_dialect=dialect, ledger=ledger, **settings
    ) as gateway:
        yield gateway


async def new_assistant(gateway: Gateway, **fields: Any) -> str:
    """Create an assistant through the gateway."""
    made = await succeed(gateway, "createAssistant", "assistant { id }", model="gpt-4o", **fields)
    assistant_id: str = made["assistant"]["id"]
    return assistant_id


async def new_thread(gateway: Gateway, *messages: dict[str, Any]) -> str:
    """Create a thread through the gateway, by default with one question."""
    made = await succeed(gateway, "createThread", "thread { id }", messages=list(messages) or [QUESTION])
    thread_id: str = made["thread"]["id"]
    return thread_id


async def start_response_run(gateway: Gateway, thread_id: str, assistant_id: str, **options: Any) -> Any:
    """Start a run through the gateway. Returns its id, upstream id and status."""
    fields = "run { id upstreamId status }"
    return (await succeed(gateway, "createRun", fields, threadId=thread_id, assistantId=assistant_id, **options))["run"]


async def read_run(gateway: Gateway, run_id: str, fields: str) -> Any:
    """Read fields of a run."""
    return (await gateway.data(f"query ($id: ID!) {{ run(id: $id) {{ {fields} }} }}", {"id": run_id}))["run"]


async def read_thread(gateway: Gateway, thread_id: str, fields: str) -> Any:
    """Read fields of a thread."""
    return (await gateway.data(f"query ($id: ID!) {{ thread(id: $id) {{ {fields} }} }}", {"id": thread_id}))["thread"]
