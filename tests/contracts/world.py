"""The demo data of the emulator as wire objects, read over HTTP without our code: what a port must return."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import msgspec

from schema.contract.keys import AssistantKey, FileKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.wire import (
    AssistantObject,
    FileObject,
    MessageFileObject,
    MessageObject,
    RunObject,
    RunStepObject,
    ThreadObject,
)

ObjectT = TypeVar("ObjectT")
FILE_SEARCH_CONTENT = "&include[]=step_details.tool_calls[*].file_search.results[*].content"


@dataclass
class World:
    """Every object of the demo by its key; each list is in its natural order."""

    threads: dict[ThreadKey, ThreadObject] = field(default_factory=dict)
    messages: dict[MessageKey, MessageObject] = field(default_factory=dict)
    runs: dict[RunKey, RunObject] = field(default_factory=dict)
    run_steps: dict[RunStepKey, RunStepObject] = field(default_factory=dict)
    assistants: dict[AssistantKey, AssistantObject] = field(default_factory=dict)
    message_files: dict[MessageFileKey, MessageFileObject] = field(default_factory=dict)
    files: dict[FileKey, FileObject] = field(default_factory=dict)

    @property
    def longest_thread(self) -> str:
        owners = [key.thread_id for key in self.messages]
        return max(self.threads, key=lambda key: owners.count(key.thread_id)).thread_id


@dataclass(frozen=True)
class _Reader:
    session: aiohttp.ClientSession
    base_url: str

    async def get(self, path: str, wire_type: type[ObjectT]) -> ObjectT:
        async with self.session.get(self.base_url + path) as response:
            assert response.status == 200, await response.text()
            return msgspec.json.decode(await response.read(), type=wire_type)

    async def get_all(self, path: str, wire_type: type[ObjectT], extra_query: str = "") -> list[ObjectT]:
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            async with self.session.get(f"{self.base_url}{path}?limit=100&order=asc{extra_query}{after}") as response:
                assert response.status == 200, await response.text()
                page = await response.json()
            found += page["data"]
            if not page["has_more"]:
                return [msgspec.json.decode(msgspec.json.encode(item), type=wire_type) for item in found]
            after = f"&after={page['last_id']}"


async def read_world(base_url: str, thread_ids: list[str], credential: str, version: str) -> World:
    """Read all objects of the threads in `thread_ids`, all assistants and all files."""
    headers = {"Authorization": credential, "OpenAI-Beta": f"assistants={version}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        reader = _Reader(session, base_url)
        world = World()
        for assistant in await reader.get_all("/assistants", AssistantObject):
            world.assistants[AssistantKey(assistant.id)] = assistant
        for file in await reader.get_all("/files", FileObject):
            world.files[FileKey(file.id)] = file
        for thread_id in thread_ids:
            await _read_thread(reader, world, thread_id, version)
    return world


async def _read_thread(reader: _Reader, world: World, thread_id: str, version: str) -> None:
    path = f"/threads/{thread_id}"
    world.threads[ThreadKey(thread_id)] = await reader.get(path, ThreadObject)
    for message in await reader.get_all(f"{path}/messages", MessageObject):
        world.messages[MessageKey(thread_id, message.id)] = message
        if version == "v1" and message.file_ids:
            for file in await reader.get_all(f"{path}/messages/{message.id}/files", MessageFileObject):
                world.message_files[MessageFileKey(thread_id, message.id, file.id)] = file
    for run in await reader.get_all(f"{path}/runs", RunObject):
        world.runs[RunKey(thread_id, run.id)] = run
        for step in await reader.get_all(f"{path}/runs/{run.id}/steps", RunStepObject, FILE_SEARCH_CONTENT):
            world.run_steps[RunStepKey(thread_id, run.id, step.id)] = step
