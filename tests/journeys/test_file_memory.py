"""A gateway as a process, through which many bytes of files pass at once: its memory does not grow with them.

Of ten clients half send and half load. Some are slow, some leave in the middle. The upstream stores nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.file_client import target
from tests.support.file_samples import BOUNDARY, PNG, form, part
from tests.support.file_upstream import PIECE, FileUpstream, file_upstream
from tests.support.full_runs import long_except
from tests.support.gateway import running_command, url_in
from tests.support.subscription_gateway import until

MIB = 1 << 20
MAX_GROWTH_BYTES = 50 * MIB
CLIENTS = 10
HEADERS = {"Authorization": "Bearer key", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def memory(process_id: int, field: str) -> int:
    """Return a field of the process's memory in bytes: `VmRSS` now, `VmHWM` at its peak."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


class Clients:
    """The clients of one gateway, and the address of a file that they load."""

    def __init__(self, url: str, session: aiohttp.ClientSession, size: int) -> None:
        self.url, self.session, self.size = url, session, size
        self.address = ""
        self.taken = 0

    async def warm_up(self) -> None:
        headers = {"Authorization": "Bearer key"}
        async with self.session.post(f"{self.url}/files", data=form(PNG), headers=headers) as response:
            self.address = self.url + target((await response.json())["contentUrl"])
            self.taken += 1

    async def send(self, *, is_slow: bool, leaves: bool) -> None:
        """Send a file. One who leaves breaks its connection off after half of it."""

        async def body() -> AsyncIterator[bytes]:
            yield f"--{BOUNDARY}\r\n".encode() + part("file", b"", "a.bin")
            for number in range(self.size // len(PIECE)):
                if leaves and number > self.size // len(PIECE) // 2:
                    raise ConnectionAbortedError
                yield PIECE
                await asyncio.sleep(0.01 if is_slow else 0)
            yield f"\r\n--{BOUNDARY}--\r\n".encode()

        try:
            async with self.session.post(f"{self.url}/files", data=body(), headers=HEADERS) as response:
                assert response.status == 201, await response.text()
                self.taken += 1
        except aiohttp.ClientError:
            assert leaves

    async def load(self, *, is_slow: bool, leaves: bool) -> None:
        """Load the file. One who leaves closes its connection after half of it."""
        received = 0
        async with self.session.get(self.address) as response:
            assert response.status == 200
            async for data in response.content.iter_any():
                received += len(data)
                if leaves and received > self.size // 2:
                    response.close()
                    return
                await asyncio.sleep(0.01 if is_slow else 0)
        assert received == self.size + len(PNG)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("total_mib", long_except([120, 1024], [120]))
async def test_the_memory_of_a_gateway_does_not_grow_with_the_files_that_pass(total_mib: int) -> None:
    size = total_mib * MIB // CLIENTS
    flags = ("--max-file-bytes", str(2 * size), "--port", "0")
    async with file_upstream() as upstream, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        with running_command("serve", *flags, UPSTREAM_URL=upstream.url) as (process, printed):
            clients = Clients(url_in(printed, "GraphQL"), session, size)
            await clients.warm_up()
            before = memory(process.pid, "VmRSS")
            upstream.content_bytes = size
            await asyncio.gather(
                *(clients.send(is_slow=number == 1, leaves=number == 2) for number in range(CLIENTS // 2)),
                *(clients.load(is_slow=number == 1, leaves=number == 2) for number in range(CLIENTS // 2)),
            )
            growth = memory(process.pid, "VmHWM") - before
            await until(lambda: all(upload.is_over.is_set() for upload in upstream.uploads))
    assert growth < MAX_GROWTH_BYTES, f"grew by {growth / MIB:.0f} MiB while {total_mib} MiB passed"
    assert_nothing_is_left(upstream, clients.taken)


def assert_nothing_is_left(upstream: FileUpstream, taken: int) -> None:
    """Each file that was taken is whole upstream, and of the others nothing is there."""
    assert taken == CLIENTS // 2  # the first one, and all but the one who left
    assert upstream.left_over == taken
    assert sum(not upload.is_complete for upload in upstream.uploads) == 1
