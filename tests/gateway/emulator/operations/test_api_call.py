import pytest

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.operations.api_call import ApiCall, checked_id
from gateway.emulator.state.store import Store


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
