"""The demo's conversations as the client knows them who started their responses."""

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.demo import seed
from gateway.emulator.demo.told_runs import ToldConversation, read_told_conversations
from gateway.emulator.http.api_endpoint import SERVICES
from gateway.emulator.http.partitions import partition_from_key

PARTITION = partition_from_key("key")


def told() -> dict[str, ToldConversation]:
    store = create_app(clock=ManualClock(), seed_keys=["key"])[SERVICES].store
    return {one.conversation_id: one for one in read_told_conversations(store, PARTITION)}


def test_every_conversation_is_told_with_the_assistant_of_its_thread() -> None:
    conversations = told()
    assert tuple(conversations) == seed.DEMO_CONVERSATIONS
    assistants = {run.assistant_id for conversation in conversations.values() for run in conversation.runs}
    assert assistants == {
        seed.ASSISTANT_ANALYST,
        seed.ASSISTANT_CONCIERGE,
        seed.ASSISTANT_SUPPORT,
        seed.ASSISTANT_WRITER,
    }


def test_a_run_whose_calls_were_answered_is_one_chain_and_one_that_waits_says_so() -> None:
    conversations = told()
    trip = conversations[seed.DEMO_CONVERSATIONS[0]].runs
    assert [len(run.response_ids) for run in trip] == [2, 1, 1]
    assert len(trip[0].answers) == 2
    assert not any(run.is_waiting for run in trip)
    (refund,) = conversations[seed.DEMO_CONVERSATIONS[2]].runs
    assert len(refund.response_ids) == 1
    assert refund.is_waiting
    assert refund.request["model"]
    assert refund.request["tools"]
    assert "input" not in refund.request
    release = conversations[seed.DEMO_CONVERSATIONS[4]].runs
    assert [len(run.response_ids) for run in release] == [1, 1, 1, 1]
    assert not any(run.is_waiting for run in release)


def test_every_message_has_a_time_and_those_of_runs_are_known() -> None:
    for conversation in told().values():
        times = list(conversation.message_times.values())
        assert times == sorted(times)
        assert all(times)
        for run in conversation.runs:
            assert run.message_ids <= conversation.message_times.keys()
            assert run.created_at > 0
    journal = told()[seed.DEMO_CONVERSATIONS[5]]
    assert len(journal.message_times) == 140


def test_a_conversation_that_was_deleted_is_not_told() -> None:
    store = create_app(clock=ManualClock(), seed_keys=["key"])[SERVICES].store
    store.conversations.delete(PARTITION, seed.DEMO_CONVERSATIONS[0])
    left = tuple(one.conversation_id for one in read_told_conversations(store, PARTITION))
    assert left == seed.DEMO_CONVERSATIONS[1:]
