"""Tests that paging agrees with slices of a plain list, at the emulator by REST and at the gateway by GraphQL."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.http.partitions import partition_from_key
from gateway.emulator.objects import Message, TextPart
from gateway.emulator.state.store import Store
from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.faces import both_faces
from tests.support.full_runs import examples, long_except
from tests.support.gateway import Gateway

pytestmark = both_faces

Order: TypeAlias = Literal["asc", "desc"]

# Lists of messages or assistants. Each number is the seconds that pass before that object is created.
GAPS = st.lists(st.sampled_from([0, 0, 0, 1, 2]), max_size=12)
ORDERS = st.sampled_from(["asc", "desc"])
PLACES = st.none() | st.integers(0, 1000)

# Whether the gateway's pages are walked from the end, their size, and the position of the cursor.
Window: TypeAlias = tuple[bool, int | None, int | None]
SMALL_WINDOWS = st.tuples(st.booleans(), st.none() | st.integers(1, 14), PLACES)
WINDOWS = st.tuples(st.booleans(), st.none() | st.integers(1, 320) | st.sampled_from([99, 100, 101, 200]), PLACES)

# One emulator and one gateway serve all examples: each has a thread or a key of its own, or only reads.
few = examples(40, shared_fixtures=True)
many = examples(100, shared_fixtures=True)


@dataclass
class Busy:
    """A thread with long lists, and their ids, oldest first."""

    thread_id: str
    messages: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    written: dict[str, list[str]] = field(default_factory=dict)
    """The messages of each run."""


@pytest.fixture
async def emulator(tmp_path: Path) -> AsyncIterator[Emulator]:
    """An empty emulator on a file, so that `busy` can add data that no script of the emulator writes."""
    async with running_emulator(database=str(tmp_path / "emulator.db")) as emulator:
        yield emulator


@pytest.fixture
async def busy(emulator: Emulator, tmp_path: Path) -> Busy:
    """A thread of 105 runs, most with a message, and zero to two user messages between them.

    The last run has 130 messages.
    """
    assistant = await emulator.post("/assistants", {"model": "gpt-4o", "instructions": "Be brief."})
    busy = Busy((await emulator.post("/threads"))["id"])
    path = f"/threads/{busy.thread_id}"
    for number in range(105):
        for _ in range(2 if number % 2 else 0):
            message = await emulator.post(f"{path}/messages", {"role": "user", "content": "Hello"})
            busy.messages.append(message["id"])
        metadata = {"emulator": "rate_limit"} if number % 3 == 0 else {}
        run = await emulator.post(f"{path}/runs", {"assistant_id": assistant["id"], "metadata": metadata})
        busy.runs.append(run["id"])
        emulator.clock.advance(10)
        answers = await emulator.get(f"{path}/messages", params={"run_id": run["id"]})
        busy.written[run["id"]] = [answer["id"] for answer in answers["data"]]
        busy.messages += busy.written[run["id"]]
    store = Store(str(tmp_path / "emulator.db"))
    with store.transaction():
        for number in range(129):
            extra = Message(
                id=store.new_id("msg"),
                thread_id=busy.thread_id,
                created_at=int(emulator.clock.now()) + number // 10,
                role="assistant",
                content=(TextPart(value="More."),),
                run_id=busy.runs[-1],
            )
            store.messages.add(partition_from_key(KEY), extra)
            busy.written[busy.runs[-1]].append(extra.id)
            busy.messages.append(extra.id)
    store.close()
    return busy


def item_at(ids: Sequence[str], place: int | None) -> str | None:
    """Return the id at a position of a list, counted cyclically, or None for an empty list."""
    return ids[place % len(ids)] if ids and place is not None else None


def rest_slice(
    ids: Sequence[str], order: str, limit: int, after: str | None, before: str | None
) -> tuple[list[str], bool]:
    """Return the expected result of a REST list, and whether it has more, computed naively."""
    ordered = list(ids) if order == "asc" else list(ids)[::-1]
    between = ordered[ordered.index(after) + 1 if after else 0 : ordered.index(before) if before else len(ordered)]
    page = between[-limit:] if before and not after else between[:limit]
    return page, len(between) > limit


async def rest_page(emulator: Emulator, path: str, **parameters: Any) -> tuple[list[str], bool]:
    """Return the actual result of a REST list. Fails if the page's first or last id is wrong."""
    sent = {name: str(value) for name, value in parameters.items() if value is not None}
    answer = await emulator.get(path, params=sent)
    ids = [item["id"] for item in answer["data"]]
    assert (answer["first_id"], answer["last_id"]) == ((ids[0], ids[-1]) if ids else (None, None))
    return ids, answer["has_more"]


async def thread_with(emulator: Emulator, gaps: Sequence[int]) -> tuple[str, list[str]]:
    """Create a thread and return the ids of its messages, oldest first."""
    thread = await emulator.post("/threads")
    path = f"/threads/{thread['id']}/messages"
    ids = []
    for gap in gaps:
        emulator.clock.advance(gap)
        ids.append((await emulator.post(path, {"role": "user", "content": "Hello"}))["id"])
    return thread["id"], ids


@few
@given(gaps=GAPS, order=ORDERS, limit=st.integers(1, 14), after=PLACES, before=PLACES)
async def test_the_emulators_messages_are_slices_of_a_plain_list(
    emulator: Emulator, gaps: list[int], order: Order, limit: int, after: int | None, before: int | None
) -> None:
    thread_id, ids = await thread_with(emulator, gaps)
    cursors = {"after": item_at(ids, after), "before": item_at(ids, before)}
    page = await rest_page(emulator, f"/threads/{thread_id}/messages", order=order, limit=limit, **cursors)
    assert page == rest_slice(ids, order, limit, **cursors)


@few
@given(gaps=GAPS, order=ORDERS, limit=st.integers(1, 14), after=PLACES, before=PLACES)
async def test_the_emulators_assistants_are_slices_of_a_plain_list(
    emulator: Emulator, gaps: list[int], order: Order, limit: int, after: int | None, before: int | None
) -> None:
    for assistant in (await emulator.get("/assistants?limit=100"))["data"]:
        await emulator.delete(f"/assistants/{assistant['id']}")
    ids = []
    for gap in gaps:
        emulator.clock.advance(gap)
        ids.append((await emulator.post("/assistants", {"model": "gpt-4o"}))["id"])
    cursors = {"after": item_at(ids, after), "before": item_at(ids, before)}
    page = await rest_page(emulator, "/assistants", order=order, limit=limit, **cursors)
    assert page == rest_slice(ids, order, limit, **cursors)


@many
@given(order=ORDERS, limit=st.integers(1, 100), after=PLACES, before=PLACES, run=PLACES)
async def test_the_emulators_messages_of_a_run_are_a_filtered_plain_list(
    emulator: Emulator, busy: Busy, order: Order, limit: int, after: int | None, before: int | None, run: int | None
) -> None:
    """A cursor may be any message of the thread, not only one of the run."""
    run_id = item_at([busy.runs[0], busy.runs[1], busy.runs[-1]], run)
    cursors = {"after": item_at(busy.messages, after), "before": item_at(busy.messages, before)}
    kept = [one for one in busy.messages if run_id is None or one in {*busy.written[run_id], *cursors.values()}]
    expected, _ = rest_slice(kept, order, len(kept), **cursors)
    expected = [one for one in expected if run_id is None or one in busy.written[run_id]]
    page = expected[-limit:] if before is not None and after is None else expected[:limit]
    found = await rest_page(
        emulator, f"/threads/{busy.thread_id}/messages", order=order, limit=limit, run_id=run_id, **cursors
    )
    assert found == (page, len(expected) > limit)


@many
@given(order=ORDERS, limit=st.integers(1, 100), after=PLACES, before=PLACES)
async def test_the_emulators_runs_are_slices_of_a_plain_list(
    emulator: Emulator, busy: Busy, order: Order, limit: int, after: int | None, before: int | None
) -> None:
    cursors = {"after": item_at(busy.runs, after), "before": item_at(busy.runs, before)}
    page = await rest_page(emulator, f"/threads/{busy.thread_id}/runs", order=order, limit=limit, **cursors)
    assert page == rest_slice(busy.runs, order, limit, **cursors)


WINDOW = "first: $first, after: $after, last: $last, before: $before"
PARTS = """{ nodes { upstreamId } edges { cursor node { upstreamId } }
             pageInfo { hasNextPage hasPreviousPage startCursor endCursor } }"""


@dataclass
class Listing:
    """A connection of the gateway, the plain list that it must equal, and the operation that reads it."""

    selection: str
    ids: list[str]
    operation: str
    variables: dict[str, str] = field(default_factory=dict)

    async def read(self, gateway: Gateway, **window: Any) -> dict[str, Any]:
        declared = "".join(f", ${name}: ID!" for name in self.variables)
        document = f"query ($first: Int, $after: String, $last: Int, $before: String{declared}) {self.selection}"
        found = await gateway.data(document, {**self.variables, **window})
        while "pageInfo" not in found:
            (found,) = found.values()
        return found


def window_arguments(backwards: bool, size: int | None, cursor: str | None) -> dict[str, Any]:
    return {"last": size, "before": cursor} if backwards else {"first": size, "after": cursor}


async def agrees(emulator: Emulator, gateway: Gateway, listing: Listing, window: Window) -> None:
    """Check that the gateway's page is the window of the plain list, and cost no more calls than necessary."""
    ids = listing.ids
    backwards, size, place = window
    everything = await listing.read(gateway, first=1000)
    assert [node["upstreamId"] for node in everything["nodes"]] == ids
    cursors = {edge["node"]["upstreamId"]: edge["cursor"] for edge in everything["edges"]}
    at = item_at(ids, place)
    # Without arguments, with `first: null` or with `last: null`, the page holds the first twenty.
    walks_back = backwards and (size is not None or at is not None)
    if walks_back:
        end = ids.index(at) if at else len(ids)
        start = max(0, end - (size or 20))
    else:
        start = ids.index(at) + 1 if at else 0
        end = min(len(ids), start + (size or 20))
    expected = ids[start:end]

    emulator.counts.reset()
    page = await listing.read(gateway, **window_arguments(backwards, size, cursors[at] if at else None))
    assert [node["upstreamId"] for node in page["nodes"]] == expected
    assert page["edges"] == [{"cursor": cursors[one], "node": {"upstreamId": one}} for one in expected]
    assert page["pageInfo"] == {
        "hasNextPage": end < len(ids),
        "hasPreviousPage": start > 0,
        "startCursor": cursors[expected[0]] if expected else None,
        "endCursor": cursors[expected[-1]] if expected else None,
    }
    assert emulator.counts.by_operation[listing.operation] == max(1, ceil(len(expected) / 100))


def message_listing(thread_id: str, ids: list[str]) -> Listing:
    selection = f"{{ thread(id: $id) {{ messages({WINDOW}) {PARTS} }} }}"
    return Listing(selection, ids, "listMessages", {"id": thread_id})


@few
@given(gaps=GAPS, window=SMALL_WINDOWS)
async def test_the_gateways_messages_are_windows_of_a_plain_list(
    emulator: Emulator, gateway: Gateway, gaps: list[int], window: Window
) -> None:
    await agrees(emulator, gateway, message_listing(*await thread_with(emulator, gaps)), window)


@few
@given(window=WINDOWS)
async def test_the_gateway_walks_the_messages_of_a_long_thread(
    emulator: Emulator, gateway: Gateway, busy: Busy, window: Window
) -> None:
    await agrees(emulator, gateway, message_listing(busy.thread_id, busy.messages), window)


@few
@given(window=WINDOWS)
async def test_the_gateway_walks_the_runs_of_a_long_thread(
    emulator: Emulator, gateway: Gateway, busy: Busy, window: Window
) -> None:
    selection = f"{{ thread(id: $id) {{ runs({WINDOW}) {PARTS} }} }}"
    await agrees(emulator, gateway, Listing(selection, busy.runs, "listRuns", {"id": busy.thread_id}), window)


@few
@given(window=WINDOWS, run=st.sampled_from([0, 1, -1]), from_the_run=st.booleans())
async def test_the_gateway_walks_the_messages_of_a_run_from_either_side(
    emulator: Emulator, gateway: Gateway, busy: Busy, window: Window, run: int, from_the_run: bool
) -> None:
    run_id = busy.runs[run]
    if from_the_run:
        selection = f"{{ run(id: $run) {{ messages({WINDOW}) {PARTS} }} }}"
        variables = {"run": to_global_id(RunKey(busy.thread_id, run_id))}
    else:
        selection = f"{{ thread(id: $id) {{ messages({WINDOW}, runId: $run) {PARTS} }} }}"
        variables = {"id": busy.thread_id, "run": run_id}
    await agrees(emulator, gateway, Listing(selection, busy.written[run_id], "listMessages", variables), window)


@few
@given(window=SMALL_WINDOWS)
async def test_the_gateways_steps_are_windows_of_a_plain_list(
    emulator: Emulator, gateway: Gateway, window: Window
) -> None:
    tools = [{"type": "file_search"}, {"type": "code_interpreter"}]
    assistant = await emulator.post("/assistants", {"model": "gpt-4o", "tools": tools})
    attached = {"file_id": "file-handbook", "tools": [{"type": "file_search"}]}
    question = {"role": "user", "content": "Hello", "attachments": [attached]}
    body = {"assistant_id": assistant["id"], "thread": {"messages": [question]}}
    run = await emulator.post("/threads/runs", body)
    emulator.clock.advance(60)
    ids, _ = await rest_page(emulator, f"/threads/{run['thread_id']}/runs/{run['id']}/steps", order="asc")
    assert len(ids) == 3
    selection = f"{{ run(id: $run) {{ steps({WINDOW}) {PARTS} }} }}"
    variables = {"run": to_global_id(RunKey(run["thread_id"], run["id"]))}
    await agrees(emulator, gateway, Listing(selection, ids, "listRunSteps", variables), window)


@pytest.fixture
async def assistants(emulator: Emulator) -> list[str]:
    """Create 120 assistants and return their ids, oldest first, seven per second."""
    ids = []
    for number in range(120):
        emulator.clock.advance(number % 7 == 0)
        ids.append((await emulator.post("/assistants", {"model": "gpt-4o"}))["id"])
    return ids


@few
@given(window=WINDOWS)
async def test_the_gateway_walks_many_assistants(
    emulator: Emulator, gateway: Gateway, assistants: list[str], window: Window
) -> None:
    selection = f"{{ assistants({WINDOW}) {PARTS} }}"
    await agrees(emulator, gateway, Listing(selection, assistants, "listAssistants"), window)


@pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])
@pytest.mark.parametrize("size", long_except([7, 100, 101, 250], [101]))
async def test_walking_page_by_page_meets_every_message_once(
    gateway: Gateway, busy: Busy, backwards: bool, size: int
) -> None:
    listing = message_listing(busy.thread_id, busy.messages)
    walked: list[str] = []
    cursor, more = None, True
    while more:
        page = await listing.read(gateway, **window_arguments(backwards, size, cursor))
        ids = [node["upstreamId"] for node in page["nodes"]]
        walked = ids + walked if backwards else walked + ids
        info = page["pageInfo"]
        cursor, more = (
            (info["startCursor"], info["hasPreviousPage"]) if backwards else (info["endCursor"], info["hasNextPage"])
        )
    assert walked == busy.messages
