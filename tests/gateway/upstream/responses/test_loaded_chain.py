"""Runs that were read, with what the gateway keeps of them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json

from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord
from gateway.upstream.responses.loaded_chain import LoadedChain, chains_from_responses, cut_window, kept_run
from schema.contract.paging import Order, Window
from schema.contract.wire import NULL, RunObject
from tests.gateway.upstream.responses.test_run_chains import ASKED, CALL, TEXT, response


def record(run_id: str = "resp_1", **fields: Any) -> ChainRecord:
    defaults: dict[str, Any] = {
        "thread_id": "conv_1",
        "created_at": 5,
        "assistant_id": "asst_1",
        "response_ids": (run_id,),
        "request": b"{}",
    }
    return ChainRecord(run_id=run_id, **{**defaults, **fields})


def test_a_run_has_its_thread_and_the_assistant_that_it_was_started_with() -> None:
    run = LoadedChain("conv_1", [response()], record()).run
    assert (run.id, run.thread_id, run.assistant_id, run.created_at) == ("resp_1", "conv_1", "asst_1", 10)
    unknown = LoadedChain("conv_1", [response()]).run
    assert (unknown.thread_id, unknown.assistant_id) == ("conv_1", None)


@pytest.mark.parametrize("status", ["expired", "failed", "cancelled"])
def test_the_end_of_a_run_that_the_gateway_knows_wins_over_its_responses(status: str) -> None:
    chain = LoadedChain("conv_1", [response(output=[CALL], completed_at=12)], record(status=status))
    assert (chain.run.status, chain.run.required_action, chain.run.completed_at) == (status, NULL, None)
    assert [step.status for step in chain.steps] == [status]
    assert [item.call_id for item in chain.open_items] == ["call_1"]
    assert chain.may_have_open_calls == (status != "failed")
    assert not LoadedChain("conv_1", [response()], record(status="expired", ended_run=b"{}")).may_have_open_calls


@pytest.mark.parametrize("status", ["queued", "in_progress", "requires_action"])
def test_a_status_that_is_not_the_last_one_is_the_responses_own(status: str) -> None:
    assert LoadedChain("conv_1", [response(completed_at=12)], record(status=status)).run.status == "completed"


def test_what_was_answered_is_not_open() -> None:
    answered = record(answers={"call_1": "22 °C"})
    chain = LoadedChain("conv_1", [response(output=[TEXT, CALL, ASKED])], answered)
    assert [item.type for item in chain.open_items] == ["mcp_approval_request"]
    assert (chain.run.status, [step.status for step in chain.steps]) == (
        "requires_action",
        ["completed", "completed", "in_progress"],
    )


def test_messages_have_the_times_that_are_kept_else_those_of_their_responses() -> None:
    later = response(id="resp_2", created_at=20.5, output=[{**TEXT, "id": "msg_2"}])
    chain = LoadedChain("conv_1", [response(output=[TEXT, CALL]), later], record())
    messages = chain.messages({"msg_1": ItemRecord(11)})
    assert [(one.id, one.created_at, one.run_id, one.assistant_id) for one in messages] == [
        ("msg_1", 11, "resp_1", "asst_1"),
        ("msg_2", 20, "resp_1", "asst_1"),
    ]
    assert chain.item_records() == {"msg_1": ItemRecord(10, "resp_1"), "msg_2": ItemRecord(20, "resp_1")}


def test_a_run_that_has_ended_is_read_from_its_record() -> None:
    run = RunObject(id="resp_1", status="completed", thread_id="conv_1", usage={"total_tokens": 3})
    assert kept_run(record(status="completed", ended_run=json.encode(run))) == run
    assert kept_run(record(status="completed")) is None
    assert kept_run(record(status="in_progress", ended_run=json.encode(run))) is None
    assert kept_run(record(status="completed", ended_run=b"{")) is None


def test_responses_are_grouped_into_runs_by_their_records_else_by_their_open_calls() -> None:
    waiting = {"output": [CALL]}
    responses = [
        response(id="resp_1"),
        response(id="resp_2", **waiting),  # begun elsewhere, and answered by the next one
        response(id="resp_3"),
        response(id="resp_4", **waiting),  # kept, and cancelled: the next one is a run of its own
        response(id="resp_5"),
        response(id="resp_6", **waiting),
        response(id="resp_7"),
    ]
    records = [
        record("resp_4", status="cancelled"),
        record("resp_6", response_ids=("resp_6", "resp_7"), answers={"call_1": "x"}),
    ]
    chains = chains_from_responses("conv_1", responses, records)
    assert [[one.id for one in chain.responses] for chain in chains] == [
        ["resp_1"],
        ["resp_2", "resp_3"],
        ["resp_4"],
        ["resp_5"],
        ["resp_6", "resp_7"],
    ]
    assert [chain.run.status for chain in chains] == ["completed", "completed", "cancelled", "completed", "completed"]


@given(st.integers(0, 12), st.integers(1, 5), st.sampled_from(["asc", "desc"]))
def test_pages_of_a_list_make_up_the_list(count: int, limit: int, order: Order) -> None:
    items = [RunObject(id=f"resp_{number}") for number in range(count)]
    seen: list[RunObject] = []
    window = Window(limit, order)
    while True:
        page = cut_window(items, window)
        assert page is not None
        assert len(page.data) <= limit
        seen += page.data
        if not page.has_more:
            break
        window = window._replace(after=page.data[-1].id)
    assert seen == (items if order == "asc" else items[::-1])
    assert cut_window(items, Window(limit, order, "resp_x")) is None
