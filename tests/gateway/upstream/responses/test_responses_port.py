"""The port over conversations and responses, without the gateway around it."""

import asyncio
from typing import Any

import pytest

from gateway.upstream.responses.kept_records import KeptRecords
from gateway.upstream.responses.responses_client import BoundResponsesApi, ResponsesClient
from schema.contract import writes
from schema.contract.bodies import (
    AssistantUpdateBody,
    ToolApprovalsBody,
    ToolOutputsBody,
)
from schema.contract.errors import ErrorCode
from schema.contract.keys import AssistantKey, FileKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.kinds import (
    ASSISTANTS,
    FILES,
    MESSAGE_FILES,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    AnyKind,
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Order, Window
from schema.contract.wire import Page
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.responses_port import (
    FIRST,
    MESSAGE,
    api,
    client,
    codes,
    kept,
    new_thread,
    outcomes,
    start,
    status_of,
    waiting_run,
)

__all__ = ["api", "client", "kept"]  # fixtures


async def test_one_of_two_runs_that_are_started_at_once_begins_though_the_server_has_no_lock(
    emulator: Emulator, client: ResponsesClient
) -> None:
    emulator.misbehave("createResponse:no-lock")
    ann, bob = client.bind(AUTHORIZATION), client.bind(AUTHORIZATION)
    thread = await new_thread(ann)
    found = await outcomes(start(ann, thread), start(bob, thread))
    assert sorted(found, key=str) == [ErrorCode.ACTIVE_RUN, None]
    assert emulator.counts.by_operation["createResponse"] == 1


async def test_a_lease_that_could_not_be_let_go_when_its_run_ended_is_in_nobodys_way(
    emulator: Emulator, api: BoundResponsesApi, kept: KeptRecords
) -> None:
    """A run that waited has a lease of ten minutes."""
    thread = await new_thread(api)
    key = await start(api, thread)
    emulator.clock.advance(LONG_SECONDS)
    assert await status_of(api, key) == "completed"
    assert await kept.locks.acquire(thread.thread_id, key.run_id, 630)
    next_key = await start(api, thread)
    assert await kept.locks.find_holder(thread.thread_id) == next_key.run_id


async def test_one_of_two_answers_that_are_sent_at_once_goes_on(emulator: Emulator, client: ResponsesClient) -> None:
    ann, bob = client.bind(AUTHORIZATION), client.bind(AUTHORIZATION)
    key, body = await waiting_run(emulator, ann)
    emulator.misbehave("createResponse:no-lock")
    emulator.counts.reset()
    found = await outcomes(*(each.write(writes.SUBMIT_TOOL_OUTPUTS, key, body) for each in (ann, bob)))
    assert sorted(found, key=str) == [ErrorCode.ACTIVE_RUN, None]
    assert emulator.counts.by_operation["createResponse"] == 1
    emulator.clock.advance(LONG_SECONDS)
    assert await status_of(ann, key) == "completed"


async def test_an_answer_that_the_upstream_refuses_leaves_the_run_waiting(
    emulator: Emulator, api: BoundResponsesApi
) -> None:
    key, body = await waiting_run(emulator, api)
    emulator.misbehave("createResponse:429:first=1")
    assert await outcomes(api.write(writes.SUBMIT_TOOL_OUTPUTS, key, body)) == [ErrorCode.RATE_LIMITED]
    assert await status_of(api, key) == "requires_action"
    await api.write(writes.SUBMIT_TOOL_OUTPUTS, key, body)
    emulator.clock.advance(LONG_SECONDS)
    assert await status_of(api, key) == "completed"


@pytest.mark.parametrize(
    "body",
    [
        ToolOutputsBody.model_validate({"tool_outputs": [{"tool_call_id": "call_x", "output": "x"}]}),
        ToolApprovalsBody.model_validate({"tool_approvals": [{"tool_call_id": "mcpr_x", "approve": True}]}),
    ],
)
async def test_answers_to_what_was_not_asked_are_refused(emulator: Emulator, api: BoundResponsesApi, body: Any) -> None:
    key, _ = await waiting_run(emulator, api)
    emulator.counts.reset()
    assert await outcomes(api.write(writes.SUBMIT_TOOL_OUTPUTS, key, body)) == [ErrorCode.BAD_USER_INPUT]
    assert "createResponse" not in emulator.counts.by_operation


async def test_a_run_that_was_answered_meanwhile_keeps_its_lease(
    emulator: Emulator, client: ResponsesClient, kept: KeptRecords
) -> None:
    late, early = client.bind(AUTHORIZATION), client.bind(AUTHORIZATION)
    key, body = await waiting_run(emulator, late)
    assert await status_of(late, key) == "requires_action"
    await early.write(writes.SUBMIT_TOOL_OUTPUTS, key, body)
    assert await outcomes(late.write(writes.SUBMIT_TOOL_OUTPUTS, key, body)) == [ErrorCode.WRONG_STATE]
    assert await kept.locks.find_holder(key.thread_id) == key.run_id
    assert emulator.counts.by_operation["createResponse"] == 2
    emulator.clock.advance(LONG_SECONDS)
    assert await status_of(late, key) == "completed"


async def read_ids(api: BoundResponsesApi, kind: AnyKind, key: Any, limit: int, order: Order) -> list[str]:
    """Read a whole list page by page."""
    ids: list[str] = []
    window = Window(limit, order)
    while True:
        (page,) = await api.list(kind, [key._replace(window=window)])
        assert isinstance(page, Page), page
        ids += [one.id for one in page.data]
        if not page.has_more:
            return ids
        window = Window(limit, order, page.data[-1].id)


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_lists_are_complete_in_both_orders_however_they_are_paged(
    emulator: Emulator, api: BoundResponsesApi, order: Order
) -> None:
    key, body = await waiting_run(emulator, api)
    thread = ThreadKey(key.thread_id)
    await api.write(writes.SUBMIT_TOOL_OUTPUTS, key, body)
    emulator.clock.advance(LONG_SECONDS)
    runs = [key.run_id]
    for _ in range(2):
        assert await status_of(api, RunKey(key.thread_id, runs[-1])) == "completed"
        runs.append((await start(api, thread)).run_id)
        emulator.clock.advance(LONG_SECONDS)
    steps = [item["id"] for item in (await emulator.get(f"/responses/{key.run_id}"))["output"]]
    (found,) = await api.list(RUN_STEPS, [RunStepPageKey(*key, FIRST)])
    assert isinstance(found, Page)
    assert [step.id for step in found.data[:-1]] == steps
    steps.append(found.data[-1].id)
    (kept_assistants,) = await api.list(ASSISTANTS, [AssistantPageKey(FIRST)])
    assert isinstance(kept_assistants, Page)
    assistants = [one.id for one in kept_assistants.data]
    assert len(assistants) == 3
    lists: list[tuple[AnyKind, Any, list[str]]] = [
        (RUN_STEPS, RunStepPageKey(*key, FIRST), steps),
        (ASSISTANTS, AssistantPageKey(FIRST), assistants),
    ]
    for kind, page_key, expected in lists:
        for limit in (1, 2, 100):
            ids = await read_ids(api, kind, page_key, limit, order)
            assert ids == (expected if order == "asc" else expected[::-1])
    for limit in (1, 2, 100):
        # Runs that begin in the same second have no order of their own.
        assert sorted(await read_ids(api, RUNS, RunPageKey(key.thread_id, FIRST), limit, order)) == sorted(runs)


async def test_what_does_not_exist_is_not_found_and_costs_only_its_key(
    emulator: Emulator, api: BoundResponsesApi
) -> None:
    key = await start(api, await new_thread(api))
    emulator.clock.advance(LONG_SECONDS)
    thread_id, missing = key.thread_id, ErrorCode.NOT_FOUND
    call = (await emulator.post(f"/conversations/{thread_id}/items", {"items": [{"role": "user", "content": "x"}]}))[
        "data"
    ][0]["id"]
    assert codes(await api.get(THREADS, [ThreadKey("conv_x"), ThreadKey(thread_id)])) == [missing, None]
    assert codes(await api.get(MESSAGES, [MessageKey(thread_id, "msg_x"), MessageKey(thread_id, call)])) == [
        missing,
        None,
    ]
    assert codes(await api.get(RUNS, [RunKey(thread_id, "resp_x"), key])) == [missing, None]
    assert codes(await api.get(RUN_STEPS, [RunStepKey(*key, "msg_x")])) == [missing]
    assert codes(await api.get(ASSISTANTS, [AssistantKey("asst_x")])) == [missing]
    assert codes(await api.get(FILES, [FileKey("file-x"), FileKey("file-abc123")])) == [missing, None]
    pages: list[tuple[AnyKind, Any]] = [
        (MESSAGES, MessagePageKey("conv_x", None, FIRST)),
        (MESSAGES, MessagePageKey("conv_x", "resp_x", FIRST)),
        (MESSAGES, MessagePageKey(thread_id, None, Window(5, "asc", "msg_x"))),
        (MESSAGES, MessagePageKey(*key, Window(5, "asc", "msg_x"))),
        (RUNS, RunPageKey("conv_x", FIRST)),
        (RUNS, RunPageKey(thread_id, Window(5, "asc", "resp_x"))),
        (RUN_STEPS, RunStepPageKey(thread_id, "resp_x", FIRST)),
        (RUN_STEPS, RunStepPageKey(*key, Window(5, "asc", "msg_x"))),
        (ASSISTANTS, AssistantPageKey(Window(5, "asc", "asst_x"))),
    ]
    for kind, page_key in pages:
        assert codes(await api.list(kind, [page_key])) == [missing], page_key
    assert await api.list(MESSAGES, [MessagePageKey(thread_id, "resp_x", FIRST)]) == [Page([])]
    update = AssistantUpdateBody(name="x")
    assert await outcomes(api.write(writes.UPDATE_ASSISTANT, AssistantKey("asst_x"), update)) == [missing]
    assert await outcomes(api.write(writes.DELETE_MESSAGE, MessageKey(thread_id, "msg_x"), None)) == [missing]
    assert await outcomes(api.write(writes.DELETE_FILE, FileKey("file-x"), None)) == [missing]


async def test_no_keys_are_no_results_and_no_calls(emulator: Emulator, api: BoundResponsesApi) -> None:
    kinds: list[AnyKind] = [MESSAGES, RUNS, RUN_STEPS, ASSISTANTS]
    for kind in (*kinds, THREADS, FILES):
        assert list(await api.get(kind, [])) == []
    for kind in kinds:
        assert list(await api.list(kind, [])) == []
    assert emulator.counts.by_operation == {}


async def test_a_page_is_read_once_and_reported_once_however_often_it_is_asked_for(
    emulator: Emulator, api: BoundResponsesApi
) -> None:
    thread = await new_thread(api)
    key, missing = MessagePageKey(thread.thread_id, None, FIRST), MessagePageKey("conv_x", None, FIRST)
    emulator.counts.reset()
    reported: list[tuple[MessagePageKey, object]] = []
    first, failed, second = await api.list(
        MESSAGES, [key, missing, key], on_result=lambda *result: reported.append(result)
    )
    assert first is second
    assert codes([failed]) == [ErrorCode.NOT_FOUND]
    assert emulator.counts.by_operation == {"listConversationItems": 2}
    assert sorted(reported) == sorted([(key, first), (missing, failed)])


async def test_the_steps_of_a_slow_run_delay_no_other_run(emulator: Emulator, api: BoundResponsesApi) -> None:
    keys = [await start(api, await new_thread(api)) for _ in range(3)]
    emulator.clock.advance(LONG_SECONDS)
    pages = [RunStepPageKey(*key, FIRST) for key in keys]
    emulator.misbehave("getResponse:latency=60s:first=1")
    reported: dict[RunStepPageKey, object] = {}
    two_are_there = asyncio.Event()

    def report(key: RunStepPageKey, page: object) -> None:
        reported[key] = page
        if len(reported) == 2:
            two_are_there.set()

    listing = asyncio.create_task(api.list(RUN_STEPS, [*pages, pages[0]], on_result=report))
    await asyncio.wait_for(two_are_there.wait(), 20)
    assert codes(list(reported.values())) == [None, None]
    listing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await listing


async def test_many_messages_of_a_thread_are_read_by_one_list(emulator: Emulator, api: BoundResponsesApi) -> None:
    thread = await new_thread(api)
    ids = [(await api.write(writes.CREATE_MESSAGE, thread, MESSAGE)).id for _ in range(4)]
    emulator.counts.reset()
    found = await api.get(MESSAGES, [MessageKey(thread.thread_id, one) for one in ids])
    assert [getattr(message, "id", message) for message in found] == ids
    assert emulator.counts.by_operation == {"listConversationItems": 1}


async def test_files_of_messages_are_unsupported_by_name(emulator: Emulator, api: BoundResponsesApi) -> None:
    emulator.counts.reset()
    results = [
        *await api.get(MESSAGE_FILES, [MessageFileKey("conv_1", "msg_1", "file-1")]),
        *await api.list(MESSAGE_FILES, [MessageFilePageKey("conv_1", "msg_1", FIRST)]),
    ]
    assert codes(results) == [ErrorCode.UNSUPPORTED_BY_UPSTREAM] * 2
    assert [str(error)[-17:] for error in results] == ["n getMessageFile.", "listMessageFiles."]
    assert emulator.counts.by_operation == {}
