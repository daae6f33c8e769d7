"""The random things that a user does with their own files, and tries with those of others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from schema.contract.keys import AssistantKey, FileKey, ThreadKey, from_file_id, to_global_id
from tests.support.file_client import target
from tests.support.file_documents import DELETE_FILE, FILE_NAMERS, FILE_READS, naming_mutation
from tests.support.file_samples import form
from tests.support.graphql import Reply

if TYPE_CHECKING:
    from tests.support.isolation_actor import Actor
    from tests.support.isolation_model import OwnedThread, Subject

UNKNOWN_FILE = f"file-{'x' * 22}"
"""The id of no file, as long as those of the emulator."""

WHOLE_FILE = "query ($file: ID!) { file(id: $file) { upstreamId filename bytes contentUrl } }"
FILES_OF_THREAD = """query ($thread: ID!) { thread(id: $thread) { messages(last: 100) { nodes { content {
    ... on ImageFileContent { file { id filename contentUrl } }
    ... on TextContent { annotations { ... on FilePath { file { id filename contentUrl } } } } } } } } }"""
ADDRESS_REFUSALS = frozenset({403, 404, 410})
REQUEST = "Draw a chart and export a CSV file:"
"""The beginning of a question after which a run makes two files."""


@dataclass(eq=False)
class OwnedFile:
    """A file as its owner should see it: sent, with this content, or made by a run in a thread of theirs.

    `addresses` are those by which others try to reach it. Who deletes or reads it holds `lock`.
    """

    id: str
    owner: Subject
    filename: str
    content: bytes | None = None
    addresses: list[str] = field(default_factory=list)
    is_deleted: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def global_id(self) -> str:
        return to_global_id(FileKey(self.id))


class FileActions:
    """The actions of one user with files."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._world = actor.world

    def choices(self) -> list[tuple[int, Callable[[], Awaitable[None]]]]:
        """Return the actions that are possible now, each with its weight."""
        own, others = self._own(), self._others()
        has_thread = bool(self._world.owned_by(self._actor.subject))
        choices: list[tuple[int, Callable[[], Awaitable[None]]]] = [(2 if own else 5, self.send_file)]
        choices += [(3, self.let_a_run_make_files)]
        if own:
            choices += [(4, self.read_file), (1, self.delete_file)]
        if has_thread:
            choices += [(5, self.read_files_of_thread)]
        if own and has_thread:
            choices += [(3, self.name_file)]
        if others and self._actor.subject.is_admin:
            choices += [(4, self.read_anothers_file)]
        elif others:
            choices += [(8, self.try_to_read_a_file), (3, self.try_to_delete_a_file), (3, self.try_an_address)]
            choices += [(6, self.try_to_name_a_file)] if has_thread else []
        return choices

    # ---- one's own

    async def send_file(self) -> None:
        actor, text = self._actor, self._actor.make_text()
        filename, content = f"{text}.csv", f"place,count\n{text},5\nElsewhere,3\n".encode()
        headers = {**actor.begin_request(), "GraphQL-Require-Preflight": "1"}
        reply = await actor.choose_gateway().send("POST", "/files", data=form(content, filename), headers=headers)
        self._world.record_shown(actor.subject, filename, reply.body.decode())
        assert reply.status == 201, reply
        made = reply.json
        assert made["bytes"] == len(content)
        self._world.add_file(OwnedFile(made["upstreamId"], actor.subject, filename, content, [made["contentUrl"]]))

    async def let_a_run_make_files(self) -> None:
        analyst = self._world.assistants[-1]
        await self._actor.create_thread_and_run(f"{REQUEST} {self._actor.make_text()}", analyst)

    async def read_file(self, file: OwnedFile | None = None) -> None:
        """Read a file and its content, and compare both with the model."""
        file = file or self._choose(self._own())
        async with file.lock:
            data = await self._actor.ask(WHOLE_FILE, {"file": file.global_id}, [file.owner])
            if file.is_deleted:
                assert data == {"file": None}
                return
            found = data["file"]
            assert (found["upstreamId"], found["filename"]) == (file.id, file.filename)
            file.addresses.append(found["contentUrl"])
            reply = await self._get(found["contentUrl"], [file.owner])
            assert reply.status == 200, reply
            assert len(reply.body) == found["bytes"]
            assert file.content in {None, reply.body}

    async def delete_file(self) -> None:
        file = self._choose(self._own())
        async with file.lock:
            data = await self._actor.ask(DELETE_FILE, {"file": file.global_id})
            assert data["deleteFile"]["userErrors"] == []
            file.is_deleted = True
        assert await self._actor.ask(WHOLE_FILE, {"file": file.global_id}) == {"file": None}
        for address in file.addresses[-1:]:
            assert (await self._get(address)).status in ADDRESS_REFUSALS

    async def name_file(self) -> None:
        """Attach a file of one's own to a message in a thread of one's own."""
        file = self._choose(self._own())
        attached = [{"fileId": file.global_id, "tools": ["CODE_INTERPRETER"]}]
        async with file.lock:
            if not file.is_deleted:
                await self._actor.create_message(attachments=attached)

    async def read_files_of_thread(self) -> None:
        """Read a thread of one's own, whose owner has all files that runs made in it."""
        await self.find_made_files(self._actor.choose_own_thread())

    async def find_made_files(self, thread: OwnedThread) -> None:
        async with thread.lock:
            data = await self._actor.ask(FILES_OF_THREAD, {"thread": thread.id})
        for message in data["thread"]["messages"]["nodes"] if data["thread"] else ():
            parts = [part for content in message["content"] for part in (content, *content.get("annotations", ()))]
            for found in (part["file"] for part in parts if part.get("file")):
                assert found["contentUrl"], "what a run made is the owner's of the thread"
                self._world.add_file(OwnedFile(from_file_id(found["id"]), thread.owner, found["filename"]))

    # ---- of an admin

    async def read_anothers_file(self) -> None:
        await self.read_file(self._choose(self._others()))

    # ---- what is another's

    async def try_to_read_a_file(self) -> None:
        documents = [*FILE_READS.values(), WHOLE_FILE]
        await self._compare_with_unknown(self._choose(documents))

    async def try_to_delete_a_file(self) -> None:
        await self._compare_with_unknown(DELETE_FILE)

    async def try_to_name_a_file(self) -> None:
        await self._compare_with_unknown(naming_mutation(self._choose(sorted(FILE_NAMERS))))

    async def try_an_address(self) -> None:
        """Open another's file by an address that was made for another file, or was changed."""
        theirs = self._choose(self._others())
        own = [address for file in self._own() for address in file.addresses]
        (token,) = parse_qs(urlsplit(self._choose([*theirs.addresses, *own, "?token=none"])).query)["token"]
        changed = self._choose([token[::-1], token[:-2], f"{token}A"])
        (own_token,) = parse_qs(urlsplit(self._choose(own or ["?token=none"])).query)["token"]
        statuses = []
        for one in (theirs.id, UNKNOWN_FILE):
            for tried in (changed, own_token):
                reply = await self._get(f"http://gateway/files/{one}/content?token={tried}", is_refused=True)
                assert reply.status in ADDRESS_REFUSALS, reply
                statuses.append(reply.status)
        assert statuses[:2] == statuses[2:]

    async def _compare_with_unknown(self, document: str) -> None:
        actor, theirs = self._actor, self._choose(self._others())
        gateway, reports_cost = actor.choose_gateway(), self._choose([True, False])
        thread = actor.choose_own_thread() if "$thread" in document else None
        answers = []
        for one in actor.random.sample([theirs.id, UNKNOWN_FILE], 2):
            variables = {"file": to_global_id(FileKey(one))}
            if thread is not None:
                variables["thread"] = to_global_id(ThreadKey(thread.id))
            if "$assistant" in document:
                variables["assistant"] = to_global_id(AssistantKey(self._world.assistants[0]))
            answer = await actor.send_refused(document, variables, reports_cost=reports_cost, gateway=gateway)
            answers.append(hide_file(answer, one))
        assert answers[0] == answers[1], document

    async def _get(self, address: str, owners: Sequence[Subject] = (), *, is_refused: bool = False) -> Reply:
        """Load a content as an image does: without a credential."""
        headers = {"X-Request-ID": self._world.begin_request(self._actor.subject, is_refused=is_refused)}
        reply = await self._actor.choose_gateway().send("GET", target(address), headers=headers)
        shown = f"{dict(reply.headers)} {reply.body.decode('latin-1')}"
        self._world.record_shown(self._actor.subject, address, shown, owners)
        return reply

    def _own(self) -> list[OwnedFile]:
        return [file for file in self._world.files if file.owner == self._actor.subject and not file.is_deleted]

    def _others(self) -> list[OwnedFile]:
        """Return the files of others, those that were deleted among them."""
        return [file for file in self._world.files if file.owner != self._actor.subject]

    def _choose(self, among: Sequence[Any]) -> Any:
        return self._actor.random.choice(among)


def hide_file(answer: tuple[int, dict[str, str], Any], file_id: str) -> tuple[int, dict[str, str], str]:
    """Return an answer with a name in place of the file's ids."""
    status, headers, body = answer
    text = json.dumps(body).replace(to_global_id(FileKey(file_id)), "<global file>").replace(file_id, "<file>")
    return status, headers, text
