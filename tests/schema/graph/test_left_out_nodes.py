"""Tests that a node of a kept list whose object cannot be read costs only itself."""

import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey
from tests.schema.builders import execute, paths_and_codes
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.wire_samples import run, thread


@pytest.mark.parametrize("selection", ["nodes { metadata }", "edges { node { ... on Thread { title metadata } } }"])
async def test_a_thread_is_left_out_where_it_would_take_the_list_with_it(selection: str) -> None:
    viewer = FakeViewerApi()
    for number in range(3):
        viewer.add(f"thread_{number}", number)
    api = FakeThreadsApi(threads={ThreadKey(f"thread_{number}"): thread(f"thread_{number}") for number in (0, 2)})
    api.fail[ThreadKey("thread_1")] = GatewayError(ErrorCode.UPSTREAM_FAILED, "It failed.")
    query = f"{{ viewer {{ threads {{ {selection} pageInfo {{ hasNextPage }} }} id }} }}"
    result = await execute(api, query, viewer=viewer)
    assert result.data is not None
    assert [len(nodes) for nodes in result.data["viewer"]["threads"].values() if isinstance(nodes, list)] == [2]
    assert result.data["viewer"]["id"]
    assert paths_and_codes(result) == [(["viewer", "threads"], "UPSTREAM_FAILED")]


async def test_a_waiting_run_is_left_out_too() -> None:
    viewer, api = FakeViewerApi(), FakeThreadsApi(runs={RunKey("thread_1", "run_1"): run(status="requires_action")})
    for number in range(2):
        viewer.wait(RunKey("thread_1", f"run_{number}"), number)
    api.fail[RunKey("thread_1", "run_0")] = GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "It took too long.")
    result = await execute(api, "{ viewer { waitingRuns { nodes { status metadata } } } }", viewer=viewer)
    assert result.data is not None
    assert [node["status"] for node in result.data["viewer"]["waitingRuns"]["nodes"]] == ["REQUIRES_ACTION"]
    assert paths_and_codes(result) == [(["viewer", "waitingRuns"], "UPSTREAM_TIMEOUT")]
