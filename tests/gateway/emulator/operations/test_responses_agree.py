"""A random walk: the emulator's conversations and responses show what a plain model shows, after any calls."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.registry import operations
from gateway.emulator.operations.responses import AwaitedResponse, cancel_abandoned_response
from gateway.emulator.state.store import Store
from gateway.emulator.streams.stream_events import StreamReply
from tests.gateway.emulator.api_client import START
from tests.support.full_runs import examples

OPERATIONS = {operation.name: operation for operation in operations()}
TEXTS = st.sampled_from(["Hello", "What is 2 + 2?", "Grüße, 世界 🌍", ""])
AT = st.integers(0, 31)
TOOLS = [{"type": "function", "name": name} for name in ("get_weather", "now")]
LONG_SECONDS = 60.0
"""Enough for any response to end that is not stuck."""


@dataclass(frozen=True)
class Request:
    """A random request for a response. With `answers`, its input is an output for each call before it."""

    mode: str
    text: str
    tools: int
    answers: bool
    is_stuck: bool


MADE: dict[str, type] = {"background": dict, "stream": StreamReply, "await": AwaitedResponse}
REQUESTS = st.builds(
    Request,
    mode=st.sampled_from(["background", "background", "stream", "await"]),
    text=TEXTS,
    tools=st.integers(0, 2),
    answers=st.booleans(),
    is_stuck=st.integers(0, 7).map(lambda number: number == 7),
)


@dataclass
class ModelResponse:
    """A response of the model. `calls` is the number of functions that it will call, or None if it is stuck."""

    id: str
    conversation_id: str | None
    previous: "ModelResponse | None"
    is_background: bool
    calls: int | None
    inputs: list[Any]
    status: str = "active"
    output: list[Any] = field(default_factory=list)

    def chain(self) -> list[Any]:
        """Return the items that a response reads that continues this one."""
        return [*(self.previous.chain() if self.previous else []), *self.inputs, *self.output]


def refusal_words(context: list[Any]) -> set[str]:
    """Return the words of which one refuses a response that reads these items. Empty if none does."""
    calls = {item["call_id"] for item in context if item["type"] == "function_call"}
    outputs = {item["call_id"] for item in context if item["type"] == "function_call_output"}
    if outputs - calls:
        return {f"No tool call found for function call output with call_id {one}." for one in outputs - calls}
    return {f"No tool output found for function call {one}." for one in calls - outputs}


class Walk(RuleBasedStateMachine):
    """Random calls by one caller. `at` chooses one of the existing objects."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(":memory:")
        self.now = float(START)
        self.conversations: dict[str, list[Any]] = {}
        self.metadata: dict[str, dict[str, str]] = {}
        self.responses: dict[str, ModelResponse] = {}

    def teardown(self) -> None:
        self.store.close()

    # Calls

    def call(self, name: str, body: Any = None, query: Mapping[str, str] | None = None, **path: str) -> Any:
        call = ApiCall(
            store=self.store,
            partition="mine",
            version="v2",
            now=self.now,
            path=path,
            query=query or {},
            includes=frozenset(),
            body=b"" if body is None else json.dumps(body).encode(),
            server="foundry_v1",
        )
        with self.store.transaction():
            return OPERATIONS[name].perform(call)

    def refused(self, name: str, body: Any = None, **path: Any) -> ApiError:
        try:
            self.call(name, body, **path)
        except ApiError as error:
            return error
        raise AssertionError(f"expected a refusal of {name}")

    def items_of(self, conversation_id: str) -> list[Any]:
        items: list[Any] = []
        query = {"order": "asc", "limit": "3"}
        while True:
            page = self.call("listConversationItems", query=query, conversation_id=conversation_id)
            items += page["data"]
            if not page["has_more"]:
                return items
            query |= {"after": page["last_id"]}

    # The model

    def chosen(self, at: int) -> str:
        return list(self.conversations)[at % len(self.conversations)]

    def chosen_response(self, at: int) -> ModelResponse:
        return list(self.responses.values())[at % len(self.responses)]

    def is_locked(self, conversation_id: str | None) -> bool:
        return conversation_id is not None and any(
            response.status == "active" and response.conversation_id == conversation_id
            for response in self.responses.values()
        )

    def end(self, response: ModelResponse, status: str, output: list[Any]) -> None:
        """End a response of the model: its items become those of its conversation, if that still exists."""
        response.status, response.output = status, output
        if response.conversation_id in self.conversations:
            self.conversations[response.conversation_id] += [*response.inputs, *output]

    # Conversations

    @initialize()
    def begin(self) -> None:
        self.create_conversation([], "First")

    @rule(texts=st.lists(TEXTS, max_size=3), title=TEXTS)
    def create_conversation(self, texts: list[str], title: str) -> None:
        items = [{"role": "user", "content": text} for text in texts]
        made = self.call("createConversation", {"items": items, "metadata": {"title": title}})
        self.metadata[made["id"]] = {"title": title}
        self.conversations[made["id"]] = self.items_of(made["id"])
        assert [item["content"][0]["text"] for item in self.conversations[made["id"]]] == texts

    @rule(at=AT, title=TEXTS)
    def update_conversation(self, at: int, title: str) -> None:
        conversation_id = self.chosen(at)
        self.metadata[conversation_id] = {"title": title}
        self.call("updateConversation", {"metadata": {"title": title}}, conversation_id=conversation_id)

    @precondition(lambda self: len(self.conversations) > 1)
    @rule(at=AT)
    def delete_conversation(self, at: int) -> None:
        conversation_id = self.chosen(at)
        self.call("deleteConversation", conversation_id=conversation_id)
        del self.conversations[conversation_id]
        del self.metadata[conversation_id]

    @rule(at=AT, texts=st.lists(TEXTS, min_size=1, max_size=2))
    def create_items(self, at: int, texts: list[str]) -> None:
        conversation_id = self.chosen(at)
        body = {"items": [{"role": "user", "content": text} for text in texts]}
        if self.is_locked(conversation_id):
            error = self.refused("createConversationItems", body, conversation_id=conversation_id)
            assert error.code == "conversation_locked"
            return
        added = self.call("createConversationItems", body, conversation_id=conversation_id)
        self.conversations[conversation_id] += added["data"]

    @precondition(lambda self: any(self.conversations.values()))
    @rule(at=AT, place=AT)
    def delete_item(self, at: int, place: int) -> None:
        filled = [one for one, items in self.conversations.items() if items]
        conversation_id = filled[at % len(filled)]
        items = self.conversations[conversation_id]
        item = items.pop(place % len(items))
        shown = self.call("getConversationItem", conversation_id=conversation_id, item_id=item["id"])
        assert shown == item
        kept = self.call("deleteConversationItem", conversation_id=conversation_id, item_id=item["id"])
        assert kept["id"] == conversation_id
        error = self.refused("getConversationItem", conversation_id=conversation_id, item_id=item["id"])
        assert error.status == 404

    # Responses

    @rule(request=REQUESTS)
    def respond_alone(self, request: Request) -> None:
        self.create_response(request)

    @rule(at=AT, request=REQUESTS)
    def respond_in_conversation(self, at: int, request: Request) -> None:
        self.create_response(request, conversation_id=self.chosen(at))

    @precondition(lambda self: self.ended())
    @rule(at=AT, request=REQUESTS)
    def continue_response(self, at: int, request: Request) -> None:
        self.create_response(request, previous=self.ended()[at % len(self.ended())])

    def ended(self) -> list[ModelResponse]:
        return [one for one in self.responses.values() if one.status != "active" and one.conversation_id is None]

    def create_response(
        self, request: Request, conversation_id: str | None = None, previous: ModelResponse | None = None
    ) -> None:
        body: dict[str, Any] = {"model": "m", "tools": TOOLS[: request.tools], "store": True}
        body |= {"background": request.mode == "background", "stream": request.mode == "stream"}
        before: list[Any] = []
        if conversation_id is not None:
            body["conversation"] = conversation_id
            before = self.conversations[conversation_id]
        elif previous is not None:
            body["previous_response_id"] = previous.id
            before = previous.chain()
        calls = [item["call_id"] for item in before if item["type"] == "function_call"] if request.answers else []
        outputs = [{"type": "function_call_output", "call_id": one, "output": "1"} for one in calls]
        body["input"] = outputs or [{"type": "message", "role": "user", "content": request.text}]
        if request.is_stuck:
            body["metadata"] = {"emulator": "stuck"}
        if self.is_locked(conversation_id):
            assert self.refused("createResponse", body).code == "conversation_locked"
        elif words := refusal_words([*before, *body["input"]]):
            assert self.refused("createResponse", body).message in words
        else:
            made = self.call("createResponse", body)
            assert isinstance(made, MADE[request.mode])
            response_id = made["id"] if isinstance(made, dict) else self.newest_response_id()
            inputs = self.call("listInputItems", query={"order": "asc"}, response_id=response_id)["data"]
            assert [item["type"] for item in inputs] == [item["type"] for item in body["input"]]
            # A script that got outputs answers with words.
            number = None if request.is_stuck else 0 if outputs else request.tools
            self.responses[response_id] = ModelResponse(
                response_id, conversation_id, previous, request.mode == "background", number, inputs
            )

    def newest_response_id(self) -> str:
        return str(self.call("listResponses", query={"limit": "1"})["data"][0]["id"])

    @rule(seconds=st.sampled_from([LONG_SECONDS, LONG_SECONDS, 1.5]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        for response in self.responses.values():
            shown = self.call("getResponse", response_id=response.id)
            if response.status == "active" and shown["status"] == "completed":
                assert response.calls is not None
                kinds = ["function_call"] * response.calls or ["message"]
                assert [item["type"] for item in shown["output"]] == kinds
                self.end(response, "completed", shown["output"])
            elif response.status == "active" and response.calls is not None:
                assert seconds < LONG_SECONDS

    @precondition(lambda self: self.responses)
    @rule(at=AT)
    def cancel_response(self, at: int) -> None:
        response = self.chosen_response(at)
        if not response.is_background:
            error = self.refused("cancelResponse", response_id=response.id)
            assert error.message == "Cannot cancel a synchronous response."
            return
        shown = self.call("cancelResponse", response_id=response.id)
        if response.status == "active":
            assert shown["status"] == "cancelled"
            assert [item["status"] for item in shown["output"]] in ([], ["incomplete"] * len(shown["output"]))
            self.end(response, "cancelled", shown["output"])
        assert (shown["status"], shown["output"]) == (response.status, response.output)

    @precondition(lambda self: any(not response.is_background for response in self.responses.values()))
    @rule(at=AT)
    def leave_stream(self, at: int) -> None:
        in_foreground = [response for response in self.responses.values() if not response.is_background]
        response = in_foreground[at % len(in_foreground)]
        with self.store.transaction():
            changed = cancel_abandoned_response(self.store, "mine", response.id, self.now)
        assert changed == (response.status == "active")
        if changed:
            self.end(response, "cancelled", self.call("getResponse", response_id=response.id)["output"])

    @precondition(lambda self: self.responses)
    @rule(at=AT)
    def delete_response(self, at: int) -> None:
        response = self.responses.pop(self.chosen_response(at).id)
        assert self.call("deleteResponse", response_id=response.id)["deleted"] is True
        assert self.refused("getResponse", response_id=response.id).status == 404
        for later in self.responses.values():
            # A chain ends where a response is missing.
            later.previous = None if later.previous is response else later.previous

    # What can be seen at any time

    @invariant()
    def conversations_agree(self) -> None:
        shown = self.call("listConversations", query={"limit": "100", "order": "asc"})["data"]
        assert {one["id"]: one["metadata"] for one in shown} == self.metadata
        for conversation_id, items in self.conversations.items():
            assert self.items_of(conversation_id) == items
            calls = [item for item in items if item["type"] == "function_call"]
            query = {"item_type": "function_call", "order": "asc", "limit": "100"}
            page = self.call("listConversationItems", query=query, conversation_id=conversation_id)
            assert page["data"] == calls

    @invariant()
    def responses_agree(self) -> None:
        shown = self.call("listResponses", query={"limit": "100"})["data"]
        assert sorted(one["id"] for one in shown) == sorted(self.responses)
        for one in shown:
            response = self.responses[one["id"]]
            if response.status == "active":
                assert one["status"] in {"queued", "in_progress"}
                assert response.is_background or one["status"] == "in_progress"
            else:
                assert (one["status"], one["output"]) == (response.status, response.output)
        for conversation_id in self.conversations:
            query = {"conversation_id": conversation_id, "limit": "100"}
            ids = {one["id"] for one in self.call("listResponses", query=query)["data"]}
            assert ids == {one.id for one in self.responses.values() if one.conversation_id == conversation_id}


def test_the_emulator_agrees_with_a_plain_model_after_any_calls() -> None:
    run_state_machine_as_test(
        Walk, settings=settings(examples(200), stateful_step_count=30, phases=(Phase.reuse, Phase.generate))
    )
