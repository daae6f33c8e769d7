from collections.abc import Callable, Collection, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.reply_readers import leave_out_other_runs
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey, RunKey, ThreadKey, to_global_id
from schema.contract.kinds import MessagePageKey
from schema.contract.paging import CursorScope, Order, Window
from schema.contract.wire import MessageObject, Page
from schema.graph.connections import walk_pages
from tests.schema.builders import THREAD, conversation, conversation_with_files, execute, paths_and_codes, query_data
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.full_runs import examples
from tests.support.wire_samples import message, thread

PAGE = """
    query ($first: Int, $after: String, $last: Int, $before: String) {
        thread(id: "thread_1") {
            messages(first: $first, after: $after, last: $last, before: $before) {
                nodes { upstreamId }
                edges { cursor node { upstreamId } }
                pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
            }
        }
    }
"""
SCOPE = CursorScope("messages", THREAD)


def conversation_at(times: Sequence[int]) -> FakeThreadsApi:
    """A thread with one message per time. Messages of the same second stay in the order of `times`."""
    return FakeThreadsApi(
        threads={THREAD: thread()},
        messages={
            MessageKey("thread_1", f"msg_{number}"): message(f"msg_{number}", created_at=created_at)
            for number, created_at in enumerate(times)
        },
    )


def node_ids(connection: Any) -> list[str]:
    return [node["upstreamId"] for node in connection["nodes"]]


async def load_page(api: FakeThreadsApi, **arguments: object) -> Any:
    return (await query_data(api, PAGE, arguments))["thread"]["messages"]


class Stubborn(FakeThreadsApi):
    """An upstream that changes each requested window, and each page that it returns."""

    def __init__(
        self,
        source: FakeThreadsApi,
        *,
        window: Callable[[Window], Window] = lambda window: window,
        page: Callable[[Page[MessageObject]], Page[MessageObject]] = lambda page: page,
    ) -> None:
        super().__init__(threads=source.threads, messages=source.messages)
        self._window = window
        self._page = page

    async def list(self, kind: Any, keys: Sequence[Any], *, on_result: Any = None) -> Any:
        found = await super().list(kind, [key._replace(window=self._window(key.window)) for key in keys])
        return [page if isinstance(page, GatewayError) else self._page(page) for page in found]


@given(
    times=st.lists(st.integers(1, 4), max_size=14),
    size=st.integers(1, 6),
    forwards=st.booleans(),
)
@examples(60)
async def test_paging_through_a_list_returns_each_object_once(times: list[int], size: int, forwards: bool) -> None:
    naive = [f"msg_{number}" for number in sorted(range(len(times)), key=lambda number: times[number])]
    api = conversation_at(times)
    walked: list[str] = []
    cursor: str | None = None
    for _ in range(len(times) + 2):
        window = {"first": size, "after": cursor} if forwards else {"last": size, "before": cursor}
        page = await load_page(api, **window)
        ids, info = node_ids(page), page["pageInfo"]
        assert [edge["node"]["upstreamId"] for edge in page["edges"]] == ids
        cursors = [edge["cursor"] for edge in page["edges"]]
        assert (info["startCursor"], info["endCursor"]) == ((cursors[0], cursors[-1]) if cursors else (None, None))
        walked = walked + ids if forwards else ids + walked
        onwards = info["hasNextPage"] if forwards else info["hasPreviousPage"]
        back = info["hasPreviousPage"] if forwards else info["hasNextPage"]
        assert back is (cursor is not None)
        assert onwards is (len(walked) < len(naive))
        if not onwards:
            break
        cursor = info["endCursor"] if forwards else info["startCursor"]
    assert walked == naive


@given(times=st.lists(st.integers(1, 3), min_size=1, max_size=10), data=st.data())
@examples(60)
async def test_a_page_from_any_cursor_is_a_slice_of_the_list(times: list[int], data: st.DataObject) -> None:
    naive = [f"msg_{number}" for number in sorted(range(len(times)), key=lambda number: times[number])]
    index = data.draw(st.integers(0, len(naive) - 1))
    size = data.draw(st.integers(1, 12))
    cursor = SCOPE.to_cursor(naive[index])
    api = conversation_at(times)
    after = await load_page(api, first=size, after=cursor)
    before = await load_page(api, last=size, before=cursor)
    assert node_ids(after) == naive[index + 1 :][:size]
    assert node_ids(before) == naive[:index][-size:]
    assert after["pageInfo"]["hasNextPage"] is (index + 1 + size < len(naive))
    assert before["pageInfo"]["hasPreviousPage"] is (index > size)


async def test_without_a_size_a_page_holds_twenty() -> None:
    api = conversation_at(range(30))
    assert node_ids(await load_page(api)) == [f"msg_{number}" for number in range(20)]
    assert node_ids(await load_page(api, first=None, after=None)) == [f"msg_{number}" for number in range(20)]
    assert node_ids(await load_page(api, before=SCOPE.to_cursor("msg_25"))) == [
        f"msg_{number}" for number in range(5, 25)
    ]


@pytest.mark.parametrize("size", [{"first": 250}, {"last": 250}, {"first": 1000}, {"first": 100}, {"last": 101}])
async def test_a_page_above_a_hundred_loads_only_the_upstream_pages_that_it_needs(size: dict[str, int]) -> None:
    everything = [f"msg_{number}" for number in range(320)]
    api = conversation_at(range(320))
    page = await load_page(api, **size)
    (wanted,) = size.values()
    expected = everything[:wanted] if "first" in size else everything[-wanted:]
    assert node_ids(page) == expected
    onwards = page["pageInfo"]["hasNextPage" if "first" in size else "hasPreviousPage"]
    assert onwards is (wanted < 320)
    assert len(api.calls) == -(-min(wanted, 320) // 100)


async def test_an_empty_list_is_an_empty_page() -> None:
    page = await load_page(conversation_at([]))
    assert page == {
        "nodes": [],
        "edges": [],
        "pageInfo": {"hasNextPage": False, "hasPreviousPage": False, "startCursor": None, "endCursor": None},
    }


@pytest.mark.parametrize("wanted", [2, 150])
async def test_a_page_that_is_longer_than_requested_is_cut(wanted: int) -> None:
    everything = [f"msg_{number}" for number in range(180)]

    class Unlimited(Stubborn):
        async def list(self, kind: Any, keys: Sequence[Any], *, on_result: Any = None) -> Any:
            (key,) = keys
            start = 0 if key.window.after is None else everything.index(key.window.after) + 1
            return [Page(data=list(self.messages.values())[start:], has_more=False)]

    page = await load_page(Unlimited(conversation_at(range(180))), first=wanted)
    assert node_ids(page) == everything[:wanted]
    assert page["pageInfo"]["hasNextPage"] is True


async def test_a_walk_ends_at_a_page_that_brings_nothing_new() -> None:
    api = Stubborn(conversation_at(range(120)), window=lambda window: window._replace(after=None))
    page = await load_page(api, first=150)
    assert node_ids(page) == [f"msg_{number}" for number in range(100)]
    assert page["pageInfo"]["hasNextPage"] is False


async def test_an_object_that_is_listed_twice_is_shown_once() -> None:
    api = Stubborn(conversation_at(range(3)), page=lambda page: Page(data=[*page.data, page.data[0]], has_more=True))
    page = await load_page(api, first=10)
    assert (node_ids(page), page["pageInfo"]["hasNextPage"]) == (["msg_0", "msg_1", "msg_2"], True)


@pytest.mark.parametrize("wanted", [10, 150])
async def test_an_empty_page_ends_a_list_that_claims_to_have_more(wanted: int) -> None:
    api = Stubborn(conversation_at(range(10)), page=lambda page: Page(data=page.data, has_more=True))
    page = await load_page(api, first=wanted)
    assert len(page["nodes"]) == 10
    last = await load_page(api, first=wanted, after=page["pageInfo"]["endCursor"])
    assert last["nodes"] == []
    assert last["pageInfo"]["hasNextPage"] is False


async def test_a_page_without_has_more_is_the_last_one() -> None:
    api = Stubborn(conversation_at(range(150)), page=lambda page: Page(data=page.data, has_more=False))
    page = await load_page(api, first=150)
    assert (len(page["nodes"]), page["pageInfo"]["hasNextPage"]) == (100, False)


async def test_an_error_of_one_upstream_page_fails_the_whole_connection() -> None:
    api = conversation_at(range(150))
    api.fail[MessagePageKey("thread_1", None, Window(50, "asc", "msg_99"))] = GatewayError(
        ErrorCode.UPSTREAM_FAILED, "Down."
    )
    result = await execute(api, PAGE, {"first": 150})
    assert result.data == {"thread": {"messages": None}}
    assert paths_and_codes(result) == [(["thread", "messages"], "UPSTREAM_FAILED")]


async def test_the_last_upstream_page_is_only_as_long_as_needed() -> None:
    windows: list[Window] = []

    async def load(key: MessagePageKey) -> Page[MessageObject]:
        windows.append(key.window)
        first = len(windows) * 1000
        return Page(data=[message(f"msg_{first + number}") for number in range(key.window.limit)], has_more=True)

    page = await walk_pages(load, MessagePageKey("thread_1", None, Window(205, "desc", "msg_x")))
    assert (len(page.data), page.has_more) == (205, True)
    assert windows == [Window(100, "desc", "msg_x"), Window(100, "desc", "msg_1099"), Window(5, "desc", "msg_2099")]


OF_RUN = MessagePageKey("thread_1", "run_1", Window(3, "asc"))


def pages_of_a_thread(length: int, own: Collection[int], keys: list[MessagePageKey]) -> Any:
    """Load pages of a server that ignores `run_id`: of so many messages, these are the run's own."""
    runs = ["run_1" if number in own else "run_2" for number in range(length)]
    messages = [message(f"msg_{number}", run_id=run_id) for number, run_id in enumerate(runs)]

    async def load(key: MessagePageKey) -> Page[MessageObject]:
        keys.append(key)
        ordered = messages[::-1] if key.window.backwards else messages
        start = next((place + 1 for place, one in enumerate(ordered) if one.id == key.window.after), 0)
        data = ordered[start : start + key.window.limit]
        return leave_out_other_runs(Page(data=data, has_more=start + len(data) < length), "run_1")

    return load


@pytest.mark.parametrize(
    ("length", "own", "windows", "shown", "has_more", "read_until"),
    [
        # The page is filled by the first pages that have enough, and no further page is read.
        (9, {0, 1, 2}, [(3, None)], [0, 1, 2], True, None),
        (9, {1, 4, 5, 7}, [(3, None), (100, "msg_2")], [1, 4, 5], True, None),
        (9, {8}, [(3, None), (100, "msg_2")], [8], False, "msg_8"),
        (250, {1, 240}, [(3, None), (100, "msg_2"), (100, "msg_102"), (100, "msg_202")], [1, 240], False, "msg_249"),
        # After four further pages it ends, with more to follow.
        (
            900,
            {1, 800},
            [(3, None), (100, "msg_2"), (100, "msg_102"), (100, "msg_202"), (100, "msg_302")],
            [1],
            True,
            "msg_402",
        ),
    ],
)
async def test_a_page_is_filled_from_further_pages_where_the_upstream_ignores_its_filter(
    length: int,
    own: set[int],
    windows: list[tuple[int, str | None]],
    shown: list[int],
    has_more: bool,
    read_until: str | None,
) -> None:
    keys: list[MessagePageKey] = []
    page = await walk_pages(pages_of_a_thread(length, own, keys), OF_RUN)
    assert [(key.window.limit, key.window.after) for key in keys] == windows
    assert {key.run_id for key in keys} == {"run_1"}
    assert [one.id for one in page.data] == [f"msg_{number}" for number in shown]
    assert (page.has_more, page.read_until) == (has_more, read_until)


@examples(100)
@given(own=st.sets(st.integers(0, 899), max_size=40), size=st.integers(1, 250), order=st.sampled_from(["asc", "desc"]))
async def test_paging_through_one_runs_messages_finds_each_once_and_in_order(
    own: set[int], size: int, order: Order
) -> None:
    found: list[str] = []
    after: str | None = None
    for _ in range(60):
        keys: list[MessagePageKey] = []
        page = await walk_pages(pages_of_a_thread(900, own, keys), OF_RUN._replace(window=Window(size, order, after)))
        assert len(keys) <= -(-size // 100) + 4
        found += [one.id for one in page.data]
        if not page.has_more:
            break
        after = page.read_until or page.data[-1].id
    assert found == [f"msg_{number}" for number in sorted(own, reverse=order == "desc")]


async def test_a_server_that_sends_the_same_foreign_page_again_ends_the_walk() -> None:
    loads = 0

    async def load(_: MessagePageKey) -> Page[MessageObject]:
        nonlocal loads
        loads += 1
        return Page(data=[], has_more=True, read_until="msg_9")

    page = await walk_pages(load, OF_RUN)
    assert (loads, page.data, page.has_more) == (2, [], False)


@pytest.mark.parametrize(
    "foreign",
    [
        CursorScope("messages", ThreadKey("thread_2")).to_cursor("msg_1"),
        CursorScope("messages", RunKey("thread_1", "run_1")).to_cursor("msg_1"),
        CursorScope("runs", THREAD).to_cursor("run_1"),
        to_global_id(MessageKey("thread_1", "msg_1")),
        SCOPE.to_cursor("msg_1")[:-2],
        "msg_1",
        "",
        "é",
        "x" * 10_000,
    ],
)
@pytest.mark.parametrize("argument", ["after", "before"])
async def test_a_cursor_of_another_list_is_refused_by_its_own_field(foreign: str, argument: str) -> None:
    result = await execute(conversation(), PAGE, {argument: foreign})
    assert result.data == {"thread": {"messages": None}}
    assert paths_and_codes(result) == [(["thread", "messages"], "BAD_USER_INPUT")]
    (error,) = result.errors or []
    assert error.extensions is not None
    assert error.extensions["argument"] == argument


async def test_every_connection_pages_by_its_own_cursors() -> None:
    document = """
        query ($after: String) {
            assistants(first: 1, after: $after) { pageInfo { endCursor hasNextPage } nodes { upstreamId } }
        }
    """
    first = await query_data(conversation(), document)
    cursor = first["assistants"]["pageInfo"]["endCursor"]
    assert (await query_data(conversation(), document, {"after": cursor}))["assistants"]["nodes"] == []
    files = """
        query ($id: ID!, $after: String) {
            message(id: $id) { files(first: 1, after: $after) { nodes { upstreamId } pageInfo { endCursor } } }
        }
    """
    variables = {"id": to_global_id(MessageKey("thread_1", "msg_1"))}
    page = (await query_data(conversation_with_files(), files, variables))["message"]["files"]
    assert page["nodes"] == [{"upstreamId": "file-1"}]
    rest = await query_data(conversation_with_files(), files, variables | {"after": page["pageInfo"]["endCursor"]})
    assert rest["message"]["files"]["nodes"] == [{"upstreamId": "file-2"}]
