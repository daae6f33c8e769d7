"""The kinds of attack. Each is a row of data that plays itself against a target and counts its bytes."""

import asyncio
import contextlib
import itertools
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

ATTACKER_KEY = "attacker"
"""The credential of all attacks. The normal load beside them is another caller."""

THREAD = "THREAD"
"""Stands for the id of a long thread in the documents and variables of the rows."""


@dataclass
class Target:
    """A gateway under attack until a moment, the id of a thread behind it, and the counts of the attack."""

    url: str
    thread_id: str
    ends_at: float
    rounds: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    note: str = ""
    codes: set[str] = field(default_factory=set)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at

    @property
    def remaining_seconds(self) -> float:
        return max(0.0, self.ends_at - time.monotonic())


class Attack(Protocol):
    """One row of the corpus."""

    @property
    def name(self) -> str: ...

    async def play(self, target: Target) -> None:
        """Attack the target until its end."""


@dataclass(frozen=True)
class OperationAttack:
    """One operation, sent as fast as one client gets its responses. `code` is that of the expected error, if any.

    Each document is another one by its last comment, so that none is in a cache.
    """

    name: str
    query: str
    variables: Mapping[str, Any] | None = None
    code: str | None = None
    accept: str = "application/json"

    def body(self, thread_id: str, number: int = 0) -> bytes:
        """Encode the request with the id of a real thread."""
        query = self.query + f" # {number}" if number else self.query
        return json.dumps({"query": query, "variables": self.variables}).replace(THREAD, thread_id).encode()

    async def play(self, target: Target) -> None:
        headers = {
            "Authorization": f"Bearer {ATTACKER_KEY}",
            "Content-Type": "application/json",
            "Accept": self.accept,
        }
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            for number in itertools.count(1):
                body = self.body(target.thread_id, number)
                async with session.post(f"{target.url}/graphql", data=body) as response:
                    answer = await response.read()
                target.rounds += 1
                target.bytes_in += len(body)
                target.bytes_out += len(answer)
                target.codes.update(error_codes(answer))
                if target.is_over:
                    break


def error_codes(answer: bytes) -> list[str]:
    """Return the codes of the errors in a response of JSON."""
    with contextlib.suppress(ValueError):
        errors = json.loads(answer).get("errors") or []
        return [error.get("extensions", {}).get("code", "none") for error in errors]
    return ["no JSON"]


@dataclass(frozen=True)
class WireAttack:
    """Bytes on many connections at once.

    Each connection sends `opening`, waits until the gateway has sent `awaits`, sends `then`, and afterwards sends
    `drip` every `drip_seconds`. A connection that the gateway closes is opened again. With `reads` false, nothing is
    read after `awaits`.
    """

    name: str
    opening: bytes
    connections: int = 200
    awaits: bytes = b""
    then: bytes = b""
    drip: bytes = b""
    drip_seconds: float = 0.1
    reads: bool = True

    async def play(self, target: Target) -> None:
        tasks = [asyncio.create_task(self._hold(target)) for _ in range(self.connections)]
        await asyncio.sleep(target.remaining_seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self, target: Target) -> None:
        while not target.is_over:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._connect(target)
            await asyncio.sleep(0.05)

    async def _connect(self, target: Target) -> None:
        host, port = target.url.removeprefix("http://").split(":")
        client = socket.socket()
        client.setblocking(False)
        if not self.reads:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        target.rounds += 1
        await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=client, limit=1 << 16 if self.reads else 1 << 10)
        try:
            await self._send(target, writer, self.opening)
            if self.awaits:
                target.bytes_out += len(await reader.readuntil(self.awaits))
            await self._send(target, writer, self.then)
            dripping = asyncio.create_task(self._drip(target, writer))
            try:
                if self.reads:
                    while piece := await reader.read(1 << 16):
                        target.bytes_out += len(piece)
                else:
                    await dripping
            finally:
                dripping.cancel()
                await asyncio.gather(dripping, return_exceptions=True)
        finally:
            writer.transport.abort()

    async def _drip(self, target: Target, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            if self.drip:
                await self._send(target, writer, self.drip)
            await asyncio.sleep(self.drip_seconds)

    async def _send(self, target: Target, writer: asyncio.StreamWriter, data: bytes) -> None:
        if data:
            writer.write(data)
            target.bytes_in += len(data)
            await writer.drain()
