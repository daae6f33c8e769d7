"""Run logs of several processes without sockets: a manual clock, one shared log store, and scripted streams."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, TypeAlias

from gateway.emulator.clock import ManualClock
from gateway.run_log.hub import ChangeListeners, RunLogHub
from gateway.run_log.run_log_options import RunLogOptions
from gateway.run_log.store.event_log import (
    Draft,
    LogName,
    LogPosition,
    LogSlice,
    LogUnavailableError,
    StopListening,
    WriterLease,
)
from gateway.run_log.store.memory_log import MemoryLog
from schema.contract.errors import GatewayError
from schema.contract.keys import MessageKey, RunKey, RunStepKey, ThreadKey
from schema.contract.ports import EventFeed, RunEvents
from schema.contract.run_events import Change, MessageFinishedChange, RunEvent, SnapshotChange, StatusChange, StepChange
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import MessageObject, RunObject, RunStepObject
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import message, run, run_step, thread

SCOPE = "principal_1"
THREAD = ThreadKey("thread_1")
RUN = RunKey("thread_1", "run_1")

Batch: TypeAlias = Sequence[StreamEvent] | GatewayError


class ScriptedStream:
    """A stream that returns scripted batches. After the last one it is silent."""

    def __init__(self, *batches: Batch, thread_id: str | None = "thread_1") -> None:
        self.thread_id = thread_id
        self.is_closed = False
        self._batches: asyncio.Queue[Batch] = asyncio.Queue()
        for batch in batches:
            self.say(batch)

    def say(self, batch: Batch) -> None:
        self._batches.put_nowait(batch)

    def end(self) -> None:
        self.say(())

    async def read_events(self) -> list[StreamEvent]:
        batch = await self._batches.get()
        if isinstance(batch, GatewayError):
            raise batch
        return list(batch)

    async def aclose(self) -> None:
        self.is_closed = True


class FrailLog:
    """One process's access to the log. It can die with its process, or lose its connection to the store."""

    def __init__(self, inner: MemoryLog) -> None:
        self._inner = inner
        self.is_dead = False
        self.is_cut_off = False
        self.dies_before: int | None = None
        self.dies_after: int | None = None
        self.calls = 0

    def kill(self) -> None:
        """Let nothing more reach the store, not even the message that this process stops."""
        self.is_dead = True

    def lose_all(self) -> MemoryLog:
        """Replace the store by an empty one, and return it."""
        self._inner = MemoryLog()
        return self._inner

    def _check(self) -> None:
        if self.is_cut_off:
            raise LogUnavailableError

    async def _reach(self) -> None:
        self._check()
        self.calls += 1
        if self.is_dead or self.calls == self.dies_before:
            self.is_dead = True
            await asyncio.Event().wait()

    async def _come_back(self) -> None:
        if self.is_dead or (self.dies_after is not None and self.calls >= self.dies_after):
            self.is_dead = True
            await asyncio.Event().wait()

    async def read(self, name: LogName, after: LogPosition | None = None) -> LogSlice:
        await self._reach()
        return await self._inner.read(name, after)

    async def append(
        self,
        name: LogName,
        lease: WriterLease,
        drafts: Sequence[Draft],
        *,
        ends: bool = False,
        serial: int | None = None,
    ) -> None:
        await self._reach()
        await self._inner.append(name, lease, drafts, ends=ends, serial=serial)
        await self._come_back()

    async def publish(self, name: LogName, drafts: Sequence[Draft]) -> None:
        await self._reach()
        await self._inner.publish(name, drafts)
        await self._come_back()

    async def discard_scope(self, scope: str, names: Collection[LogName]) -> None:
        await self._reach()
        await self._inner.discard_scope(scope, names)

    async def discard(self, name: LogName, epoch: str) -> None:
        await self._reach()
        await self._inner.discard(name, epoch)

    async def acquire_lease(self, name: LogName, *, preempt: bool = False) -> WriterLease | None:
        await self._reach()
        lease = await self._inner.acquire_lease(name, preempt=preempt)
        await self._come_back()
        return lease

    async def renew_lease(self, name: LogName, lease: WriterLease) -> bool:
        await self._reach()
        return await self._inner.renew_lease(name, lease)

    async def release_lease(self, name: LogName, lease: WriterLease) -> None:
        self._check()
        if not self.is_dead:
            await self._inner.release_lease(name, lease)

    async def request_details(self, name: LogName) -> None:
        await self._reach()
        await self._inner.request_details(name)

    async def are_details_requested(self, name: LogName) -> bool:
        await self._reach()
        return await self._inner.are_details_requested(name)

    def listen(self, name: LogName, on_notification: Callable[[], None]) -> StopListening:
        return self._inner.listen(name, on_notification)

    async def close(self) -> None:
        pass


class Process:
    """One process: a hub with its own access to the log, for one principal."""

    def __init__(self, world: World, options: RunLogOptions | None = None) -> None:
        self.log = FrailLog(world.log)
        self.moved: list[RunKey | ThreadKey] = []
        self.hub = RunLogHub(
            self.log,
            options,
            now_seconds=world.clock.now,
            now=world.clock.now,
            sleep=world.sleep,
            listeners=ChangeListeners(on_change=self._on_moved),
        )
        self.events: RunEvents = self.hub.bind(SCOPE, lambda: world.api)

    async def kill(self) -> None:
        """End like a killed process, without telling other processes."""
        self.log.kill()
        await self.hub.close()

    async def _on_moved(self, scope: str, key: RunKey | ThreadKey) -> None:
        assert scope == SCOPE
        self.moved.append(key)


class World:
    """An upstream, a log store and a clock, for any number of processes."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.log = MemoryLog(now=self.clock.now, now_seconds=self.clock.now)
        self.api = FakeThreadsApi(threads={THREAD: thread()})
        self.processes: list[Process] = []

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep_until(self.clock.now() + seconds)

    def process(self, options: RunLogOptions | None = None) -> Process:
        process = Process(self, options)
        self.processes.append(process)
        return process

    async def pass_seconds(self, seconds: float, step: float = 0.05) -> None:
        """Advance the clock in small steps, and let all tasks run in each step."""
        await settle()
        passed = 0.0
        while passed < seconds - 1e-9:
            self.clock.advance(step)
            passed += step
            await settle()

    async def during(self, work: Awaitable[Any], seconds: float = 60.0) -> Any:
        """Advance the clock until some work is done."""
        task = asyncio.ensure_future(work)
        await settle()
        deadline = self.clock.now() + seconds
        while not task.done():
            assert self.clock.now() < deadline, "expected the work to be done by now"
            await self.pass_seconds(0.05)
        return await task

    # ---- objects of the upstream ----

    def put_run(self, status: str, **fields: object) -> RunObject:
        self.api.runs[RUN] = made = a_run(status, **fields)
        return made

    def put_step(self, made: RunStepObject) -> None:
        self.api.run_steps[RunStepKey(*RUN, made.id)] = made

    def put_message(self, made: MessageObject) -> None:
        self.api.messages[MessageKey("thread_1", made.id)] = made

    def polls(self, name: str = "get_runs") -> int:
        return sum(1 for called, _ in self.api.calls if called == name)

    async def close(self) -> None:
        for process in self.processes:
            await process.hub.close()
        await self.log.close()


async def settle() -> None:
    """Let all tasks run until they wait for the clock."""
    for _ in range(60):
        await asyncio.sleep(0)


# ---- objects and events ----


def a_run(status: str, **fields: object) -> RunObject:
    return run("run_1", status=status, thread_id="thread_1", **fields)


def a_step(id: str = "step_1", status: str = "in_progress", **fields: object) -> RunStepObject:
    details = {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
    return run_step(id, status=status, type="message_creation", **({"step_details": details} | fields))


def a_message(text: str = "", status: str | None = "in_progress", id: str = "msg_1", **fields: object) -> MessageObject:
    content = [{"type": "text", "text": {"value": text, "annotations": []}}] if text else []
    return message(id, **({"role": "assistant", "status": status, "run_id": "run_1", "content": content} | fields))


def said(wire: Any, name: str | None = None) -> StreamEvent:
    return StreamEvent(name, wire=wire)


def text_delta(value: str, id: str = "msg_1", index: int = 0) -> StreamEvent:
    content = [{"index": index, "type": "text", "text": {"value": value}}]
    return StreamEvent(
        "thread.message.delta", delta={"id": id, "object": "thread.message.delta", "delta": {"content": content}}
    )


DONE = StreamEvent("done", is_done=True)


def simple_run(*words: str, end: str = "completed") -> list[StreamEvent]:
    """Return the complete stream of a run that writes one message."""
    text = "".join(words)
    message_status = "completed" if end == "completed" else "incomplete"
    return [
        said(a_run("queued"), "thread.run.created"),
        said(a_run("in_progress"), "thread.run.in_progress"),
        said(a_step(), "thread.run.step.created"),
        said(a_message(), "thread.message.created"),
        *(text_delta(word) for word in words),
        said(a_message(text, message_status), "thread.message.completed"),
        said(a_step(status="completed" if end == "incomplete" else end), "thread.run.step.completed"),
        said(a_run(end), f"thread.run.{end}"),
        DONE,
    ]


async def take_all(feed: EventFeed) -> list[RunEvent]:
    """Read a feed to its end."""
    return [event async for event in _iterate(feed)]


async def _iterate(feed: EventFeed) -> Any:
    while True:
        try:
            yield await feed.__anext__()
        except StopAsyncIteration:
            return


def pending_events(feed: EventFeed) -> list[RunEvent]:
    """Read the events that are available."""
    taken = []
    try:
        while (event := feed.poll_event()) is not None:
            taken.append(event)
    except StopAsyncIteration:
        pass
    return taken


def kinds(events: Sequence[RunEvent]) -> list[str]:
    """Return a short name for each event."""
    return [kind(event.change) for event in events]


def kind(change: Change) -> str:
    match change:
        case StatusChange(run=changed):
            return changed.status
        case SnapshotChange(run=shown):
            return f"snapshot {shown.status}"
        case StepChange(step=step):
            return f"step {step.status}"
        case MessageFinishedChange():
            return "message finished"
        case _:
            return str(getattr(change, "code", None) or getattr(change, "value", None) or type(change).__name__)


def statuses(events: Sequence[RunEvent]) -> list[str]:
    return [event.change.run.status for event in events if isinstance(event.change, (StatusChange, SnapshotChange))]
