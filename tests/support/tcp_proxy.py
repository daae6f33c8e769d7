"""A TCP proxy before a server: it may swallow all bytes, or cut and refuse all connections, and come back."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


@dataclass
class TcpProxy:
    """A proxy on a loopback port. `connections` counts those that it has accepted.

    What waits while bytes are swallowed is passed on late, when they flow again, unless its connection was cut.
    """

    _connect: Connect
    port: int = 0
    connections: int = 0
    _flows: asyncio.Event = field(default_factory=asyncio.Event)
    _accepts: bool = True
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _fault: Callable[[], None] | None = None
    _chunks_before_fault: int = 0

    def arm(self, chunk: int, fault: Callable[[], None]) -> None:
        """Call `fault` in place of passing on one chunk of bytes: the one with this number, from 0, of either side."""
        self._chunks_before_fault, self._fault = chunk, fault

    def disarm(self) -> bool:
        """Cause no fault any more. Returns whether there was one."""
        fault, self._fault = self._fault, None
        return fault is None

    def swallow(self) -> None:
        """Take bytes of both sides from now on, and pass none on: neither side sees an end."""
        self._flows.clear()

    def cut(self) -> None:
        """Cut all connections, and close new ones at once."""
        self._accepts = False
        for writer in self._open:
            writer.transport.abort()

    def restore(self) -> None:
        """Pass bytes on again, and accept connections."""
        self._accepts = True
        self._flows.set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if not self._accepts:
            writer.transport.abort()
            return
        server_reader, server_writer = await self._connect()
        self._open |= {writer, server_writer}
        for source, target in ((reader, server_writer), (server_reader, writer)):
            task = asyncio.create_task(self._copy(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def aclose(self) -> None:
        for writer in self._open:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _count_chunk(self) -> None:
        if self._fault is not None:
            self._chunks_before_fault -= 1
            if self._chunks_before_fault < 0:
                fault, self._fault = self._fault, None
                fault()

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    self._count_chunk()
                    if not self._accepts:
                        break
                    await self._flows.wait()
                    target.write(data)
                    await target.drain()
        finally:
            target.transport.abort()


@asynccontextmanager
async def running_proxy(connect: Connect) -> AsyncIterator[TcpProxy]:
    """Run a proxy before what `connect` connects to."""
    proxy = TcpProxy(connect)
    proxy.restore()
    server = await asyncio.start_server(proxy.handle, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.aclose()
