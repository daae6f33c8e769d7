import pytest

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.operations.api_call import ApiCall, checked_id
from gateway.emulator.operations.lookups import checked_cursors
from gateway.emulator.state.store import Store
from tests.gateway.emulator.api_client import Api


def test_a_cursor_of_a_short_list_must_be_in_it() -> None:
    query = ListQuery(after="file-1", before="file-2")
    assert checked_cursors(query, ["file-1", "file-2"], "file") == query
    with pytest.raises(ApiError, match=r"No file found with id 'file-2'\."):
        checked_cursors(query, ["file-1"], "file")


async def test_a_run_of_another_thread_is_not_found(api: Api) -> None:
    path = await api.new_run()
    _, _, run_id = path.partition("/runs/")
    other = await api.new_thread("Hi")
    assert (await api.call("GET", f"/threads/{other}/runs/{run_id}")).status == 404


@pytest.mark.parametrize("kind", ["messages", "runs"])
async def test_both_cursors_are_checked(api: Api, kind: str) -> None:
    thread_id = await api.new_thread("Hi")
    prefix = {"messages": "msg", "runs": "run"}[kind]
    for name in ("after", "before"):
        assert (await api.call("GET", f"/threads/{thread_id}/{kind}?{name}={prefix}_gone")).status == 404
        assert (await api.call("GET", f"/threads/{thread_id}/{kind}?{name}=nonsense")).status == 400


def test_an_id_of_another_kind_is_refused_with_its_parameter() -> None:
    assert checked_id("after", "msg_1", "msg") == "msg_1"
    with pytest.raises(ApiError, match=r"Invalid 'after': 'run_1'\. Expected an ID that begins with 'msg'") as refused:
        checked_id("after", "run_1", "msg")
    assert refused.value.param == "after"


def test_a_call_has_a_whole_second_and_checks_the_ids_of_its_path(store: Store) -> None:
    call = ApiCall(
        store=store,
        partition="mine",
        version="v2",
        now=12.9,
        path={"thread_id": "thread_1", "run_id": "nonsense"},
        query={},
        includes=frozenset(),
        body=b"",
    )
    assert (call.whole_second, call.path_id("thread_id")) == (12, "thread_1")
    with pytest.raises(ApiError, match="begins with 'run'"):
        call.path_id("run_id")
