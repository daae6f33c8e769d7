"""The runs of the demo's conversations and the times of their messages, which no reply of the API tells."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.emulator.bodies.output_items import output_items
from gateway.emulator.bodies.reply_objects import render_assistant
from gateway.emulator.bodies.reply_responses import render_response
from gateway.emulator.demo.conversation_narrator import conversation_id
from gateway.emulator.demo.seed import DEMO_THREADS
from gateway.emulator.objects import JsonObject
from gateway.emulator.response_objects import Response
from gateway.emulator.state.store import Store

# What a request asks for, among what a response shows again.
_OPTIONS = (
    *("model", "instructions", "tools", "tool_choice", "temperature", "top_p", "text", "truncation"),
    *("parallel_tool_calls", "max_output_tokens", "metadata", "reasoning"),
)


@dataclass(frozen=True, slots=True)
class ToldRun:
    """Responses that belong together: each one but the first answers the calls of the one before.

    Attributes:
        response_ids: The ids of the responses, oldest first.
        conversation_id: The conversation.
        created_at: When the first one was created, in Unix seconds.
        assistant_id: The assistant of the thread that tells the same story.
        request: The request that created the first one, without its input.
        answers: The outputs that were submitted, by the id of the call.
        message_ids: The messages that the responses wrote.
        is_waiting: Whether the last one has a call that nobody has answered.
    """

    response_ids: tuple[str, ...]
    conversation_id: str
    created_at: int
    assistant_id: str | None
    request: JsonObject
    answers: dict[str, str]
    message_ids: frozenset[str]
    is_waiting: bool


@dataclass(frozen=True, slots=True)
class ToldConversation:
    """A conversation: its runs, oldest first, and the times of its messages in Unix seconds, by the id of the item."""

    conversation_id: str
    runs: tuple[ToldRun, ...]
    message_times: dict[str, int]


@dataclass(frozen=True, slots=True)
class ToldDemo:
    """The demo as the client of a responses API knows it. The assistants are JSON, as the earlier API shows them."""

    conversations: tuple[ToldConversation, ...]
    assistants: tuple[JsonObject, ...]


def read_told_demo(store: Store, partition: str) -> ToldDemo:
    """Read those of the demo's conversations, and of all assistants, that are there still."""
    assistants = store.assistants.list_all(partition, None)
    return ToldDemo(
        tuple(read_told_conversations(store, partition)), tuple(render_assistant(one, "v2") for one in assistants)
    )


def read_told_conversations(store: Store, partition: str) -> list[ToldConversation]:
    """Read those of the demo's conversations that are there still."""
    told = []
    responses = store.responses.list_all(partition, None)
    for thread_id in DEMO_THREADS:
        its_id = conversation_id(thread_id)
        if store.conversations.get(partition, its_id) is None:
            continue
        assistant_id = next((run.assistant_id for run in store.runs.list_all(partition, thread_id)), None)
        its_responses = [response for response in responses if response.conversation_id == its_id]
        runs = tuple(_told_run(chain, its_id, assistant_id) for chain in _chains(its_responses))
        items = store.items.list_all(partition, its_id)
        told.append(
            ToldConversation(
                its_id, runs, {item.id: item.created_at for item in items if item.body["type"] == "message"}
            )
        )
    return told


def _chains(responses: list[Response]) -> Iterator[list[Response]]:
    chain: list[Response] = []
    for response in responses:
        if chain and not _outputs(response):
            yield chain
            chain = []
        chain.append(response)
    if chain:
        yield chain


def _told_run(chain: list[Response], its_id: str, assistant_id: str | None) -> ToldRun:
    answers = {call_id: output for response in chain for call_id, output in _outputs(response).items()}
    written = [item for response in chain for item in output_items(response)]
    calls = {item["call_id"] for item in written if item["type"] == "function_call"}
    shown = render_response(chain[0])
    return ToldRun(
        tuple(response.id for response in chain),
        its_id,
        chain[0].created_at,
        assistant_id,
        {name: shown[name] for name in _OPTIONS if shown.get(name) is not None}
        | {"conversation": its_id, "store": True, "background": chain[0].is_background, "stream": True},
        answers,
        frozenset(item["id"] for item in written if item["type"] == "message"),
        chain[-1].run.status in {"completed", "requires_action"} and not calls <= answers.keys(),
    )


def _outputs(response: Response) -> dict[str, str]:
    return {item["call_id"]: item["output"] for item in response.input if item["type"] == "function_call_output"}
