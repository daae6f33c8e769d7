"""A plain model of the threads of one user: random writes through gateways, and what their records must say in the end.

What the upstream knows (messages, runs, tokens) is read there. The model remembers the rest: titles, archiving, and
which words were ever written.
"""

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from gateway.ledger.record_merging import to_first_words
from schema.contract.keys import MessageKey, RunKey, to_global_id
from tests.support.emulator import Emulator
from tests.support.gateway import Gateway
from tests.support.signed_in import UserClient
from tests.support.viewer_gateways import USAGE, USAGE_FIELDS, list_waiting, read_page

REFUSALS = {"LEDGER_UNAVAILABLE", "NOT_KEPT", "ACTIVE_RUN", "WRONG_STATE"}
"""What may be refused: while a database is away, or while a run goes on."""

TERMINAL = {"completed", "failed", "cancelled", "incomplete", "expired"}
WHOLE_THREAD = """query ($id: ID!) { thread(id: $id) { upstreamId createdAt
    messages(first: 100) { nodes { text } } runs(first: 100) { nodes { status usage { totalTokens } } } } }"""


@dataclass
class ModelThread:
    """A thread as its owner should see it. A title or an archiving whose write may have failed has two values."""

    id: str
    titles: set[str | None]
    archived: set[bool] = field(default_factory=lambda: {False})
    words: dict[str, str] = field(default_factory=dict)
    """The word of each user message that is there, by its upstream id."""
    is_deleted: bool = False


class RecordModel:
    """One user, who writes through any of the gateways that `clients` returns, one thing after another."""

    def __init__(
        self, name: str, emulator: Emulator, assistants: Sequence[str], clients: Callable[[], Sequence[Gateway]]
    ) -> None:
        self.name = name
        self.threads: list[ModelThread] = []
        self.gone_words: set[str] = set()
        self.outcomes: Counter[str] = Counter()
        self.may_be_unowned: set[str] = set()
        """The threads of whose owner only a gateway that died may have known."""
        self._emulator = emulator
        self._assistants = assistants
        self._clients = clients
        self._numbers = itertools.count()

    @property
    def present(self) -> list[ModelThread]:
        return [thread for thread in self.threads if not thread.is_deleted]

    def client(self, random: Random) -> UserClient:
        return UserClient(random.choice(self._clients()), self.name)

    async def act(self, random: Random, among: Sequence[ModelThread] | None = None) -> None:
        """Do one random thing, to one of these threads or a new one."""
        threads = self.present if among is None else [thread for thread in among if not thread.is_deleted]
        actions: list[tuple[int, Callable[[Random, ModelThread], Awaitable[None]]]] = [
            (6, self._create_message), (6, self._create_run), (4, self._answer_run), (4, self._rename),
            (3, self._archive), (3, self._delete_message), (1, self._delete_thread),
        ]  # fmt: skip
        if not threads or (len(self.present) < 12 and random.random() < 0.3):
            await self._create_thread(random)
            return
        (chosen,) = random.choices([do for _, do in actions], [weight for weight, _ in actions])
        await chosen(random, random.choice(threads))

    async def _create_thread(self, random: Random) -> None:
        title = self._word("title") if random.random() < 0.4 else None
        texts = [self._word("word") for _ in range(random.randint(0, 2))]
        made = await self._write(
            random,
            "createThread",
            "thread { upstreamId }",
            messages=[{"content": [{"text": f"{text} and more"}]} for text in texts],
            **({} if title is None else {"title": title}),
        )
        if made["thread"] is None:
            return
        thread = ModelThread(made["thread"]["upstreamId"], {title})
        if made["userErrors"]:
            thread.titles.add(None)
        listed = await self._emulator.get(f"/threads/{thread.id}/messages?limit=100&order=asc")
        thread.words = {message["id"]: text for message, text in zip(listed["data"], texts, strict=True)}
        self.threads.append(thread)

    async def _create_message(self, random: Random, thread: ModelThread) -> None:
        word = self._word("word")
        made = await self._write(
            random,
            "createMessage",
            "message { upstreamId }",
            threadId=thread.id,
            content=[{"text": f"{word} and more"}],
        )
        if made["message"] is not None:
            thread.words[made["message"]["upstreamId"]] = word

    async def _create_run(self, random: Random, thread: ModelThread) -> None:
        assistant_id = random.choice(self._assistants)
        await self._write(random, "createRun", "run { id }", threadId=thread.id, assistantId=assistant_id)
        self._emulator.clock.advance(random.choice([0.5, 2.0, 30.0]))

    async def _answer_run(self, random: Random, thread: ModelThread) -> None:
        runs = await self._runs(thread)
        waiting = [run for run in runs if run["status"] == "requires_action"]
        if not waiting:
            return
        run_id = to_global_id(RunKey(thread.id, waiting[0]["id"]))
        if random.random() < 0.3:
            await self._write(random, "cancelRun", "run { status }", runId=run_id)
        else:
            calls = waiting[0]["required_action"]["submit_tool_outputs"]["tool_calls"]
            outputs = [{"callId": call["id"], "output": "22"} for call in calls]
            await self._write(random, "submitToolOutputs", "run { status }", runId=run_id, toolOutputs=outputs)
        self._emulator.clock.advance(random.choice([0.5, 30.0]))

    async def _rename(self, random: Random, thread: ModelThread) -> None:
        title = random.choice([None, self._word("title"), self._word("title")])
        made = await self._write(random, "updateThread", "thread { id }", threadId=thread.id, title=title)
        thread.titles = {title} if not made["userErrors"] else thread.titles | {title}

    async def _archive(self, random: Random, thread: ModelThread) -> None:
        archived = random.random() < 0.6
        made = await self._write(random, "updateThread", "thread { id }", threadId=thread.id, isArchived=archived)
        thread.archived = {archived} if not made["userErrors"] else thread.archived | {archived}

    async def _delete_message(self, random: Random, thread: ModelThread) -> None:
        if not thread.words:
            return
        message_id = random.choice(sorted(thread.words))
        key = to_global_id(MessageKey(thread.id, message_id))
        made = await self._write(random, "deleteMessage", "deletedId", messageId=key)
        if made["deletedId"] is not None:
            self.gone_words.add(thread.words.pop(message_id))

    async def _delete_thread(self, random: Random, thread: ModelThread) -> None:
        made = await self._write(random, "deleteThread", "deletedId", threadId=thread.id)
        if made["deletedId"] is not None:
            thread.is_deleted = True
            self.gone_words.update(thread.words.values())

    async def _write(self, random: Random, name: str, fields: str, /, **values: Any) -> Any:
        payload = await _mutate(self.client(random), name, fields, values)
        codes = {error["code"] for error in payload["userErrors"]}
        assert codes <= REFUSALS, (name, values, payload)
        self.outcomes[f"{name} {' '.join(sorted(codes)) or 'done'}"] += 1
        return payload

    def _word(self, kind: str) -> str:
        return f"{kind}{self.name}{next(self._numbers)}x"

    async def _runs(self, thread: ModelThread) -> Sequence[Mapping[str, Any]]:
        runs: Sequence[Mapping[str, Any]] = (await self._emulator.get(f"/threads/{thread.id}/runs?limit=100"))["data"]
        return runs

    # ---- what is shown, and what should be

    async def drop_unowned(self, client: UserClient) -> None:
        """Forget the threads that are nobody's, since the one gateway that knew of their owner died before it told."""
        for thread in self.present:
            shown = (await client.data(WHOLE_THREAD, {"id": thread.id}))["thread"]
            if shown is None:
                assert thread.id in self.may_be_unowned, f"{thread.id} of {self.name} belongs to nobody"
                self.threads.remove(thread)
                self.gone_words.update(thread.words.values())

    async def read_all(self, client: UserClient) -> None:
        """Read all threads that are listed, so that those without a follower are seen."""
        listed = (await read_page(client, first=100, filter={}))["nodes"]
        for thread_id in {*(thread.id for thread in self.present), *(node["upstreamId"] for node in listed)}:
            await client.data(WHOLE_THREAD, {"id": thread_id})

    async def read_shown(self, client: UserClient) -> dict[str, Any]:
        """Return what a gateway shows of the list, the inbox and the sums."""
        threads, usage = await read_usage(client)
        return {"threads": threads, "waiting": sorted(await list_waiting(client)), "usage": usage}

    async def expires_soon(self, seconds: float) -> bool:
        """Return whether a run that waits will expire in this time, so that two clocks may not agree on it."""
        limit = self._emulator.clock.now() + seconds
        runs = [run for thread in self.present for run in await self._runs(thread)]
        return any(run["status"] == "requires_action" and run["expires_at"] <= limit for run in runs)

    async def read_truth(self) -> dict[str, Any]:
        """Return the same, as the upstream has it."""
        threads, waiting, ended = {}, [], []
        for thread in self.present:
            runs = await self._runs(thread)
            done = [run for run in runs if run["status"] in TERMINAL and run["usage"] is not None]
            threads[thread.id] = sum_upstream_usage(done)
            ended += done
            waiting += [run["id"] for run in runs if run["status"] == "requires_action"]
        return {"threads": threads, "waiting": sorted(waiting), "usage": sum_upstream_usage(ended)}

    async def check_titles(self, client: UserClient) -> None:
        """Check titles and archiving, and take the shown value where two writes left it open."""
        nodes = {node["upstreamId"]: node for node in (await read_page(client, first=100, filter={}))["nodes"]}
        for thread in self.present:
            listed = await self._emulator.get(f"/threads/{thread.id}/messages?limit=1&order=asc")
            first = next((part["text"]["value"] for one in listed["data"] for part in one["content"]), None)
            shown = nodes[thread.id]["title"]
            words = None if first is None else to_first_words(first)
            wanted = {words if title is None else title for title in thread.titles}
            assert shown in wanted, f"expected one of {wanted} as the title of {thread.id}, got {shown}"
            assert nodes[thread.id]["isArchived"] in thread.archived, thread

    async def check_search(self, client: UserClient, others: UserClient) -> None:
        """Check that each word finds its thread for its owner alone, and a deleted one only what quotes it."""
        texts = {thread.id: await self._read_texts(thread) for thread in self.present}
        for thread in self.present:
            for word in thread.words.values():
                assert await _search(client, word) == [thread.id], f"{word} of {thread}"
                assert await _search(others, word) == []
        for word in self.gone_words:
            quoted = {thread_id for thread_id, text in texts.items() if word in text}
            assert set(await _search(client, word)) == quoted, f"{word} was deleted"

    async def _read_texts(self, thread: ModelThread) -> str:
        """Read the texts of a thread from the upstream. An answer may quote a message that was deleted."""
        listed = await self._emulator.get(f"/threads/{thread.id}/messages?limit=100")
        return "\n".join(part["text"]["value"] for one in listed["data"] for part in one["content"])


async def _mutate(client: UserClient, name: str, fields: str, values: Mapping[str, Any]) -> Any:
    """Send one mutation and return its payload. One that failed as a whole has no object, and its errors."""
    type_name = name[0].upper() + name[1:]
    selected = f"{fields} userErrors {{ code message field }}"
    query = f"mutation ($input: {type_name}Input!) {{ {name}(input: $input) {{ {selected} }} }}"
    answer = await client.execute(query, {"input": values})
    if "errors" not in answer:
        return answer["data"][name]
    errors = [{"code": error["extensions"]["code"], "message": error["message"]} for error in answer["errors"]]
    return {"userErrors": errors, fields.partition(" ")[0]: None}


async def _search(client: UserClient, word: str) -> list[str]:
    conditions = await read_page(client, first=100, filter={"text": word})
    return [node["upstreamId"] for node in conditions["nodes"]]


async def read_usage(client: Gateway) -> tuple[dict[str, tuple[int, ...]], tuple[int, ...]]:
    """Return the tokens of each listed thread, and the sum of the viewer."""
    nodes = (await read_page(client, first=100, filter={}))["nodes"]
    usage = (await client.data(USAGE))["viewer"]["usage"]
    return {node["upstreamId"]: _numbers(node["usage"]) for node in nodes}, _numbers(usage)


def sum_upstream_usage(runs: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
    """Sum up the tokens of runs of the upstream, in the order of `USAGE_FIELDS`. Parts of none are 0."""
    usages = [run["usage"] for run in runs]
    return (
        sum(usage["prompt_tokens"] for usage in usages),
        sum(usage["completion_tokens"] for usage in usages),
        sum(usage["total_tokens"] for usage in usages),
        sum(usage["prompt_token_details"]["cached_tokens"] for usage in usages),
        sum(usage["completion_tokens_details"]["reasoning_tokens"] for usage in usages),
    )


def _numbers(usage: Mapping[str, int | None]) -> tuple[int, ...]:
    return tuple(usage[name] or 0 for name in USAGE_FIELDS.split())
