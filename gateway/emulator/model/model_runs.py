"""The runs and responses that a model answers: one task for each, which adds the model's answer piece by piece.

No event is scheduled: each piece becomes events with the time at which it came, so every reader sees the answer so far.
If the run is cancelled, deleted or expired meanwhile, the request to the model ends.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Final, Self, TypeVar

from aiohttp import web

from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.clock import Clock
from gateway.emulator.model import failures
from gateway.emulator.model.chunks import Chunk
from gateway.emulator.model.failures import ModelFailedError
from gateway.emulator.model.item_messages import chat_messages_from_items
from gateway.emulator.model.model_client import ModelClient, ModelOptions
from gateway.emulator.model.model_reply import ReplyWriter
from gateway.emulator.model.model_request import (
    chat_messages,
    chat_request,
    estimate_prompt_tokens,
    function_calls,
    remaining_tokens,
)
from gateway.emulator.objects import JsonObject, Message, Run
from gateway.emulator.runs.answer_texts import count_content_tokens
from gateway.emulator.runs.item_texts import count_item_tokens
from gateway.emulator.runs.lifecycle import early_end_events
from gateway.emulator.runs.progress import Progress
from gateway.emulator.runs.timeline_events import Event, RunEnded, RunStarted
from gateway.emulator.state.response_state import context_items
from gateway.emulator.state.run_timelines import append_events, apply_due_events, load_progress, load_run
from gateway.emulator.state.store import Store
from gateway.emulator.streams.open_streams import OpenStreams, PartitionedThreadKey

# A run reads only the newest messages, as a scripted one does. A run that asks for more of them gets more.
_DEFAULT_MESSAGES_READ = 100
_MAX_MESSAGES_READ = 1000
_AWAITING_MODEL = frozenset({"queued", "in_progress"})
_logger = logging.getLogger(__name__)
Result = TypeVar("Result")
_EventSource = Callable[[Progress], Iterable[Event]]


@dataclass(frozen=True, slots=True)
class _PartitionedRunKey:
    """The key of a run: its thread and its id."""

    thread: PartitionedThreadKey
    run_id: str


class ModelRuns:
    """The runs that wait for the model, each with its own task. Leaving the context cancels all tasks."""

    def __init__(self, store: Store, clock: Clock, streams: OpenStreams, options: ModelOptions) -> None:
        self._store = store
        self._clock = clock
        self._streams = streams
        self._options = options
        self._client = ModelClient(options)
        self._slots = asyncio.Semaphore(options.max_at_once)
        self._tasks: dict[asyncio.Task[None], _PartitionedRunKey] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self.wait_until_idle()
        await self._client.__aexit__(kind, error, traceback)

    def enqueue_run(self, partition: str, run: Run) -> None:
        """Ask the model about a queued run as soon as a slot is free. Fail the run if too many wait already."""
        key = _PartitionedRunKey(PartitionedThreadKey(partition, run.thread_id), run.id)
        if len(self._tasks) >= self._options.max_at_once + self._options.max_waiting:
            self._fail_run(key, failures.too_many_waiting())
            return
        task = asyncio.create_task(self._answer_run(key))
        self._tasks[task] = key
        task.add_done_callback(self._tasks.pop)

    def cancel_ended_runs(self, thread: PartitionedThreadKey) -> None:
        """Cancel the tasks of a thread's runs that no longer wait for an answer. Call this after each write to it."""
        for task, key in self._tasks.items():
            if key.thread == thread and self._waiting_run(key) is None:
                task.cancel()

    async def wait_until_idle(self) -> None:
        """Return once no run waits for the model."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
            # The callbacks that remove a task run after the code that awaited it.
            await asyncio.sleep(0)

    async def _answer_run(self, key: _PartitionedRunKey) -> None:
        async with self._slots:
            try:
                await self._run_model(key)
            except ModelFailedError as error:
                self._fail_run(key, error)
            except Exception:
                _logger.exception("expected an answer to run %s, got an exception", key.run_id)
                self._fail_run(key, failures.unexpected())

    async def _run_model(self, key: _PartitionedRunKey) -> None:
        if not self._append_events(key, lambda _: [RunStarted()]):
            return
        progress = self._load_progress(key)
        remaining = remaining_tokens(progress)
        if remaining is not None and remaining <= 0:
            self._append_events(
                key, lambda _: [RunEnded(status="incomplete", incomplete_reason="max_completion_tokens")]
            )
            return
        before, tokens_before = self._load_context(key, progress)
        used_ids = [call.id for call in function_calls(progress)]
        used_ids += [call["id"] for message in before for call in message.get("tool_calls", ())]
        writer = ReplyWriter(self._store.new_id, estimate_prompt_tokens(progress, tokens_before), used_ids)
        body: JsonObject = chat_request(progress, before, self._options.name)
        async with aclosing(self._client.stream_reply(body)) as pieces:
            while (chunks := await self._next_in_time(anext(pieces, None), progress.run.expires_at)) is not None:
                if not self._append_events(key, partial(_events_from_chunks, writer, chunks)):
                    return
                if writer.failure is not None:
                    raise writer.failure
        self._append_events(key, lambda _: writer.finish())

    async def _next_in_time(self, piece: Awaitable[Result], expires_at: float) -> Result:
        """Return the next piece, if it comes before the timeout and before the run expires.

        Raises:
            ModelFailedError: It does not come in time.
        """
        timeout_seconds = self._options.timeout_seconds
        waits = (
            asyncio.ensure_future(piece),
            asyncio.ensure_future(self._clock.sleep_until(min(self._clock.now() + timeout_seconds, expires_at))),
        )
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if waits[0].done():
                return waits[0].result()
            raise failures.too_slow(timeout_seconds)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    def _fail_run(self, key: _PartitionedRunKey, error: ModelFailedError) -> None:
        if self._append_events(key, lambda progress: early_end_events(progress, "failed", error.failure)):
            _logger.warning("run %s failed: %s", key.run_id, error)

    def _append_events(self, key: _PartitionedRunKey, make_events: _EventSource) -> bool:
        """Add events to a run that still waits for its answer.

        Returns:
            False if the run no longer waits.
        """
        partition, now = key.thread.partition, self._clock.now()
        with self._store.transaction():
            apply_due_events(self._store, partition, key.thread.thread_id, now)
            if self._waiting_run(key) is None:
                return False
            progress = self._load_progress(key)
            events = list(make_events(progress))
            if not events:
                return True
            append_events(self._store, partition, progress, events, now)
        self._streams.wake_streams(key.thread)
        return True

    def _waiting_run(self, key: _PartitionedRunKey) -> Run | None:
        run = load_run(self._store, key.thread.partition, key.run_id)
        return run if run is not None and run.status in _AWAITING_MODEL else None

    def _load_progress(self, key: _PartitionedRunKey) -> Progress:
        run = self._waiting_run(key)
        if run is None:
            message = f"expected run {key.run_id} to wait for its answer, got one that does not"
            raise ValueError(message)
        return load_progress(self._store, key.thread.partition, run)

    def _load_context(self, key: _PartitionedRunKey, progress: Progress) -> tuple[list[JsonObject], int]:
        """Return the messages before the run in the form of the request, and their estimated tokens."""
        response = self._store.responses.get(key.thread.partition, key.run_id)
        if response is not None:
            items = context_items(self._store, key.thread.partition, response)
            return chat_messages_from_items(items), sum(count_item_tokens(item) for item in items)
        messages = self._load_messages(key, progress)
        return chat_messages(messages), sum(count_content_tokens(message.content) for message in messages)

    def _load_messages(self, key: _PartitionedRunKey, progress: Progress) -> list[Message]:
        """Return the thread's messages that the run reads, without its own, oldest first."""
        limit = min(progress.run.truncation_strategy["last_messages"] or _DEFAULT_MESSAGES_READ, _MAX_MESSAGES_READ)
        query = ListQuery(limit=limit + len(progress.messages))
        newest, _ = self._store.messages.page(key.thread.partition, key.thread.thread_id, query)
        others = [message for message in newest if message.id not in progress.messages]
        return others[:limit][::-1]


def _events_from_chunks(writer: ReplyWriter, chunks: Iterable[Chunk], _: Progress) -> list[Event]:
    return [event for chunk in chunks for event in writer.add_chunk(chunk)]


def fail_interrupted_runs(store: Store, now: float) -> None:
    """Fail the runs that waited for a model when the emulator stopped. A second request could cost and call twice.

    Runs that wait for tool outputs are not affected.
    """
    for partition, thread_id, run_id in store.runs_in_flight():
        with store.transaction():
            apply_due_events(store, partition, thread_id, now)
            run = load_run(store, partition, run_id)
            if run is not None and run.asks_model and run.status in _AWAITING_MODEL:
                progress = load_progress(store, partition, run)
                events = early_end_events(progress, "failed", failures.restarted().failure)
                append_events(store, partition, progress, events, now)


MODEL_RUNS: Final = web.AppKey("MODEL_RUNS", ModelRuns)
