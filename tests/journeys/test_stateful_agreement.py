"""Tests that emulator and gateway both show the content of a naive model after any writes by REST or GraphQL."""

import functools
from typing import TypeAlias, TypeVar

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from schema.contract.keys import AssistantKey, MessageKey, NodeKey, RunKey, ThreadKey, to_global_id
from tests.support.emulator import add_files
from tests.support.full_runs import examples
from tests.support.naive_model import CANCELLABLE, Model, Run, Thread
from tests.support.rest_and_graphql import NewMessage, PlainObject, RestAndGraphQL, Write, tools_sent

FILE_IDS = ("file-abc123", "file-def456")
TEXTS = st.sampled_from(["Hello", "What is 2 + 2?", "Grüße, 世界 🌍", "a\nb", "x" * 300])
METADATA = st.dictionaries(st.sampled_from(["topic", "from", "ключ"]), st.sampled_from(["", "tea", "web 🌍"]))
MESSAGES = st.builds(
    NewMessage,
    role=st.sampled_from(["user", "user", "assistant"]),
    texts=st.lists(TEXTS, min_size=1, max_size=3),
    image=st.sampled_from([None, None, "https://example.com/cat.png"]),
    files=st.lists(st.sampled_from(FILE_IDS), max_size=2, unique=True),
    metadata=METADATA,
)
TOOLS = st.lists(st.sampled_from(["get_weather", "now"]), max_size=2, unique=True)
AT = st.integers(0, 63)
BY_REST = st.booleans()
SIZES = st.integers(1, 5)
ChoiceT = TypeVar("ChoiceT")
Metadata: TypeAlias = dict[str, str]


class Agreement(RuleBasedStateMachine):
    """Random writes and reads by one caller, each by REST or by GraphQL. `at` chooses one of the existing objects."""

    examples = 0

    def __init__(self, clients: RestAndGraphQL) -> None:
        super().__init__()
        self.clients = clients
        Agreement.examples += 1
        clients.key = f"key-{Agreement.examples}"
        add_files(clients.emulator.store, clients.key, *FILE_IDS)
        self.model = Model(now=int(clients.emulator.clock.now()))

    @initialize(first=MESSAGES, tools=TOOLS, by_rest=BY_REST)
    def begin(self, first: NewMessage, tools: list[str], by_rest: bool) -> None:
        self.create_assistant(tools, "Be brief.", {}, by_rest)
        self.create_thread([first], {}, by_rest)
        self.create_run(0, 0, None, None, {}, by_rest)

    # Threads

    @rule(messages=st.lists(MESSAGES, max_size=3), metadata=METADATA, by_rest=BY_REST)
    def create_thread(self, messages: list[NewMessage], metadata: Metadata, by_rest: bool) -> None:
        values = {"messages": [one.graphql for one in messages], "metadata": metadata}
        body = {"messages": [one.rest for one in messages], "metadata": metadata}
        made = self.clients.write(Write("createThread", values, "POST", "/threads", body, "thread"), by_rest=by_rest)
        self._add_new_thread(made["id"], messages, metadata)

    @rule(at=AT, metadata=METADATA, by_rest=BY_REST)
    def update_thread(self, at: int, metadata: Metadata, by_rest: bool) -> None:
        thread_id, thread = self._thread(at)
        values = {"threadId": thread_id, "metadata": metadata}
        write = Write("updateThread", values, "POST", f"/threads/{thread_id}", {"metadata": metadata}, "thread")
        changed = self.clients.write(write, by_rest=by_rest, refused=None if thread else "NOT_FOUND")
        if thread:
            thread.metadata = metadata
            assert changed == thread.expected

    @precondition(lambda self: len(self.model.threads) > 1)
    @rule(at=AT, by_rest=BY_REST)
    def delete_thread(self, at: int, by_rest: bool) -> None:
        thread_id, thread = self._thread(at)
        write = Write("deleteThread", {"threadId": thread_id}, "DELETE", f"/threads/{thread_id}")
        self.clients.write(write, by_rest=by_rest, refused=None if thread else "NOT_FOUND")
        if thread:
            del self.model.threads[thread_id]
            self.model.deleted.append(ThreadKey(thread_id))
            self.model.deleted += [MessageKey(thread_id, message["id"]) for message in thread.messages]
            self.model.deleted += [RunKey(thread_id, run.id) for run in thread.runs]

    # Messages

    @rule(at=AT, message=MESSAGES, by_rest=BY_REST)
    def create_message(self, at: int, message: NewMessage, by_rest: bool) -> None:
        thread_id, thread = self._thread(at)
        refused = "NOT_FOUND" if thread is None else "ACTIVE_RUN" if thread.active_run else None
        values = {"threadId": thread_id, **message.graphql}
        write = Write("createMessage", values, "POST", f"/threads/{thread_id}/messages", message.rest, "message")
        made = self.clients.write(write, by_rest=by_rest, refused=refused)
        if thread and not refused:
            thread.messages.append(message.expected(made["id"]))
            assert made == thread.messages[-1]

    @rule(at=AT, metadata=METADATA, by_rest=BY_REST)
    def update_message(self, at: int, metadata: Metadata, by_rest: bool) -> None:
        key, message = self._message(at)
        values = {"messageId": to_global_id(key), "metadata": metadata}
        path = f"/threads/{key.thread_id}/messages/{key.message_id}"
        write = Write("updateMessage", values, "POST", path, {"metadata": metadata}, "message")
        changed = self.clients.write(write, by_rest=by_rest, refused=None if message else "NOT_FOUND")
        if message:
            message["metadata"] = metadata
            # REST leaves the attachments out of this response; the gateway does not.
            assert {"files": message["files"]} | changed == message
            assert by_rest or "files" in changed

    @rule(at=AT, by_rest=BY_REST)
    def delete_message(self, at: int, by_rest: bool) -> None:
        key, message = self._message(at)
        path = f"/threads/{key.thread_id}/messages/{key.message_id}"
        write = Write("deleteMessage", {"messageId": to_global_id(key)}, "DELETE", path)
        self.clients.write(write, by_rest=by_rest, refused=None if message else "NOT_FOUND")
        if message:
            self.model.threads[key.thread_id].messages.remove(message)
            self.model.deleted.append(key)

    # Runs

    @rule(
        at=AT, assistant_at=AT, tools=st.none() | TOOLS, more=st.none() | MESSAGES, metadata=METADATA, by_rest=BY_REST
    )
    def create_run(
        self,
        at: int,
        assistant_at: int,
        tools: list[str] | None,
        more: NewMessage | None,
        metadata: Metadata,
        by_rest: bool,
    ) -> None:
        thread_id, thread = self._thread(at)
        assistant_id, assistant = self._assistant(assistant_at)
        values: PlainObject = {"threadId": thread_id, "assistantId": assistant_id, "metadata": metadata}
        body: PlainObject = {"assistant_id": assistant_id, "metadata": metadata}
        if tools is not None:
            values["tools"], body["tools"] = tools_sent(tools)
        if more is not None:
            values["additionalMessages"], body["additional_messages"] = [more.graphql], [more.rest]
        refused = None
        if thread is None or assistant is None:
            refused = "NOT_FOUND"
        elif thread.active_run:
            refused = "ACTIVE_RUN"
        elif not (thread.has_question or (more and more.role == "user") or assistant["instructions"]):
            refused = "INVALID_VALUE"
        write = Write("createRun", values, "POST", f"/threads/{thread_id}/runs", body, "run")
        made = self.clients.write(write, by_rest=by_rest, refused=refused)
        if thread and assistant and not refused:
            if more is not None:
                thread.messages.append(more.expected(self._newest_message_id(thread_id)))
            self._add_new_run(thread, made, assistant, tools, metadata)

    @rule(assistant_at=AT, messages=st.lists(MESSAGES, max_size=2), metadata=METADATA, by_rest=BY_REST)
    def create_thread_and_run(
        self, assistant_at: int, messages: list[NewMessage], metadata: Metadata, by_rest: bool
    ) -> None:
        assistant_id, assistant = self._assistant(assistant_at)
        values = {"assistantId": assistant_id, "thread": {"messages": [one.graphql for one in messages]}}
        body = {"assistant_id": assistant_id, "thread": {"messages": [one.rest for one in messages]}}
        refused = None
        if assistant is None:
            refused = "NOT_FOUND"
        elif not (any(one.role == "user" for one in messages) or assistant["instructions"]):
            refused = "INVALID_VALUE"
        write = Write(
            "createThreadAndRun",
            values | {"metadata": metadata},
            "POST",
            "/threads/runs",
            body | {"metadata": metadata},
            "run",
        )
        made = self.clients.write(write, by_rest=by_rest, refused=refused)
        if assistant and not refused:
            thread = self._add_new_thread(made["thread_id"], messages, {})
            self._add_new_run(thread, made, assistant, None, metadata)

    @precondition(lambda self: self.runs)
    @rule(at=AT, metadata=METADATA, by_rest=BY_REST)
    def update_run(self, at: int, metadata: Metadata, by_rest: bool) -> None:
        key, run = self._run(at)
        values = {"runId": to_global_id(key), "metadata": metadata}
        path = f"/threads/{key.thread_id}/runs/{key.run_id}"
        write = Write("updateRun", values, "POST", path, {"metadata": metadata}, "run")
        changed = self.clients.write(write, by_rest=by_rest, refused=None if run else "NOT_FOUND")
        if run:
            run.metadata = metadata
            assert changed == run.expected | {"thread_id": key.thread_id}

    @precondition(lambda self: self.runs)
    @rule(at=AT, by_rest=BY_REST)
    def cancel_run(self, at: int, by_rest: bool) -> None:
        key, run = self._run(at)
        refused = "NOT_FOUND" if run is None else None if run.status in CANCELLABLE else "WRONG_STATE"
        path = f"/threads/{key.thread_id}/runs/{key.run_id}/cancel"
        write = Write("cancelRun", {"runId": to_global_id(key)}, "POST", path, None, "run")
        cancelled = self.clients.write(write, by_rest=by_rest, refused=refused)
        if run and not refused:
            run.status, run.calls = "cancelling", []
            assert cancelled == run.expected | {"thread_id": key.thread_id}

    @rule(at=AT, leave_out=st.booleans(), by_rest=BY_REST)
    def submit_tool_outputs(self, at: int, leave_out: bool, by_rest: bool) -> None:
        key, run = self._run(at)
        if at % 8 < 6 and (awaiting := [one for one in self.runs if one[1].status == "requires_action"]):
            key, run = _pick(awaiting, at)
        waiting = run is not None and run.status == "requires_action"
        calls = run.calls if run and waiting else ["call_of_nobody"]
        # An empty list would be refused for being empty.
        answered = calls[1:] if leave_out and len(calls) > 1 else calls
        refused = None
        if not waiting:
            refused = "WRONG_STATE" if run else "NOT_FOUND"
        elif answered != calls:
            refused = "MISSING_TOOL_OUTPUT"
        values = {"toolOutputs": [{"callId": call, "output": "22 °C"} for call in answered]}
        body = {"tool_outputs": [{"tool_call_id": call, "output": "22 °C"} for call in answered]}
        path = f"/threads/{key.thread_id}/runs/{key.run_id}/submit_tool_outputs"
        write = Write("submitToolOutputs", values | {"runId": to_global_id(key)}, "POST", path, body, "run")
        goes_on = self.clients.write(write, by_rest=by_rest, refused=refused)
        if run and not refused:
            run.status, run.calls, run.submitted, run.queued = "queued", [], True, self.model.now
            assert goes_on == run.expected | {"thread_id": key.thread_id}

    @rule(by_rest=BY_REST)
    def let_runs_come_to_an_end(self, by_rest: bool) -> None:
        self.let_time_pass(100, by_rest)

    @rule(seconds=st.sampled_from([2, 5, 700]), by_rest=BY_REST)
    def let_time_pass(self, seconds: int, by_rest: bool) -> None:
        self.clients.emulator.clock.advance(seconds)
        self.model.now += seconds
        for thread in self.model.threads.values():
            if run := thread.active_run:
                messages = self.clients.list_objects("message", thread.id, by_rest=by_rest)
                shown = self._read(RunKey(thread.id, run.id), by_rest=by_rest)
                assert shown is not None
                thread.update_run_state(run, shown, messages, self.model.now)

    # Assistants

    @rule(tools=TOOLS, instructions=st.sampled_from([None, None, "Be brief."]), metadata=METADATA, by_rest=BY_REST)
    def create_assistant(self, tools: list[str], instructions: str | None, metadata: Metadata, by_rest: bool) -> None:
        for_graphql, for_rest = tools_sent(tools)
        same = {"model": "gpt-4o", "name": "A", "instructions": instructions, "metadata": metadata}
        values, body = same | {"tools": for_graphql}, same | {"tools": for_rest}
        write = Write("createAssistant", values, "POST", "/assistants", body, "assistant")
        made = self.clients.write(write, by_rest=by_rest)
        self.model.assistants[made["id"]] = same | {"id": made["id"], "tools": tools}
        assert made == self.model.assistants[made["id"]]

    @rule(at=AT, name=st.sampled_from([None, "B", "Ç"]), tools=st.none() | TOOLS, by_rest=BY_REST)
    def update_assistant(self, at: int, name: str | None, tools: list[str] | None, by_rest: bool) -> None:
        assistant_id, assistant = self._assistant(at)
        for_graphql, for_rest = tools_sent(tools or [])
        has_tools = tools is not None
        values = {"assistantId": assistant_id, "name": name} | ({"tools": for_graphql} if has_tools else {})
        body = {"name": name} | ({"tools": for_rest} if has_tools else {})
        write = Write("updateAssistant", values, "POST", f"/assistants/{assistant_id}", body, "assistant")
        changed = self.clients.write(write, by_rest=by_rest, refused=None if assistant else "NOT_FOUND")
        if assistant:
            assistant |= {"name": name} | ({"tools": tools} if has_tools else {})
            assert changed == assistant

    @precondition(lambda self: len(self.model.assistants) > 1)
    @rule(at=AT, by_rest=BY_REST)
    def delete_assistant(self, at: int, by_rest: bool) -> None:
        assistant_id, assistant = self._assistant(at)
        write = Write("deleteAssistant", {"assistantId": assistant_id}, "DELETE", f"/assistants/{assistant_id}")
        self.clients.write(write, by_rest=by_rest, refused=None if assistant else "NOT_FOUND")
        if assistant:
            del self.model.assistants[assistant_id]
            self.model.deleted.append(AssistantKey(assistant_id))

    # Reads

    @rule(at=AT, size=SIZES, by_rest=BY_REST, backwards=st.booleans())
    def read_lists(self, at: int, size: int, by_rest: bool, backwards: bool) -> None:
        list_objects = functools.partial(self.clients.list_objects, size=size, by_rest=by_rest, backwards=backwards)
        assert list_objects("assistant", None) == list(self.model.assistants.values())
        thread = _pick(list(self.model.threads.values()), at)
        assert list_objects("message", thread.id) == thread.messages
        assert list_objects("run", thread.id) == [run.expected for run in thread.runs]

    @rule(at=AT, size=SIZES, by_rest=BY_REST, backwards=st.booleans())
    def read_messages_of_a_run(self, at: int, size: int, by_rest: bool, backwards: bool) -> None:
        key, run = self._run(at)
        if run:
            messages = self.model.threads[key.thread_id].messages
            written = [message for message in messages if message["run_id"] == run.id]
            list_objects = functools.partial(self.clients.list_objects, size=size, by_rest=by_rest, backwards=backwards)
            assert list_objects("message", key.thread_id, run_id=run.id) == written

    @rule(at=AT, by_rest=BY_REST, by_node=st.booleans())
    def read_one_of_each(self, at: int, by_rest: bool, by_node: bool) -> None:
        thread_id, thread = self._thread(at)
        assert self._read(ThreadKey(thread_id), by_rest=by_rest, by_node=by_node) == (
            thread.expected if thread else None
        )
        message_key, message = self._message(at)
        assert self._read(message_key, by_rest=by_rest, by_node=by_node) == message
        run_key, run = self._run(at)
        assert self._read(run_key, by_rest=by_rest, by_node=by_node) == (run.expected if run else None)
        assistant_id, assistant = self._assistant(at)
        assert self._read(AssistantKey(assistant_id), by_rest=by_rest, by_node=by_node) == assistant

    @precondition(lambda self: self.model.deleted)
    @rule(at=AT)
    def deleted_objects_are_not_found(self, at: int) -> None:
        key = _pick(self.model.deleted, at)
        query = "query ($id: ID!) { node(id: $id) { id } nodes(ids: [$id]) { id } }"
        assert self.clients.graphql(query, id=to_global_id(key)) == {"node": None, "nodes": [None]}
        assert self._read(key, by_rest=True) is None

    # Helpers of the rules

    @property
    def runs(self) -> list[tuple[RunKey, Run]]:
        return [(RunKey(thread.id, run.id), run) for thread in self.model.threads.values() for run in thread.runs]

    def _thread(self, at: int) -> tuple[str, Thread | None]:
        """Return an existing thread, or sometimes a deleted one."""
        deleted = [key for key in self.model.deleted if isinstance(key, ThreadKey)]
        if at % 8 == 7 and deleted:
            return _pick(deleted, at).thread_id, None
        thread = _pick(list(self.model.threads.values()), at)
        return thread.id, thread

    def _message(self, at: int) -> tuple[MessageKey, PlainObject | None]:
        deleted = [key for key in self.model.deleted if isinstance(key, MessageKey)]
        there = [(MessageKey(t.id, m["id"]), m) for t in self.model.threads.values() for m in t.messages]
        if there and not (at % 8 == 7 and deleted):
            return _pick(there, at)
        return _pick(deleted, at) if deleted else MessageKey(next(iter(self.model.threads)), "msg_" + "0" * 24), None

    def _run(self, at: int) -> tuple[RunKey, Run | None]:
        deleted = [key for key in self.model.deleted if isinstance(key, RunKey)]
        if self.runs and not (at % 8 == 7 and deleted):
            return _pick(self.runs, at)
        return _pick(deleted, at) if deleted else RunKey(next(iter(self.model.threads)), "run_" + "0" * 24), None

    def _assistant(self, at: int) -> tuple[str, PlainObject | None]:
        deleted = [key for key in self.model.deleted if isinstance(key, AssistantKey)]
        if at % 8 == 7 and deleted:
            return _pick(deleted, at).assistant_id, None
        return _pick(list(self.model.assistants.items()), at)

    def _add_new_thread(self, thread_id: str, messages: list[NewMessage], metadata: Metadata) -> Thread:
        """Add a thread to the model. Takes only the ids of its first messages from the upstream."""
        shown = self.clients.list_objects("message", thread_id, by_rest=True)
        assert len(shown) == len(messages)
        thread = Thread(thread_id, metadata)
        thread.messages = [sent.expected(one["id"]) for sent, one in zip(messages, shown, strict=True)]
        self.model.threads[thread_id] = thread
        return thread

    def _add_new_run(
        self, thread: Thread, made: PlainObject, assistant: PlainObject, tools: list[str] | None, metadata: Metadata
    ) -> None:
        now, chosen = self.model.now, assistant["tools"] if tools is None else tools
        assert made["thread_id"] == thread.id
        run = Run(made["id"], assistant["id"], metadata, chosen, created=now, queued=now)
        assert run.expected == {name: made[name] for name in run.expected}
        thread.runs.append(run)

    def _newest_message_id(self, thread_id: str) -> str:
        _, newest = self.clients.rest("GET", f"/threads/{thread_id}/messages?limit=1")
        return str(newest["data"][0]["id"])

    def _read(self, key: NodeKey, *, by_rest: bool, by_node: bool = False) -> PlainObject | None:
        kind = type(key).__name__.removesuffix("Key").lower()
        if not by_rest:
            return self.clients.get_by_graphql(kind, to_global_id(key), by_node=by_node)
        collections = ("assistants",) if kind == "assistant" else ("threads", f"{kind}s")
        path = "".join(f"/{collection}/{part}" for collection, part in zip(collections, key, strict=False))
        return self.clients.get_by_rest(kind, path)


def _pick(choices: list[ChoiceT], at: int) -> ChoiceT:
    return choices[at % len(choices)]


def test_emulator_and_gateway_agree_with_a_naive_model() -> None:
    with RestAndGraphQL() as clients:
        run_state_machine_as_test(
            functools.partial(Agreement, clients),  # type: ignore[arg-type]  # whatever makes a machine will do
            settings=settings(
                examples(25),
                stateful_step_count=50,
                derandomize=True,
                database=None,
                # A failure is shown as found: shrinking it over sockets would exceed the time limit of the test.
                phases=[Phase.generate],
            ),
        )
