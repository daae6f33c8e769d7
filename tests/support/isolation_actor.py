"""A user who does random things to their own threads, and tries to reach those of others, over two gateways."""

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from random import Random
from typing import Any

from schema.contract.errors import format_value
from schema.contract.keys import MessageKey, RunKey, ThreadKey, to_global_id
from schema.contract.paging import CursorScope
from tests.support.emulator_runs import RUN_EVENTS, THREAD_EVENTS
from tests.support.gateway import Gateway
from tests.support.graphql import Reply
from tests.support.isolation_files import FileActions
from tests.support.isolation_model import INSTRUCTIONS, OwnedThread, Subject, World, without_timing
from tests.support.signed_in import UNKNOWN
from tests.support.subscription_clients import LiveSocket, SubscriptionReader, open_socket, open_stream
from tests.support.thread_documents import MUTATIONS, READS, SUBSCRIPTIONS, mutation, variables_of

_ERRORS = "userErrors { code message field }"
_MADE = "thread { upstreamId metadata messages(first: 100) { nodes { upstreamId } } }"
CREATE_THREAD = f"mutation ($input: CreateThreadInput!) {{ createThread(input: $input) {{ {_MADE} {_ERRORS} }} }}"
CREATE_THREAD_AND_RUN = f"""mutation ($input: CreateThreadAndRunInput!) {{
    createThreadAndRun(input: $input) {{ run {{ upstreamId }} {_MADE} {_ERRORS} }} }}"""
UPDATE_THREAD = f"""mutation ($input: UpdateThreadInput!) {{
    updateThread(input: $input) {{ thread {{ metadata }} {_ERRORS} }} }}"""
DELETE_THREAD = f"mutation ($input: DeleteThreadInput!) {{ deleteThread(input: $input) {{ deletedId {_ERRORS} }} }}"
CREATE_MESSAGE = f"""mutation ($input: CreateMessageInput!) {{
    createMessage(input: $input) {{ message {{ upstreamId text }} {_ERRORS} }} }}"""
CREATE_RUN = f"""mutation ($input: CreateRunInput!) {{
    createRun(input: $input) {{ run {{ upstreamId instructions }} {_ERRORS} }} }}"""
SUBMIT = f"""mutation ($input: SubmitToolOutputsInput!) {{
    submitToolOutputs(input: $input) {{ run {{ status }} {_ERRORS} }} }}"""
WHOLE_THREAD = """query ($thread: ID!) { thread(id: $thread) {
    metadata
    messages(first: 100) { nodes { upstreamId role text metadata run { status } } edges { cursor } }
    runs(first: 100) { nodes { upstreamId status instructions assistant { name instructions metadata }
        steps { nodes { upstreamId } } } } } }"""
WAITING_CALLS = """query ($run: ID!) { run(id: $run) { status requiredAction { __typename
    ... on SubmitToolOutputsAction { toolCalls { callId } } } } }"""
PAGE = """query ($thread: ID!, $after: String, $run: ID) { thread(id: $thread) {
    messages(first: 5, after: $after, runId: $run) { nodes { upstreamId text } } } }"""
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id ... on Thread { metadata } ... on Message { text } } }"
THREADS = "query ($ids: [ID!]!) { threadsByIds(ids: $ids) { id metadata messages(last: 5) { nodes { text } } } }"
ASSISTANTS = "{ assistants { nodes { upstreamId name instructions metadata fileIds } } }"
SET_INSTRUCTIONS = f"""mutation ($input: UpdateAssistantInput!) {{
    updateAssistant(input: $input) {{ assistant {{ instructions }} {_ERRORS} }} }}"""

UNCOMPARED_HEADERS = frozenset({"Date", "X-Request-ID"})
BUSY = {"ACTIVE_RUN", "WRONG_STATE"}
"""Refusals that depend on how far a run is, which the model does not follow."""


class Actor:
    """One user, who does one thing after another. Ended by `aclose`."""

    def __init__(self, world: World, subject: Subject) -> None:
        self.world = world
        self.subject = subject
        self.readers: list[tuple[OwnedThread, SubscriptionReader]] = []
        self.random = Random()
        self.token = self.issue_token()
        self.files = FileActions(self)
        self._texts = 0
        self._socket: LiveSocket | None = None
        self._open = AsyncExitStack()

    def issue_token(self, subject: Subject | None = None) -> str:
        one = subject or self.subject
        claims: dict[str, Any] = {"realm_access": {"roles": ["admin"]}} if one.is_admin else {}
        return self.world.provider.issue_token(one.name, tenant=one.tenant, **claims)

    async def act(self, random: Random, steps: int = 1) -> None:
        """Do random things, the same ones for the same state of the world."""
        self.random, self.token = random, self.issue_token()
        for _ in range(steps):
            own, others = self.world.owned_by(self.subject), self._others()
            choices: list[tuple[int, Callable[[], Awaitable[None]]]] = [
                (1 if len(own) > 4 else 6, self.create_thread),
                (1 if len(own) > 4 else 4, self.create_thread_and_run),
                (2, self.read_assistants),
                (1, self.renew),
            ]
            if own:
                choices += [(2, self.update_thread), (4, self.create_message), (4, self.create_run)]
                choices += [(2, self.submit_outputs), (5, self.read_thread), (3, self.follow), (1, self.delete_thread)]
            if others and self.subject.is_admin:
                choices += [(6, self.read_anothers), (3, self.write_to_anothers)]
            elif others:
                choices += [(10, self.try_to_read), (8, self.try_to_write), (4, self.try_to_follow)]
            if own and others and not self.subject.is_admin:
                choices += [(3, self.try_mixed), (3, self.try_a_cursor), (3, self.try_ids_in_ones_own_thread)]
            choices += self.files.choices()
            (chosen,) = random.choices([do for _, do in choices], [weight for weight, _ in choices])
            self.world.outcomes[chosen.__name__] += 1
            await chosen()

    async def aclose(self) -> None:
        await self._open.aclose()

    # ---- one's own

    async def create_thread(self) -> None:
        text, metadata = self.make_text(), {"title": self.make_text()}
        values: dict[str, Any] = {"messages": [{"content": [{"text": text}]}], "metadata": metadata}
        made = await self._mutate(CREATE_THREAD, **values)
        assert made["thread"]["metadata"] == metadata
        self._add_thread(made, text, metadata)

    async def create_thread_and_run(self, question: str | None = None, assistant_id: str | None = None) -> None:
        text = question or self.make_text()
        thread = {"messages": [{"content": [{"text": text}]}]}
        assistant_id = assistant_id or self.random.choice(self.world.assistants)
        made = await self._mutate(CREATE_THREAD_AND_RUN, assistantId=assistant_id, thread=thread)
        self._add_thread(made, text, {}).runs.append(made["run"]["upstreamId"])

    async def update_thread(self) -> None:
        thread, metadata = self.choose_own_thread(), {"title": self.make_text()}
        async with thread.lock:
            made = await self._mutate(UPDATE_THREAD, threadId=thread.id, metadata=metadata)
            assert made["thread"]["metadata"] == metadata
            thread.metadata = metadata

    async def create_message(self, thread: OwnedThread | None = None, **more: Any) -> None:
        thread = thread or self.choose_own_thread()
        text = self.make_text(thread.owner)
        async with thread.lock:
            if thread.is_deleted:
                return
            values = {"threadId": thread.id, "content": [{"text": text}], **more}
            made = await self._mutate(CREATE_MESSAGE, owners=[thread.owner], may_be_busy=bool(thread.runs), **values)
            if made["message"] is not None:
                assert made["message"]["text"] == text
                thread.questions.append(text)
                thread.messages.append(made["message"]["upstreamId"])

    async def create_run(self) -> None:
        thread = self.choose_own_thread()
        values: dict[str, Any] = {"threadId": thread.id, "assistantId": self.random.choice(self.world.assistants)}
        async with thread.lock:
            made = await self._mutate(CREATE_RUN, may_be_busy=bool(thread.runs), **values)
            if made["run"] is not None:
                assert made["run"]["instructions"] == (INSTRUCTIONS if self.subject.is_admin else None)
                thread.runs.append(made["run"]["upstreamId"])

    async def submit_outputs(self) -> None:
        thread = self.choose_own_thread()
        if not thread.runs:
            return
        run_id = to_global_id(RunKey(thread.id, self.random.choice(thread.runs)))
        async with thread.lock:
            run = (await self.ask(WAITING_CALLS, {"run": run_id}))["run"]
            if run["status"] == "REQUIRES_ACTION":
                outputs = [
                    {"callId": call["callId"], "output": self.make_text()}
                    for call in run["requiredAction"]["toolCalls"]
                ]
                await self._mutate(SUBMIT, runId=run_id, toolOutputs=outputs)

    async def delete_thread(self) -> None:
        thread = self.choose_own_thread()
        async with thread.lock:
            await self._mutate(DELETE_THREAD, threadId=thread.id)
            thread.is_deleted = True
        assert await self.ask(WHOLE_THREAD, {"thread": thread.id}) == {"thread": None}

    async def read_thread(self, thread: OwnedThread | None = None, gateway: Gateway | None = None) -> None:
        """Read a whole thread, and compare it with the model."""
        thread = thread or self.choose_own_thread()
        async with thread.lock:
            data = await self.ask(WHOLE_THREAD, {"thread": thread.id}, [thread.owner], gateway)
            if thread.is_deleted:
                assert data == {"thread": None}
                return
            self._compare(thread, data["thread"])

    async def follow(self) -> None:
        thread = self.choose_own_thread()
        socket = await self._get_socket()
        query, variables = THREAD_EVENTS, {"thread": thread.id}
        if thread.runs and self.random.random() < 0.8:
            query, variables = RUN_EVENTS, {"run": to_global_id(RunKey(thread.id, self.random.choice(thread.runs)))}
        reader = await socket.subscribe(query, **variables)
        self.readers.append((thread, reader))
        if query == RUN_EVENTS:
            await reader.wait_for_event("RunSnapshot")
            thread.event_cursors.append(reader.cursor)

    async def read_assistants(self) -> None:
        nodes = (await self.ask(ASSISTANTS))["assistants"]["nodes"]
        assert [one["upstreamId"] for one in nodes] == list(self.world.assistants)
        seen = {(one["instructions"], len(one["metadata"])) for one in nodes}
        assert seen == ({(INSTRUCTIONS, 1)} if self.subject.is_admin else {(None, 0)})
        if not self.subject.is_admin:
            values = {"assistantId": self.world.assistants[0], "instructions": "Obey me."}
            answer = await self._execute(SET_INSTRUCTIONS, {"input": values}, is_refused=True)
            (error,) = answer.json["errors"]
            assert error["extensions"]["code"] == "FORBIDDEN"

    async def renew(self) -> None:
        """Renew the token of the socket, or offer another's, which closes it."""
        socket = await self._get_socket()
        another = self.random.choice([self.subject, self.subject, Subject(self.subject.number, "east")])
        await socket.send_ping({"Authorization": f"Bearer {self.issue_token(another)}"})
        if another is self.subject:
            await socket.wait_for_pong()
        else:
            assert await socket.wait_for_close() == 4403
            self._socket = None

    # ---- of an admin

    async def read_anothers(self) -> None:
        await self.read_thread(self.random.choice(self._others()))

    async def write_to_anothers(self) -> None:
        await self.create_message(self.random.choice(self._others()))

    # ---- what is another's

    async def ask_for_whole_thread(self, thread: OwnedThread, gateway: Gateway) -> None:
        """Send the very request by which its owner reads a thread."""
        if thread.owner == self.subject or self.subject.is_admin:
            await self.read_thread(thread, gateway)
            return
        answer = await self._execute(WHOLE_THREAD, {"thread": thread.id}, is_refused=True, gateway=gateway)
        assert answer.json == {"data": {"thread": None}}

    async def try_to_read(self) -> None:
        await self._compare_with_unknown(READS[self.random.choice(sorted(READS))])

    async def try_to_write(self) -> None:
        await self._compare_with_unknown(mutation(self.random.choice(sorted(MUTATIONS))))

    async def try_to_follow(self) -> None:
        """Follow another's run or thread, also behind a cursor of its log."""
        target = self.random.choice(self._others())
        ids, gateway = target.choose_ids(self.random), self.choose_gateway()
        cursor = self.random.choice([None, *target.known.event_cursors])
        query = RUN_EVENTS if cursor else SUBSCRIPTIONS[self.random.choice(sorted(SUBSCRIPTIONS))]
        ends = []
        for one in (ids, UNKNOWN):
            variables = variables_of(query, one)
            request_id = self.world.begin_request(self.subject, is_refused=True)
            options: dict[str, Any] = {"key": self.token, "last_event_id": cursor, "request_id": request_id}
            async with open_stream(gateway, query, **options, **variables) as reader:
                await reader.wait_for_end()
            assert (reader.events, reader.error_codes) == ([], ["NOT_FOUND"])
            self.world.record_shown(self.subject, [variables, cursor], json.dumps(reader.errors))
            ends.append(one.hide_in(reader.errors))
        assert ends[0] == ends[1]

    async def try_mixed(self) -> None:
        """Ask for one's own and another's at once."""
        own, query = self.choose_own_thread(), self.random.choice([NODES, THREADS])
        ids = self.random.choice(self._others()).choose_ids(self.random)
        answers = []
        async with own.lock:
            for one in (ids, UNKNOWN):
                listed = [to_global_id(ThreadKey(own.id)), one.global_ids["thread"]]
                if query == NODES:
                    listed += [one.global_ids["message"], to_global_id(MessageKey(own.id, one.message))]
                answer = await self._execute(query, {"ids": listed})
                answers.append(one.hide_in(without_timing(answer.json)))
        assert answers[0] == answers[1], answers

    async def try_a_cursor(self) -> None:
        """Page through one's own thread by another's cursor, or by one that is made from another's id."""
        own, target = self.choose_own_thread(), self.random.choice(self._others())
        made = CursorScope("messages", (own.id,)).to_cursor(target.choose_ids(self.random).message)
        cursor = self.random.choice([made, *target.known.cursors])
        answer = await self._execute(PAGE, {"thread": own.id, "after": cursor})
        assert answer.json["errors"], answer.json

    async def try_ids_in_ones_own_thread(self) -> None:
        """Ask for the messages of another's run in one's own thread."""
        own, ids = self.choose_own_thread(), self.random.choice(self._others()).choose_ids(self.random)
        answers = []
        by_global_id = self.random.random() < 0.5
        for one in (ids, UNKNOWN):
            run_id = one.global_ids["run"] if by_global_id else one.run
            answer = await self._execute(PAGE, {"thread": own.id, "run": run_id})
            # An error shows the beginning of what was given.
            text = json.dumps(without_timing(answer.json)).replace(json.dumps(format_value(run_id))[1:-1], "<given>")
            answers.append(one.hide_in(json.loads(text)))
        assert answers[0] == answers[1], answers

    async def _compare_with_unknown(self, document: str) -> None:
        ids, gateway = self.random.choice(self._others()).choose_ids(self.random), self.choose_gateway()
        reports_cost = self.random.random() < 0.5
        answers = []
        for one in self.random.sample([ids, UNKNOWN], 2):
            options: dict[str, Any] = {"reports_cost": reports_cost, "gateway": gateway}
            status, headers, answer = await self.send_refused(document, variables_of(document, one), **options)
            answers.append((status, headers, one.hide_in(answer)))
        assert answers[0] == answers[1], document

    async def send_refused(
        self, document: str, variables: Mapping[str, Any], *, reports_cost: bool, gateway: Gateway
    ) -> tuple[int, dict[str, str], Any]:
        """Send what must cause no upstream call. Returns all of the answer that may not differ."""
        options: dict[str, Any] = {"is_refused": True, "reports_cost": reports_cost, "gateway": gateway}
        answer = await self._execute(document, variables, **options)
        headers = {name: value for name, value in answer.headers.items() if name not in UNCOMPARED_HEADERS}
        return answer.status, headers, answer.json

    # ---- the ways

    def _compare(self, thread: OwnedThread, seen: Any) -> None:
        nodes = seen["messages"]["nodes"]
        assert seen["metadata"] == thread.metadata
        assert [node["text"] for node in nodes if node["role"] == "USER"] == thread.questions
        assert [node["upstreamId"] for node in nodes if node["role"] == "USER"] == thread.messages
        assert [node["upstreamId"] for node in seen["runs"]["nodes"]] == thread.runs
        thread.cursors = [edge["cursor"] for edge in seen["messages"]["edges"]]
        thread.steps = [step["upstreamId"] for run in seen["runs"]["nodes"] for step in run["steps"]["nodes"]]
        instructions = {run["instructions"] for run in seen["runs"]["nodes"]}
        assert instructions <= {INSTRUCTIONS if self.subject.is_admin else None}

    def _add_thread(self, made: Any, text: str, metadata: dict[str, str]) -> OwnedThread:
        messages = [node["upstreamId"] for node in made["thread"]["messages"]["nodes"]]
        thread = OwnedThread(made["thread"]["upstreamId"], self.subject, metadata, [text], messages)
        self.world.add_thread(thread)
        return thread

    async def _mutate(
        self, document: str, *, owners: Iterable[Subject] = (), may_be_busy: bool = False, **values: Any
    ) -> Any:
        (payload,) = (await self.ask(document, {"input": values}, owners)).values()
        codes = {error["code"] for error in payload["userErrors"]}
        assert codes <= (BUSY if may_be_busy else set()), (document, values, payload)
        return payload

    async def ask(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        owners: Iterable[Subject] = (),
        gateway: Gateway | None = None,
    ) -> Any:
        answer = await self._execute(document, variables, owners=owners, gateway=gateway)
        assert "errors" not in answer.json, (document, variables, answer.json)
        return answer.json["data"]

    async def _execute(
        self,
        document: str,
        variables: Mapping[str, Any] | None = None,
        *,
        owners: Iterable[Subject] = (),
        is_refused: bool = False,
        reports_cost: bool = False,
        gateway: Gateway | None = None,
    ) -> Reply:
        headers = self.begin_request(is_refused=is_refused) | ({"GraphQL-Cost": "1"} if reports_cost else {})
        body = {"query": document, "variables": variables}
        answer = await (gateway or self.choose_gateway()).post(body, headers=headers)
        shown = f"{dict(answer.headers)} {answer.body.decode()}"
        self.world.record_shown(self.subject, variables, shown, owners)
        return answer

    def begin_request(self, *, is_refused: bool = False) -> dict[str, str]:
        """Return the headers of a new request."""
        request_id = self.world.begin_request(self.subject, is_refused=is_refused)
        return {"Authorization": f"Bearer {self.token}", "X-Request-ID": request_id}

    async def _get_socket(self) -> LiveSocket:
        if self._socket is None or self._socket.is_closed:
            request_id = self.world.begin_request(self.subject, is_refused=False)
            opening = open_socket(self.choose_gateway(), key=self.token, request_id=request_id)
            self._socket = await self._open.enter_async_context(opening)
        return self._socket

    def choose_gateway(self) -> Gateway:
        return self.random.choice(self.world.gateways)

    def choose_own_thread(self) -> OwnedThread:
        return self.random.choice(self.world.owned_by(self.subject))

    def _others(self) -> Sequence[OwnedThread]:
        """Return the threads of others, those that were deleted among them."""
        return [thread for thread in self.world.threads if thread.owner != self.subject]

    def make_text(self, owner: Subject | None = None) -> str:
        self._texts += 1
        return f"Question {self._texts} of {(owner or self.subject).mark}"
