"""Attacks from behind: storms of upstream failures, callers whose calls hang, and credentials that are refused."""

import asyncio
import itertools
import json
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import aiohttp
from aiohttp import web

from gateway.server.app import listening
from schema.contract.keys import ThreadKey, to_global_id
from tests.attacks.arena import arena
from tests.attacks.attack import Target, error_codes

READS = "query ($ids: [ID!]!) { nodes(ids: $ids) { ... on Thread { createdAt } } }"
READ = {"query": "query ($id: ID!) { thread(id: $id) { createdAt } }"}
SLOW_SECONDS = 2.0
MAX_RECOVERY_SECONDS = 5.0
GOOD_REQUESTS = 400
FIRST_CALLS = 20
"""Calls at the beginning of a storm, which use up the budget of retries."""


class FaultyUpstream:
    """An upstream that answers as a row says, except the credential `good`, and counts its calls."""

    def __init__(self) -> None:
        self.url = ""
        self.fault: Fault | None = None
        self.calls: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        credential = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if request.path != "/":
            self.calls[credential] += 1
        thread = {"id": request.path.rpartition("/")[2], "object": "thread", "created_at": 1}
        if self.fault is None or credential == "good" or not credential:
            return web.json_response(thread)
        return await self.fault.respond(request, json.dumps(thread).encode())

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["FaultyUpstream"]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        async with listening(app, "127.0.0.1", 0) as url:
            self.url = f"{url}/v1"
            yield self


@dataclass(frozen=True)
class Fault:
    """A faulty response: its status, headers and body, after a delay. A cut one lacks its last bytes."""

    status: int = 200
    retry_after: str = ""
    body: bytes | None = None
    is_cut: bool = False
    delay_seconds: float = 0.0

    async def respond(self, request: web.Request, whole: bytes) -> web.StreamResponse:
        await asyncio.sleep(self.delay_seconds)
        headers = {"Content-Type": "application/json"} | ({"Retry-After": self.retry_after} if self.retry_after else {})
        body = whole if self.body is None else self.body
        if not self.is_cut:
            return web.Response(status=self.status, headers=headers, body=body)
        response = web.StreamResponse(status=self.status, headers=headers | {"Content-Length": str(len(body) + 1)})
        await response.prepare(request)
        await response.write(body)
        if request.transport is not None:
            request.transport.abort()
        return response


@dataclass(frozen=True)
class StormAttack:
    """A number of callers who read through a failing upstream, first all at once, then one call after the other."""

    name: str
    fault: Fault
    callers: int
    upstream: ClassVar[FaultyUpstream]

    async def play(self, target: Target) -> None:
        self.upstream.fault = self.fault
        self.upstream.calls.clear()
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            # At once, so that the budget of retries is used up, and what follows is what goes on.
            started = time.monotonic()
            await asyncio.gather(*(self._send(session, target, "caller-0") for _ in range(FIRST_CALLS)))
            first = self.upstream.calls.total()
            target.ends_at += time.monotonic() - started
            await asyncio.gather(*(self._call(session, target, f"caller-{n}") for n in range(self.callers)))
            ratio = (self.upstream.calls.total() - first) / (target.rounds - FIRST_CALLS)
            self.upstream.fault = None
            recovery = await self._recovery_seconds(session, target.url)
        beginning = f"{first / FIRST_CALLS:.1f} upstream calls for each of the first {FIRST_CALLS}"
        target.note = f"{beginning}, then {ratio:.2f}; service again after {recovery:.2f} s"

    async def _call(self, session: aiohttp.ClientSession, target: Target, caller: str) -> None:
        while True:
            await self._send(session, target, caller)
            if target.is_over:
                break
            await asyncio.sleep(0.02)

    async def _send(self, session: aiohttp.ClientSession, target: Target, caller: str) -> None:
        answer = await read_thread(session, target.url, caller)
        target.rounds += 1
        target.bytes_out += len(answer)
        target.codes.update(error_codes(answer))

    async def _recovery_seconds(self, session: aiohttp.ClientSession, url: str) -> float:
        started = time.perf_counter()
        while b'"errors"' in await read_thread(session, url, "caller-0"):
            if time.perf_counter() - started > MAX_RECOVERY_SECONDS:  # a long pause was asked for
                break
            await asyncio.sleep(0.02)
        return time.perf_counter() - started


def fresh_ids(count: int) -> list[str]:
    """Return ids of threads that are in no cache."""
    return [to_global_id(ThreadKey(f"thread_{time.monotonic_ns()}{number}")) for number in range(count)]


async def read_thread(session: aiohttp.ClientSession, url: str, caller: str) -> bytes:
    """Read a thread that is in no cache."""
    body = {**READ, "variables": {"id": fresh_ids(1)[0]}}
    async with session.post(f"{url}/graphql", json=body, headers={"Authorization": f"Bearer {caller}"}) as response:
        return await response.read()


@dataclass(frozen=True)
class HangingAttack:
    """Callers whose upstream calls take long, beside a good one.

    The good one sends each request to the attacked gateway and to another one in turn, so that whatever else the
    machine does delays both. Its p95 here should be at most 1.5 times its p95 there.
    """

    name: str
    callers: int
    fault: Fault
    upstream: ClassVar[FaultyUpstream]

    async def play(self, target: Target) -> None:
        self.upstream.fault = self.fault
        async with AsyncExitStack() as stack:
            log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
            calm = await stack.enter_async_context(arena(self.upstream.url, target.thread_id, log))
            connector = aiohttp.TCPConnector(limit=0)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            await self._good_p95(session, [target.url, calm.url], 50)
            hanging = [
                asyncio.create_task(self._hang(session, target, f"hanging-{caller}"))
                for caller in range(self.callers)
                for _ in range(10)
            ]
            await asyncio.sleep(0.5)
            attacked, peaceful = await self._good_p95(session, [target.url, calm.url], GOOD_REQUESTS)
            async with session.get(f"{target.url}/readyz") as response:
                ready = response.status
            await asyncio.sleep(target.remaining_seconds)
            for task in hanging:
                task.cancel()
            await asyncio.gather(*hanging, return_exceptions=True)
        p95 = f"good p95 {1000 * attacked:.1f} ms, elsewhere {1000 * peaceful:.1f}"
        target.note = f"{p95}: {attacked / peaceful:.2f} times; /readyz {ready}"

    async def _good_p95(self, session: aiohttp.ClientSession, urls: Sequence[str], times: int) -> list[float]:
        seconds: list[list[float]] = [[] for _ in urls]
        for _ in range(times):
            for url, measured in zip(urls, seconds, strict=True):
                started = time.perf_counter()
                assert b'"errors"' not in await read_thread(session, url, "good")
                measured.append(time.perf_counter() - started)
        return [statistics.quantiles(measured, n=20)[-1] for measured in seconds]

    async def _hang(self, session: aiohttp.ClientSession, target: Target, caller: str) -> None:
        headers = {"Authorization": f"Bearer {caller}"}
        while True:
            target.rounds += 1
            body = {"query": READS, "variables": {"ids": fresh_ids(20)}}
            async with session.post(f"{target.url}/graphql", json=body, headers=headers) as response:
                await response.read()


@dataclass(frozen=True)
class CredentialAttack:
    """Requests with another invented credential each, from a few clients."""

    name: str
    fault: Fault | None
    length: int = 20
    query: str = "query ($id: ID!) { thread(id: $id) { createdAt } }"
    clients: int = 8
    upstream: ClassVar[FaultyUpstream]

    async def play(self, target: Target) -> None:
        self.upstream.fault = self.fault
        numbers = itertools.count()
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*(self._send(session, target, numbers) for _ in range(self.clients)))

    async def _send(self, session: aiohttp.ClientSession, target: Target, numbers: "itertools.count[int]") -> None:
        while not target.is_over:
            credential = f"invented-{next(numbers)}-".ljust(self.length, "x")
            answer = await read_thread(session, target.url, credential)
            target.rounds += 1
            target.bytes_in += len(credential)
            target.bytes_out += len(answer)
            target.codes.update(error_codes(answer))


FAULTS = {
    "429": Fault(429),
    "429 with Retry-After": Fault(429, retry_after="1"),
    "429 with a long Retry-After": Fault(429, retry_after="3600"),
    "502": Fault(502),
    "503": Fault(503),
    "504": Fault(504),
    "cut bodies": Fault(is_cut=True),
    "malformed bodies": Fault(body=b'{"id": '),
    "pages of HTML": Fault(502, body=b"<html>"),
}
STORMS = tuple(
    StormAttack(f"storm of {fault}, {callers} callers", FAULTS[fault], callers)
    for fault in FAULTS
    for callers in (1, 100)
)
HANGING = tuple(
    HangingAttack(f"{callers} {word} callers", callers, Fault(delay_seconds=seconds))
    for word, seconds in (("hanging", 600.0), ("slow", SLOW_SECONDS))
    for callers in (1, 2, 3, 4)
)
CREDENTIALS = (
    CredentialAttack("credentials that the upstream refuses", Fault(401)),
    CredentialAttack("credentials that the upstream accepts", None),
    CredentialAttack("credentials of 4 KB", Fault(401), length=4_000),
    CredentialAttack("credentials of 12 KB", Fault(401), length=12_000),
)
