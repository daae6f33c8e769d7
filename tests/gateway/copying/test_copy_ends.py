"""The end that threads are read from, over conversations."""

from gateway.copying.copy_ends import CopySource, Patience
from gateway.ledger.memory_kept_records import make_memory_records
from gateway.upstream.responses.responses_client import ResponsesClient
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.paging import MAX_FURTHER_PAGES, UPSTREAM_PAGE_SIZE
from tests.support.emulator import AUTHORIZATION, Emulator


async def test_messages_behind_many_items_that_are_none_are_read_too(emulator: Emulator) -> None:
    """One list reads at most so many items; a run that called that many tools has none of its messages among them."""
    conversation = await emulator.post("/conversations", {"items": [said("first")]})
    items = f"/conversations/{conversation['id']}/items"
    pairs = (MAX_FURTHER_PAGES + 2) * UPSTREAM_PAGE_SIZE // 2
    calls = [item for index in range(pairs) for item in called(f"call_{index}")]
    for start in range(0, len(calls), 20):
        await emulator.post(items, {"items": calls[start : start + 20]})
    await emulator.post(items, {"items": [said("last")]})
    async with ResponsesClient(UpstreamOptions(emulator.url, "openai-responses"), make_memory_records()) as client:
        transfers = client.bind_transfers(AUTHORIZATION, caller="copy")
        source = CopySource(client.bind(AUTHORIZATION), transfers, Patience())
        messages = [message async for page in source.read_messages(conversation["id"]) for message in page]
    assert len(messages) == 2


def said(text: str) -> dict[str, object]:
    return {"type": "message", "role": "user", "content": text}


def called(call_id: str) -> list[dict[str, object]]:
    call: dict[str, object] = {"type": "function_call", "call_id": call_id, "name": "f", "arguments": "{}"}
    return [call, {"type": "function_call_output", "call_id": call_id, "output": "1"}]
