"""Tests that a gateway over conversations and responses shows the content of a plain model after any writes."""

import functools
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from schema.contract.keys import AssistantKey, MessageKey, NodeKey, RunKey, ThreadKey, to_global_id
from tests.support.emulator import Emulator, running_emulator
from tests.support.full_runs import examples
from tests.support.gateway import Gateway
from tests.support.responses_gateway import running_responses_gateway
from tests.support.rest_and_graphql import NewMessage, PlainObject, RestAndGraphQL, Write, tools_sent

TEXTS = st.sampled_from(["Hello", "What is 2 + 2?", "Grüße, 世界 🌍", "a\nb", "x" * 300])
METADATA = st.dictionaries(st.sampled_from(["topic", "from", "ключ"]), st.sampled_from(["", "tea", "web 🌍"]))
MESSAGES = st.builds(
    NewMessage,
    role=st.sampled_from(["user", "user", "assistant"]),
    texts=st.lists(TEXTS, min_size=1, max_size=3),
    image=st.none(),
    files=st.just([]),
    metadata=st.just({}),
)
TOOLS = st.lists(st.sampled_from(["get_weather", "now"]), max_size=2, unique=True)
AT = st.integers(0, 63)
SIZES = st.integers(1, 5)
LONG_SECONDS = 100
ACTIVE = {"queued", "in_progress", "requires_action"}
ChoiceT = TypeVar("ChoiceT")


@dataclass
class Run:
    """A run as the model knows it."""

    id: str
    assistant_id: str
    metadata: dict[str, str]
    tools: list[str]
    status: str = "queued"
    calls: list[str] = field(default_factory=list)
    waits: bool = False

    @property
    def expected(self) -> PlainObject:
        names = ("id", "status", "metadata", "assistant_id", "calls", "tools")
        return {name: getattr(self, name) for name in names}


@dataclass
class Thread:
    """A thread with all its content, oldest first."""

    id: str
    metadata: dict[str, str]
    messages: list[PlainObject] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)

    @property
    def active_run(self) -> Run | None:
        return next((run for run in self.runs if run.status in ACTIVE), None)


class ResponsesClients(RestAndGraphQL):
    """A gateway over the second face, on an event loop of its own."""

    async def _start(self) -> tuple[Emulator, Gateway]:
        emulator = await self._stack.enter_async_context(running_emulator())
        return emulator, await self._stack.enter_async_context(running_responses_gateway(emulator))


class ResponsesAgreement(RuleBasedStateMachine):
    """Random writes and reads by one caller. `at` chooses one of the existing objects."""

    examples = 0

    def __init__(self, clients: ResponsesClients) -> None:
        super().__init__()
        self.clients = clients
        ResponsesAgreement.examples += 1
        clients.key = f"key-{ResponsesAgreement.examples}"
        self.threads: dict[str, Thread] = {}
        self.assistants: dict[str, PlainObject] = {}
        self.deleted: list[NodeKey] = []

    @initialize(first=MESSAGES, tools=TOOLS)
    def begin(self, first: NewMessage, tools: list[str]) -> None:
        self.create_assistant(tools, "Be brief.", {})
        self.create_thread([first], {})
        self.create_run(0, 0, None, None, {})

    # Threads and messages

    @rule(messages=st.lists(MESSAGES, max_size=3), metadata=METADATA)
    def create_thread(self, messages: list[NewMessage], metadata: dict[str, str]) -> None:
        values = {"messages": [_input(one) for one in messages], "metadata": metadata}
        made = self._write("createThread", values, "thread")
        assert made["metadata"] == metadata
        thread = self.threads[made["id"]] = Thread(made["id"], metadata)
        shown = self.clients.list_objects("message", thread.id, by_rest=False)
        thread.messages = [sent.expected(one["id"]) for sent, one in zip(messages, shown, strict=True)]

    @rule(at=AT, metadata=METADATA)
    def update_thread(self, at: int, metadata: dict[str, str]) -> None:
        thread_id, thread = self._thread(at)
        values = {"threadId": thread_id, "metadata": metadata}
        changed = self._write("updateThread", values, "thread", None if thread else "NOT_FOUND")
        if thread:
            thread.metadata = metadata
            assert changed == {"id": thread_id, "metadata": metadata}

    @precondition(lambda self: len(self.threads) > 1)
    @rule(at=AT)
    def delete_thread(self, at: int) -> None:
        thread_id, thread = self._thread(at)
        self._write("deleteThread", {"threadId": thread_id}, None, None if thread else "NOT_FOUND")
        if thread:
            del self.threads[thread_id]
            self.deleted.append(ThreadKey(thread_id))
            self.deleted += [MessageKey(thread_id, message["id"]) for message in thread.messages]
            self.deleted += [RunKey(thread_id, run.id) for run in thread.runs]

    @rule(at=AT, message=MESSAGES)
    def create_message(self, at: int, message: NewMessage) -> None:
        thread_id, thread = self._thread(at)
        refused = "NOT_FOUND" if thread is None else "ACTIVE_RUN" if thread.active_run else None
        made = self._write("createMessage", {"threadId": thread_id, **_input(message)}, "message", refused)
        if thread and not refused:
            thread.messages.append(message.expected(made["id"]))
            assert made == thread.messages[-1]

    @rule(at=AT)
    def delete_message(self, at: int) -> None:
        there = [(MessageKey(thread.id, one["id"]), one) for thread in self.threads.values() for one in thread.messages]
        if not there:
            return
        key, message = _pick(there, at)
        self._write("deleteMessage", {"messageId": to_global_id(key)}, None)
        self.threads[key.thread_id].messages.remove(message)
        self.deleted.append(key)

    # Runs

    @rule(at=AT, assistant_at=AT, tools=st.none() | TOOLS, more=st.none() | MESSAGES, metadata=METADATA)
    def create_run(
        self, at: int, assistant_at: int, tools: list[str] | None, more: NewMessage | None, metadata: dict[str, str]
    ) -> None:
        thread_id, thread = self._thread(at)
        assistant_id, assistant = self._assistant(assistant_at)
        values: PlainObject = {"threadId": thread_id, "assistantId": assistant_id, "metadata": metadata}
        if tools is not None:
            values["tools"] = tools_sent(tools)[0]
        if more is not None:
            values["additionalMessages"] = [_input(more)]
        refused = None
        if thread is None or assistant is None:
            refused = "NOT_FOUND"
        elif thread.active_run:
            refused = "ACTIVE_RUN"
        made = self._write("createRun", values, "run", refused)
        if thread and assistant and not refused:
            chosen = assistant["tools"] if tools is None else tools
            run = Run(made["id"], assistant_id, metadata, chosen, made["status"], waits=bool(chosen))
            assert {**run.expected, "thread_id": thread_id} == made
            thread.runs.append(run)
            before = len(thread.messages)
            self.let_runs_come_to_an_end()
            if more is not None:
                added = thread.messages[before]
                assert added == more.expected(added["id"])

    @rule()
    def let_runs_come_to_an_end(self) -> None:
        self.clients.emulator.clock.advance(LONG_SECONDS)
        for thread in self.threads.values():
            if (run := thread.active_run) is None:
                continue
            shown = self._read(RunKey(thread.id, run.id))
            assert shown is not None
            # The emulator's model calls the functions that it has only where there is a question to answer.
            assert shown["status"] in ({"completed", "requires_action"} if run.waits else {"completed"})
            run.status, run.calls = shown["status"], shown["calls"]
            assert shown == run.expected
            assert bool(run.calls) is (run.status == "requires_action")
            messages = self.clients.list_objects("message", thread.id, by_rest=False)
            assert messages[: len(thread.messages)] == thread.messages, "what was there stays as it was"
            written = [one for one in messages[len(thread.messages) :] if one["run_id"] is not None]
            assert {one["run_id"] for one in written} <= {run.id}
            assert written or run.status == "requires_action", "a completed run has written something"
            thread.messages = messages

    @precondition(lambda self: self.runs)
    @rule(at=AT)
    def cancel_run(self, at: int) -> None:
        key, run = _pick(self.runs, at)
        refused = None if run.status in ACTIVE else "WRONG_STATE"
        cancelled = self._write("cancelRun", {"runId": to_global_id(key)}, "run", refused)
        if not refused:
            assert cancelled["status"] in {"cancelled", "cancelling"}
            run.status, run.calls = "cancelled", []
            assert self._read(key) == run.expected

    @precondition(lambda self: self.runs)
    @rule(at=AT, leave_out=st.booleans())
    def submit_tool_outputs(self, at: int, leave_out: bool) -> None:
        waiting = [one for one in self.runs if one[1].status == "requires_action"]
        key, run = _pick(waiting if waiting and at % 8 < 6 else self.runs, at)
        is_waiting = run.status == "requires_action"
        calls = run.calls if is_waiting else ["call_of_nobody"]
        answered = calls[1:] if leave_out and len(calls) > 1 else calls
        refused = "WRONG_STATE" if not is_waiting else "MISSING_TOOL_OUTPUT" if answered != calls else None
        outputs = [{"callId": call, "output": "22 °C"} for call in answered]
        self._write("submitToolOutputs", {"runId": to_global_id(key), "toolOutputs": outputs}, "run", refused)
        if not refused:
            run.status, run.calls, run.waits = "queued", [], False
            self.let_runs_come_to_an_end()

    # Assistants

    @rule(tools=TOOLS, instructions=st.sampled_from([None, "Be brief."]), metadata=METADATA)
    def create_assistant(self, tools: list[str], instructions: str | None, metadata: dict[str, str]) -> None:
        same = {"model": "gpt-4o", "name": "A", "instructions": instructions, "metadata": metadata}
        made = self._write("createAssistant", {**same, "tools": tools_sent(tools)[0]}, "assistant")
        self.assistants[made["id"]] = {**same, "id": made["id"], "tools": tools}
        assert made == self.assistants[made["id"]]

    @rule(at=AT, name=st.sampled_from(["B", "Ç"]), tools=TOOLS)
    def update_assistant(self, at: int, name: str, tools: list[str]) -> None:
        assistant_id, assistant = self._assistant(at)
        values = {"assistantId": assistant_id, "name": name, "tools": tools_sent(tools)[0]}
        changed = self._write("updateAssistant", values, "assistant", None if assistant else "NOT_FOUND")
        if assistant:
            assistant |= {"name": name, "tools": tools}
            assert changed == assistant

    @precondition(lambda self: len(self.assistants) > 1)
    @rule(at=AT)
    def delete_assistant(self, at: int) -> None:
        assistant_id, assistant = self._assistant(at)
        values = {"assistantId": assistant_id}
        self._write("deleteAssistant", values, None, None if assistant else "NOT_FOUND")
        if assistant:
            del self.assistants[assistant_id]
            self.deleted.append(AssistantKey(assistant_id))

    # Reads

    @rule(at=AT, size=SIZES, backwards=st.booleans())
    def read_lists(self, at: int, size: int, backwards: bool) -> None:
        list_objects = functools.partial(self.clients.list_objects, size=size, by_rest=False, backwards=backwards)
        assert list_objects("assistant", None) == list(self.assistants.values())
        thread = _pick(list(self.threads.values()), at)
        assert list_objects("message", thread.id) == thread.messages
        assert list_objects("run", thread.id) == [run.expected for run in thread.runs]

    @rule(at=AT, by_node=st.booleans())
    def read_one_of_each(self, at: int, by_node: bool) -> None:
        thread_id, thread = self._thread(at)
        expected = {"id": thread_id, "metadata": thread.metadata} if thread else None
        assert self._read(ThreadKey(thread_id), by_node=by_node) == expected
        if self.runs:
            key, run = _pick(self.runs, at)
            assert self._read(key, by_node=by_node) == run.expected
        assistant_id, assistant = self._assistant(at)
        assert self._read(AssistantKey(assistant_id), by_node=by_node) == assistant

    @precondition(lambda self: self.deleted)
    @rule(at=AT)
    def deleted_objects_are_not_found(self, at: int) -> None:
        key = _pick(self.deleted, at)
        assert self._read(key, by_node=True) is None

    # Helpers of the rules

    @property
    def runs(self) -> list[tuple[RunKey, Run]]:
        return [(RunKey(thread.id, run.id), run) for thread in self.threads.values() for run in thread.runs]

    def _write(self, mutation: str, values: PlainObject, kind: str | None, refused: str | None = None) -> PlainObject:
        return self.clients.write(Write(mutation, values, "", "", None, kind), by_rest=False, refused=refused)

    def _read(self, key: NodeKey, *, by_node: bool = False) -> PlainObject | None:
        kind = type(key).__name__.removesuffix("Key").lower()
        return self.clients.get_by_graphql(kind, to_global_id(key), by_node=by_node)

    def _thread(self, at: int) -> tuple[str, Thread | None]:
        """Return an existing thread, or sometimes a deleted one."""
        deleted = [key for key in self.deleted if isinstance(key, ThreadKey)]
        if at % 8 == 7 and deleted:
            return _pick(deleted, at).thread_id, None
        thread = _pick(list(self.threads.values()), at)
        return thread.id, thread

    def _assistant(self, at: int) -> tuple[str, PlainObject | None]:
        deleted = [key for key in self.deleted if isinstance(key, AssistantKey)]
        if at % 8 == 7 and deleted:
            return _pick(deleted, at).assistant_id, None
        return _pick(list(self.assistants.items()), at)


def _input(message: NewMessage) -> Any:
    """Return the input of a message without what conversations have no place for."""
    return {name: value for name, value in message.graphql.items() if value}


def _pick(choices: list[ChoiceT], at: int) -> ChoiceT:
    return choices[at % len(choices)]


def test_a_gateway_over_responses_agrees_with_a_plain_model() -> None:
    with ResponsesClients() as clients:
        run_state_machine_as_test(
            functools.partial(ResponsesAgreement, clients),  # type: ignore[arg-type]  # whatever makes a machine will do
            settings=settings(
                examples(25),
                stateful_step_count=20,
                derandomize=True,
                database=None,
                # A failure is shown as found: shrinking it over sockets would exceed the time limit of the test.
                phases=[Phase.generate],
            ),
        )
