"""The place of an attack: a real gateway over a real upstream, a victim beside it, and their measurements."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from tests.attacks.attack import ATTACKER_KEY, Attack, Target
from tests.bench.reads import processor_seconds
from tests.bench.subscribers import resident_bytes
from tests.support.gateway import ROOT, clean_environment, running_command, url_in

ATTACK_TIMEOUT_SECONDS = 120.0
SETTLE_SECONDS = 15.0
MEMORY_BACK = 1.2
"""The part of the memory before an attack at which it counts as given back."""

LIMITS = {
    "GATEWAY_PROFILE": "development",
    "GATEWAY_STALLED_CLIENT_SECONDS": "2",
    "GATEWAY_BODY_TIMEOUT_SECONDS": "2",
    "GATEWAY_SHUTDOWN_SECONDS": "0",
    "GATEWAY_LOG_LEVEL": "warning",
}
"""Deadlines of clients that are short, so that an attack of a few seconds meets them, and a schema to introspect."""

MESSAGES = 1_000
HEADERS = {"Authorization": f"Bearer {ATTACKER_KEY}", "OpenAI-Beta": "assistants=v2"}


@dataclass(frozen=True)
class Row:
    """The measurements of one attack."""

    name: str
    rounds: int
    bytes_in: int
    bytes_out: int
    processor_seconds: float
    victim_p99_ms: float
    victim_max_ms: float
    victim_failures: int
    mb_before: float
    mb_peak: float
    mb_after: float
    log_lines: int
    tracebacks: int
    codes: Sequence[str]
    note: str


@contextmanager
def running_emulator_process() -> Iterator[str]:
    with running_command("emulator", "--port", "0", GATEWAY_LOG_LEVEL="warning") as (_, printed):
        yield url_in(printed, "Base URL") + "/v1"


async def seed(upstream_url: str) -> str:
    """Create a thread of a thousand messages and an assistant with long instructions. Returns the thread's id."""
    async with aiohttp.ClientSession(headers=HEADERS) as session:

        async def create(path: str, body: dict[str, Any]) -> str:
            async with session.post(f"{upstream_url}{path}", json=body) as response:
                created = await response.json()
                assert response.status == 200, created
                created_id: str = created["id"]
                return created_id

        await create("/assistants", {"model": "m", "instructions": "x" * 250_000})
        thread_id = await create("/threads", {})
        for _ in range(MESSAGES // 20):
            body = {"role": "user", "content": "A message."}
            await asyncio.gather(*(create(f"/threads/{thread_id}/messages", body) for _ in range(20)))
        return thread_id


@contextmanager
def running_victim(url: str, *options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "tests.attacks.victim", url, *options]
    with subprocess.Popen(
        command, cwd=ROOT, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process


async def victim_report(victim: "subprocess.Popen[str]") -> dict[str, list[Any]]:
    """End a victim. Returns its sorted milliseconds and its failures."""
    output, _ = await asyncio.to_thread(victim.communicate, "")
    report = json.loads(output)
    return {"ms": sorted(1000 * seconds for seconds in report["seconds"]), "failures": report["failures"]}


def quantile(ordered: Sequence[float], part: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))] if ordered else 0.0


def reset_peak(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@dataclass
class Arena:
    """A gateway process, its log, and the id of a thread behind it."""

    url: str
    pid: int
    thread_id: str
    log: Path

    async def warm_up(self) -> None:
        """Send what an ordinary client sends, so that later growth is the attack's."""
        async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {ATTACKER_KEY}"}) as session:
            for number in range(30):
                for query in (
                    "{ __typename }",
                    f'{{ thread(id: "{self.thread_id}") {{ id }} }} # {number}',
                    "{ nothing }",
                ):
                    async with session.post(f"{self.url}/graphql", json={"query": query}) as response:
                        await response.read()

    async def measure(self, attack: Attack, seconds: float) -> Row:
        await self.warm_up()
        before, processor = resident_bytes(self.pid), processor_seconds(self.pid)
        log_before = self.log.read_text()
        reset_peak(self.pid)
        with running_victim(self.url) as victim:
            await asyncio.sleep(0.5)
            target = Target(self.url, self.thread_id, time.monotonic() + seconds)
            try:
                async with asyncio.timeout(ATTACK_TIMEOUT_SECONDS):
                    await attack.play(target)
            except (TimeoutError, aiohttp.ClientError, OSError) as error:
                target.note = f"{target.note} {type(error).__name__}".strip()
            used, peak = processor_seconds(self.pid) - processor, peak_bytes(self.pid)
            report = await victim_report(victim)
        after = await self.settled_bytes(before)
        log = self.log.read_text()[len(log_before) :]
        return Row(
            attack.name,
            target.rounds,
            target.bytes_in,
            target.bytes_out,
            used,
            quantile(report["ms"], 0.99),
            max(report["ms"], default=0.0),
            len(report["failures"]),
            before / 1e6,
            peak / 1e6,
            after / 1e6,
            log.count("\n"),
            log.count("Traceback"),
            sorted(target.codes),
            target.note,
        )

    async def settled_bytes(self, before: int) -> int:
        deadline = time.monotonic() + SETTLE_SECONDS
        while (now := resident_bytes(self.pid)) > MEMORY_BACK * before and time.monotonic() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        return now


@asynccontextmanager
async def arena(upstream_url: str, thread_id: str, log: Path, **variables: str) -> AsyncIterator[Arena]:
    """Run a fresh gateway over an upstream. `variables` are settings of its own."""
    async with AsyncExitStack() as stack:
        command = running_command("serve", "--port", "0", log=log, UPSTREAM_URL=upstream_url, **LIMITS, **variables)
        process, printed = await asyncio.to_thread(stack.enter_context, command)
        yield Arena(url_in(printed, "GraphQL"), process.pid, thread_id, log)
