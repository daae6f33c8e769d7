import pytest

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, NodeKey, RunKey, ThreadKey, to_global_id
from schema.graph.id_arguments import read_id, read_node_id, read_run_id_within

THREAD = ThreadKey("thread_1")
RUN = RunKey("thread_1", "run_1")


@pytest.mark.parametrize("key", [THREAD, AssistantKey("asst_1"), MessageKey("thread_1", "msg_1"), RUN])
def test_a_global_id_is_read_as_its_key(key: NodeKey) -> None:
    assert read_id(type(key), to_global_id(key)) == key
    assert read_node_id(to_global_id(key)) == key


def test_an_upstream_id_is_read_if_it_identifies_the_object() -> None:
    assert read_id(ThreadKey, "thread_1") == THREAD
    assert read_id(AssistantKey, "asst_1") == ("asst_1",)


@pytest.mark.parametrize("key_type", [MessageKey, RunKey])
def test_an_upstream_id_that_does_not_say_its_thread_is_refused(key_type: type[NodeKey]) -> None:
    with pytest.raises(GatewayError, match="does not say which thread it belongs to"):
        read_id(key_type, "msg_1")


def test_a_global_id_of_another_type_is_refused_by_both_names_even_when_it_is_long() -> None:
    foreign = to_global_id(MessageKey("thread_" + "x" * 24, "msg_" + "x" * 24))
    with pytest.raises(GatewayError) as refused:
        read_id(ThreadKey, foreign)
    assert refused.value.message.startswith(
        "Argument 'id': expected the global ID of a Thread, not of a Message, got \"TWVz"
    )
    assert (refused.value.code, refused.value.argument) == (ErrorCode.BAD_USER_INPUT, "id")


@pytest.mark.parametrize("text", ["", "..", "a/b", "x" * 10_000, "a\x00b", "thréad", to_global_id(THREAD)[:-1]])
def test_a_hostile_or_damaged_id_is_refused_with_the_arguments_name(text: str) -> None:
    for read in (
        lambda: read_id(ThreadKey, text, "ids"),
        lambda: read_node_id(text, "ids"),
        lambda: read_run_id_within(THREAD, text, "ids"),
    ):
        with pytest.raises(GatewayError) as refused:
            read()
        assert refused.value.argument == "ids"
        assert len(refused.value.message) < 250


def test_a_run_filter_takes_both_kinds_of_id() -> None:
    assert read_run_id_within(THREAD, "run_1") == "run_1"
    assert read_run_id_within(THREAD, to_global_id(RUN)) == "run_1"


@pytest.mark.parametrize("foreign", [RunKey("thread_2", "run_1"), MessageKey("thread_1", "msg_1"), THREAD])
def test_a_run_filter_refuses_what_is_no_run_of_the_thread(foreign: NodeKey) -> None:
    with pytest.raises(GatewayError, match="expected a Run of thread thread_1") as refused:
        read_run_id_within(THREAD, to_global_id(foreign))
    assert refused.value.argument == "runId"
