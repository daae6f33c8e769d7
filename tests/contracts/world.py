"""The emulator's demo data as plain wire objects, read over HTTP without any of our code: what a port must show."""

from dataclasses import dataclass, field
from typing import Any, TypeVar

import aiohttp
import msgspec

from schema.contract.keys import AssistantKey, MessageFileKey, MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    RunObject,
    RunStepObject,
    ThreadObject,
)

ObjectT = TypeVar("ObjectT")
SEARCH_CONTENT = "&include[]=step_details.tool_calls[*].file_search.results[*].content"


@dataclass
class World:
    """Every object of the demo by its key, each list in its natural order."""

    threads: dict[ThreadKey, ThreadObject] = field(default_factory=dict)
    messages: dict[MessageKey, MessageObject] = field(default_factory=dict)
    runs: dict[RunKey, RunObject] = field(default_factory=dict)
    run_steps: dict[RunStepKey, RunStepObject] = field(default_factory=dict)
    assistants: dict[AssistantKey, AssistantObject] = field(default_factory=dict)
    message_files: dict[MessageFileKey, MessageFileObject] = field(default_factory=dict)

    @property
    def longest_thread(self) -> str:
        owners = [key.thread_id for key in self.messages]
        return max(self.threads, key=lambda key: owners.count(key.thread_id)).thread_id


@dataclass(frozen=True)
class _Walk:
    session: aiohttp.ClientSession
    base_url: str

    async def get(self, path: str, wire_type: type[ObjectT]) -> ObjectT:
        async with self.session.get(self.base_url + path) as response:
            assert response.status == 200, await response.text()
            return msgspec.json.decode(await response.read(), type=wire_type)

    async def all_of(self, path: str, wire_type: type[ObjectT], also: str = "") -> list[ObjectT]:
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            async with self.session.get(f"{self.base_url}{path}?limit=100&order=asc{also}{after}") as response:
                assert response.status == 200, await response.text()
                page = await response.json()
            found += page["data"]
            if not page["has_more"]:
                return [msgspec.json.decode(msgspec.json.encode(one), type=wire_type) for one in found]
            after = f"&after={page['last_id']}"


async def walk_world(base_url: str, thread_ids: list[str], credential: str, version: str) -> World:
    """Read everything that the given threads hold, and the assistants."""
    headers = {"Authorization": credential, "OpenAI-Beta": f"assistants={version}"}
    async with aiohttp.ClientSession(headers=headers) as session:
        walk = _Walk(session, base_url)
        world = World()
        for assistant in await walk.all_of("/assistants", AssistantObject):
            world.assistants[AssistantKey(assistant.id)] = assistant
        for thread_id in thread_ids:
            await _walk_thread(walk, world, thread_id, version)
    return world


async def _walk_thread(walk: _Walk, world: World, thread_id: str, version: str) -> None:
    one = f"/threads/{thread_id}"
    world.threads[ThreadKey(thread_id)] = await walk.get(one, ThreadObject)
    for message in await walk.all_of(f"{one}/messages", MessageObject):
        world.messages[MessageKey(thread_id, message.id)] = message
        if version == "v1" and message.file_ids:
            for file in await walk.all_of(f"{one}/messages/{message.id}/files", MessageFileObject):
                world.message_files[MessageFileKey(thread_id, message.id, file.id)] = file
    for run in await walk.all_of(f"{one}/runs", RunObject):
        world.runs[RunKey(thread_id, run.id)] = run
        for step in await walk.all_of(f"{one}/runs/{run.id}/steps", RunStepObject, SEARCH_CONTENT):
            world.run_steps[RunStepKey(thread_id, run.id, step.id)] = step
