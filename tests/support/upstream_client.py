"""Helpers for a client of a scripted upstream: its principal, sleeps that take no time, and its failures."""

import asyncio
import functools
import json
from collections.abc import Callable
from typing import TypeAlias

import pytest

from gateway import compose
from gateway.compose_upstream import make_upstream_client
from gateway.upstream.threads_api_client import UpstreamClient
from schema.contract.bodies import RunBody
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import ThreadKey
from schema.contract.kinds import THREADS
from schema.contract.ports import ThreadsApi
from schema.contract.run_streams import RunStream, StreamEvent
from schema.contract.wire import RunObject
from schema.contract.writes import CREATE_RUN

CREDENTIAL = "Bearer key-of-somebody"
T1 = ThreadKey("thread_1")
WHOLE = {"id": "thread_1", "object": "thread", "created_at": 1}
RUN_OBJECT = {"id": "run_1", "object": "thread.run", "created_at": 1, "thread_id": "thread_1"}
LAST_EVENT = b"event: done\ndata: [DONE]\n\n"

ClientMaker: TypeAlias = Callable[..., UpstreamClient]


class RecordedSleeps(list[float]):
    """Replaces sleeping and the monotonic clock: records the seconds, takes no time, and advances `now`."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)
        self.advance(seconds)

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += seconds


def replace_pauses(monkeypatch: pytest.MonkeyPatch) -> RecordedSleeps:
    """Let the upstream client of every gateway built from here on take no time for its pauses."""
    pauses = RecordedSleeps()
    make_client = functools.partial(make_upstream_client, sleep=pauses, monotonic_seconds=pauses.now)
    monkeypatch.setattr(compose, "make_upstream_client", make_client)
    return pauses


async def read_failure(api: ThreadsApi) -> GatewayError:
    """Read `T1` and return the error."""
    (got,) = await api.get(THREADS, [T1])
    assert isinstance(got, GatewayError)
    return got


def run_event(status: str) -> bytes:
    """Return `RUN_OBJECT` with this status, as an event of its stream."""
    return b"data: " + json.dumps(RUN_OBJECT | {"status": status}).encode() + b"\n\n"


async def create_run(api: ThreadsApi) -> RunObject:
    return await api.write(CREATE_RUN, T1, RunBody(assistant_id="asst_1", model=None))


class StreamRecorder:
    """Stands for the run log: returns the run once its stream holds it, and reads the stream to its end in any case."""

    def __init__(self) -> None:
        self.streams: list[RunStream] = []
        self.events: list[StreamEvent] = []
        self.failure: GatewayError | None = None
        self._read_tasks: list[asyncio.Task[None]] = []

    async def __call__(self, stream: RunStream) -> RunObject:
        self.streams.append(stream)
        first_run: asyncio.Future[RunObject] = asyncio.get_running_loop().create_future()
        self._read_tasks.append(asyncio.create_task(self._read(stream, first_run)))
        return await asyncio.shield(first_run)

    async def finished(self) -> None:
        async with asyncio.timeout(20):
            await asyncio.gather(*self._read_tasks)

    async def _read(self, stream: RunStream, first_run: asyncio.Future[RunObject]) -> None:
        error = GatewayError(ErrorCode.UPSTREAM_INVALID_RESPONSE, "Expected a run, got none.")
        try:
            while events := await stream.read_events():
                self.events += events
                runs = [event.wire for event in events if isinstance(event.wire, RunObject)]
                if runs and not first_run.done():
                    first_run.set_result(runs[0])
        except GatewayError as stream_error:
            self.failure = error = stream_error
        finally:
            await stream.aclose()
        if not first_run.done():
            first_run.set_exception(error)
            first_run.exception()  # marks it as retrieved, since the caller may be gone
