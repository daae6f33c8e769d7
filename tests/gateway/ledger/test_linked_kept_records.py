"""Kept records while the ledger does not answer."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.linked_kept_records import link_kept_records
from gateway.ledger.memory_store import MemoryStore
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord, KeptRecords
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.paging import Window
from schema.contract.wire import AssistantObject

CHAIN = ChainRecord("resp_1", "conv_1", 1, None, ("resp_1",), b"{}")
PAGE = Window(5, "asc")

CALLS: dict[str, Callable[[KeptRecords], Awaitable[object]]] = {
    "add_chain": lambda kept: kept.chains.add_chain(CHAIN),
    "find_chains": lambda kept: kept.chains.find_chains(["resp_1"]),
    "list_chains": lambda kept: kept.chains.list_chains("conv_1", PAGE),
    "list_waiting": lambda kept: kept.chains.list_waiting(1.0, 5),
    "extend_chain": lambda kept: kept.chains.extend_chain("resp_1", "resp_2", {}),
    "record_status": lambda kept: kept.chains.record_status("resp_1", "completed"),
    "add_items": lambda kept: kept.chains.add_items("conv_1", {"msg_1": ItemRecord(1)}),
    "find_items": lambda kept: kept.chains.find_items("conv_1", ["msg_1"]),
    "remove_thread": lambda kept: kept.chains.remove_thread("conv_1"),
    "add_assistant": lambda kept: kept.assistants.add_assistant("shelf", AssistantObject("asst_1")),
    "find_assistants": lambda kept: kept.assistants.find_assistants("shelf", ["asst_1"]),
    "list_assistants": lambda kept: kept.assistants.list_assistants("shelf", PAGE),
    "change_assistant": lambda kept: kept.assistants.change_assistant("shelf", "asst_1", lambda kept: kept),
    "remove_assistant": lambda kept: kept.assistants.remove_assistant("shelf", "asst_1"),
    "acquire": lambda kept: kept.locks.acquire("conv_1", "resp_1", 5),
    "hand_over": lambda kept: kept.locks.hand_over("conv_1", "resp_1", "claim", 5),
    "find_holder": lambda kept: kept.locks.find_holder("conv_1"),
    "release": lambda kept: kept.locks.release("conv_1", "resp_1"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
async def test_a_ledger_that_does_not_answer_is_an_error_that_may_be_tried_again(
    call: Callable[[KeptRecords], Awaitable[object]],
) -> None:
    link = LedgerLink(MemoryStore(), deadline_seconds=5)
    await call(link_kept_records(link))
    await link.aclose()
    with pytest.raises(GatewayError, match="its database does not answer") as caught:
        await call(link_kept_records(link))
    assert caught.value.code is ErrorCode.LEDGER_UNAVAILABLE
    assert caught.value.retryable
    assert caught.value.retry_after_ms == 500


async def test_what_is_asked_of_nothing_needs_no_ledger() -> None:
    link = LedgerLink(MemoryStore(), deadline_seconds=5)
    await link.aclose()
    kept = link_kept_records(link)
    assert await kept.chains.find_chains([]) == {}
    assert await kept.chains.find_items("conv_1", []) == {}
    assert await kept.assistants.find_assistants("shelf", []) == {}
    await kept.chains.add_items("conv_1", {})
