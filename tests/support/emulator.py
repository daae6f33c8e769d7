"""The bundled emulator on a loopback socket, with a clock that a test moves."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.emulator.faults.fault_control import FAULTS
from gateway.emulator.faults.fault_rules import Faults
from gateway.emulator.faults.fault_text import parse_fault_rules
from gateway.emulator.http.api_endpoint import SERVICES
from gateway.emulator.http.partitions import partition_from_key
from gateway.emulator.http.request_counts import COUNTS, RequestCounts
from gateway.emulator.objects import UploadedFile
from gateway.emulator.state.store import Store
from gateway.server.app import listening

KEY = "test-key"
AUTHORIZATION = f"Bearer {KEY}"
# Files of `KEY` that exist from the start, so that tests can attach them.
FILES = tuple(
    f"file-{name}"
    for name in ("abc123", "def456", "handbook", "prices", "table", "cat", "notes", "1", "a", "b", "c", "d")
)


@dataclass
class Emulator:
    """A running emulator: its address, its request counts, its clock, and a small REST client with the key `KEY`."""

    root_url: str
    counts: RequestCounts
    clock: ManualClock
    faults: Faults
    session: aiohttp.ClientSession = field(repr=False)
    store: Store = field(repr=False)
    version: str = "v2"

    @property
    def url(self) -> str:
        """The base URL of its API."""
        return f"{self.root_url}/v1"

    def misbehave(self, rules: str) -> None:
        """Replace the fault rules by these, written as for `--emulator-faults`."""
        self.faults.replace(parse_fault_rules(rules))

    async def post(self, path: str, body: Mapping[str, Any] | None = None, **options: Any) -> Any:
        """Send a POST and return the response body.

        `path` starts after `/v1`. A status of 400 or more fails the test.
        """
        return await self.send("POST", path, json=dict(body or {}), **options)

    async def get(self, path: str, **options: Any) -> Any:
        return await self.send("GET", path, **options)

    async def delete(self, path: str, **options: Any) -> Any:
        return await self.send("DELETE", path, **options)

    async def send(self, method: str, path: str, *, key: str = KEY, version: str | None = None, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {key}", "OpenAI-Beta": f"assistants={version or self.version}"}
        async with self.session.request(method, self.url + path, headers=headers, **options) as response:
            answer = await response.json()
            assert response.status < 400, f"{method} {path}: {response.status} {answer}"
            return answer


@asynccontextmanager
async def running_emulator(
    *,
    seed_keys: tuple[str, ...] = (),
    keys: tuple[str, ...] = (),
    version: str = "v2",
    clock: ManualClock | None = None,
    database: str = ":memory:",
) -> AsyncIterator[Emulator]:
    clock = clock or ManualClock()
    app = create_app(database=database, clock=clock, seed_keys=seed_keys, keys=keys)
    store = app[SERVICES].store
    add_files(store, KEY, *FILES)
    async with listening(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        yield Emulator(url, app[COUNTS], clock, app[FAULTS], session, store, version)


def add_files(store: Store, key: str, *file_ids: str) -> None:
    """Store files with these ids, unless they exist."""
    partition = partition_from_key(key)
    with store.transaction():
        for file_id in file_ids:
            if store.files.get(partition, file_id) is None:
                name = f"{file_id.removeprefix('file-')}.md"
                file = UploadedFile(id=file_id, created_at=0, filename=name, purpose="assistants", size=5)
                store.store_file(partition, file, b"Hello")
