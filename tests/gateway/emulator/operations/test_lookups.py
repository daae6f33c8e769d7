import pytest

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.operations.lookups import checked_cursors
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
