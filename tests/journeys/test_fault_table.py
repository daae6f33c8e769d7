"""Tests each upstream fault as a frontend sees it, by reads and by writes through a real gateway.

The assertions: the error's code and whether it is retryable, the number of requests that the upstream received (at most
three for a read, exactly one for a write), and, by the emulator's own data, that a write took place once or not at all.
The time limit checks that nothing hangs, and `no_leaks` that no task is left.
"""

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway.emulator.clock import ManualClock
from gateway.upstream.rate_limit_pauses import MAX_PAUSE_SECONDS
from schema.contract.keys import RunKey, to_global_id
from tests.support.emulator import Emulator, running_emulator
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import assistant, thread_with_question, waiting_run
from tests.support.upstream_client import RecordedSleeps, replace_pauses

pytestmark = pytest.mark.timeout(20)

AMPLE_SECONDS = 15.0
SHORT_SECONDS = 0.2
UNCERTAIN = "The write may have taken place"


@dataclass(frozen=True)
class Fault:
    """A rule without its operation, and its effect while it lasts. Without a code, the response itself arrives."""

    rule: str
    code: str | None
    reads: int = 1
    read_retryable: bool = True
    retry_after_ms: int | None = None

    @property
    def is_refusal(self) -> bool:
        """Tell whether the upstream says that it did not do the work."""
        return self.code == "RATE_LIMITED"


FAULTS = {
    "latency within the deadline": Fault("latency=40ms", None),
    "latency beyond the deadline": Fault("latency=60s", "UPSTREAM_TIMEOUT"),
    "429": Fault("429", "RATE_LIMITED", reads=3),
    "429, a short wait": Fault("429:retry_after=1", "RATE_LIMITED", reads=3, retry_after_ms=1000),
    "429, a wait beyond the deadline": Fault("429:retry_after=60", "RATE_LIMITED", retry_after_ms=60_000),
    "500": Fault("500", "UPSTREAM_FAILED"),
    "502": Fault("502", "UPSTREAM_FAILED", reads=3),
    "503": Fault("503", "UPSTREAM_FAILED", reads=3),
    "503, a short wait": Fault("503:retry_after=1", "UPSTREAM_FAILED", reads=3, retry_after_ms=1000),
    "reset": Fault("reset", "UPSTREAM_UNREACHABLE", reads=3),
    "a body cut short": Fault("truncated", "UPSTREAM_INVALID_RESPONSE", reads=3),
    "a web page": Fault("html", "UPSTREAM_INVALID_RESPONSE", read_retryable=False),
    "a proxy's web page": Fault("html=502", "UPSTREAM_FAILED", reads=3),
}
SHORT = [
    "latency within the deadline", "latency beyond the deadline", "429, a short wait", "500", "reset", "a web page",
]  # fmt: skip
READS = {
    "getThread": "query ($id: ID!) { thread(id: $id) { metadata } }",
    "listMessages": "query ($id: ID!) { thread(id: $id) { messages { nodes { text } } } }",
}
WRITES = ("createThread", "createMessage", "createRun", "submitToolOuputsToRun")


class RealWaits(ManualClock):
    """A clock that stands still until a task waits; the wait takes real time."""

    async def sleep_until(self, when: float) -> None:
        await asyncio.sleep(when - self.now())
        self.advance(when - self.now())


@dataclass
class Upstream:
    """An emulator with faults on demand, and a gateway over it whose pauses take no time."""

    emulator: Emulator
    gateway: Gateway
    pauses: RecordedSleeps
    database: Path

    def misbehave(self, operation: str, fault: Fault, *options: str) -> None:
        """Begin a fault. A pause that the upstream asked for before is over by then."""
        self.pauses.advance(MAX_PAUSE_SECONDS)
        self.emulator.misbehave(":".join((operation, fault.rule, *options)))

    @property
    def requests(self) -> int:
        """Return the number of requests for the faulty operation, counted on arrival."""
        ((_, count),) = self.emulator.faults.rules_with_counts
        return count.seen


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> RecordedSleeps:
    """The pauses between retries of every gateway built from here on."""
    return replace_pauses(monkeypatch)


@asynccontextmanager
async def upstream_with(fault: Fault, pauses: RecordedSleeps, folder: Path) -> AsyncIterator[Upstream]:
    clock = RealWaits() if fault.code is None else ManualClock()
    database = folder / "emulator.sqlite"
    # Only a missing response waits for the deadline.
    seconds = SHORT_SECONDS if fault.code == "UPSTREAM_TIMEOUT" else AMPLE_SECONDS
    async with (
        running_emulator(clock=clock, database=str(database)) as emulator,
        running_gateway(emulator.url, upstream_timeout_seconds=seconds) as gateway,
    ):
        yield Upstream(emulator, gateway, pauses, database)


@pytest.mark.parametrize("read", long_except(READS, ["listMessages"]))
@pytest.mark.parametrize("name", long_except(FAULTS, SHORT))
async def test_a_read_meets_a_fault_that_lasts(pauses: RecordedSleeps, tmp_path: Path, name: str, read: str) -> None:
    fault = FAULTS[name]
    async with upstream_with(fault, pauses, tmp_path) as upstream:
        thread_id = await thread_with_question(upstream.emulator)
        for when in ("before", "after"):
            pauses.clear()
            upstream.misbehave(read, fault, f"when={when}")
            reply = await upstream.gateway.execute(READS[read], {"id": thread_id})
            assert (upstream.requests, len(pauses)) == (fault.reads, fault.reads - 1)
            if fault.code is None:
                assert "errors" not in reply
                continue
            (error,) = reply["errors"]
            assert (error["extensions"]["code"], error["extensions"]["retryable"]) == (fault.code, fault.read_retryable)
            assert error["extensions"].get("retryAfterMs") == fault.retry_after_ms
            assert UNCERTAIN not in error["message"]


@pytest.mark.parametrize("name", long_except(FAULTS, ["latency beyond the deadline", "429, a short wait", "reset"]))
async def test_a_read_meets_a_temporary_fault(pauses: RecordedSleeps, tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    async with upstream_with(fault, pauses, tmp_path) as upstream:
        thread_id = await thread_with_question(upstream.emulator)
        for read, query in READS.items():
            upstream.misbehave(read, fault, "first=1")
            reply = await upstream.gateway.execute(query, {"id": thread_id})
            is_retried = fault.reads > 1
            assert upstream.requests == (2 if is_retried else 1)
            assert ("errors" in reply) is (fault.code is not None and not is_retried)
        assert all(pause * 1000 >= (fault.retry_after_ms or 0) for pause in pauses)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("name", long_except(FAULTS, SHORT))
async def test_a_write_is_sent_once_despite_any_fault(
    pauses: RecordedSleeps, tmp_path: Path, name: str, when: str
) -> None:
    fault = FAULTS[name]
    async with upstream_with(fault, pauses, tmp_path) as upstream:
        for write in WRITES:
            mutation, variables, about = await prepared(upstream.emulator, write)
            was = await written(upstream, write, about)
            upstream.misbehave(write, fault, f"when={when}")
            reply = await upstream.gateway.execute(mutation, variables)
            assert upstream.requests == 1
            upstream.emulator.misbehave("")
            took_place = fault.code is None or when == "after"
            assert await written(upstream, write, about) - was == int(took_place)
            if fault.code is None:
                assert "errors" not in reply
                continue
            (error,) = reply["errors"]
            assert (error["extensions"]["code"], error["extensions"]["retryable"]) == (fault.code, fault.is_refusal)
            assert (UNCERTAIN in error["message"]) is not fault.is_refusal
            # A caller that must not send it again gets no delay.
            assert error["extensions"].get("retryAfterMs") == (fault.retry_after_ms if fault.is_refusal else None)
        assert pauses == []


@pytest.mark.parametrize("name", long_except((name for name in FAULTS if FAULTS[name].code), ["500", "a web page"]))
async def test_one_faulty_part_leaves_its_siblings(pauses: RecordedSleeps, tmp_path: Path, name: str) -> None:
    fault = FAULTS[name]
    async with upstream_with(fault, pauses, tmp_path) as upstream:
        thread_id = await thread_with_question(upstream.emulator)
        upstream.misbehave("listRuns", fault)
        reply = await upstream.gateway.execute(
            "query ($id: ID!) { thread(id: $id) { upstreamId createdAt messages { nodes { text } } "
            "runs { nodes { id } } } }",
            {"id": thread_id},
        )
        thread = reply["data"]["thread"]
        assert (thread["upstreamId"], thread["runs"]) == (thread_id, None)
        assert thread["messages"] == {"nodes": [{"text": "What is the weather?"}]}
        (error,) = reply["errors"]
        assert (error["path"], error["extensions"]["code"]) == (["thread", "runs"], fault.code)


async def test_after_a_lost_response_the_caller_finds_the_write(pauses: RecordedSleeps, tmp_path: Path) -> None:
    fault = FAULTS["reset"]
    async with upstream_with(fault, pauses, tmp_path) as upstream:
        mutation, variables, about = await prepared(upstream.emulator, "createMessage")
        upstream.misbehave("createMessage", fault, "when=after", "first=1")
        assert "errors" in await upstream.gateway.execute(mutation, variables)
        found = await upstream.gateway.data(READS["listMessages"], {"id": about.thread_id})
        texts = [node["text"] for node in found["thread"]["messages"]["nodes"]]
        assert texts == ["What is the weather?", "In Celsius."]


async def prepared(emulator: Emulator, write: str) -> tuple[str, dict[str, Any], RunKey]:
    """Return a mutation that makes the gateway send this write, its variables, and its thread and run."""
    if write == "submitToolOuputsToRun":
        about, call_id = await waiting_run(emulator)
        outputs = [{"callId": call_id, "output": "22 °C"}]
        return _mutation("submitToolOutputs"), {"input": {"runId": to_global_id(about), "toolOutputs": outputs}}, about
    about = RunKey(await thread_with_question(emulator), "")
    values: dict[str, Any] = {"threadId": about.thread_id}
    if write == "createThread":
        values = {"messages": [{"content": [{"text": "Hello"}]}]}
    elif write == "createMessage":
        values["content"] = [{"text": "In Celsius."}]
    else:
        values["assistantId"] = await assistant(emulator)
    return _mutation(write), {"input": values}, about


async def written(upstream: Upstream, write: str, about: RunKey) -> int:
    """Return how often the write took place: by REST reads, or by the database for threads, which REST cannot list."""
    get, thread = upstream.emulator.get, f"/threads/{about.thread_id}"
    if write == "createThread":
        with closing(sqlite3.connect(upstream.database)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM objects WHERE kind = 'Thread'").fetchone()
            return int(count)
    if write == "createMessage":
        return len((await get(f"{thread}/messages"))["data"])
    if write == "createRun":
        return len((await get(f"{thread}/runs"))["data"])
    steps = (await get(f"{thread}/runs/{about.run_id}/steps"))["data"]
    calls = itertools.chain.from_iterable(step["step_details"]["tool_calls"] for step in steps)
    return sum(call["function"]["output"] is not None for call in calls)


def _mutation(name: str) -> str:
    type_name = name[0].upper() + name[1:]
    return f"mutation ($input: {type_name}Input!) {{ {name}(input: $input) {{ userErrors {{ code }} }} }}"
