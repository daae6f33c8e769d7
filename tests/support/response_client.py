"""A client of an emulator's responses: starts them as the port of an operation does, and records their streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from gateway.ledger.memory_kept_records import make_memory_records
from gateway.run_log.run_state import RunState
from gateway.run_log.stream_diff import diff_stream_event
from gateway.upstream.call_sender import CallSender, UpstreamCall
from gateway.upstream.connection_pool import SendState, UpstreamPool
from gateway.upstream.responses.kept_records import ChainRecord, KeptRecords
from gateway.upstream.responses.response_wire import RESPONSE_DECODER, ResponseObject
from gateway.upstream.responses.streamed_responses import (
    ResponseStart,
    ResponseStreamOptions,
    ResponseStreams,
    open_replay,
    send_streamed_response,
)
from gateway.upstream.rest_requests import UpstreamRequest
from gateway.upstream.retry import CallFailure
from gateway.upstream.upstream_options import UpstreamOptions
from schema.contract.keys import RunKey
from schema.contract.run_events import Change, FaultChange, Provenance, TextDeltaChange
from schema.contract.run_streams import RunStream, StreamConsumer, StreamEvent
from schema.contract.wire import RunObject
from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.upstream_client import StreamRecorder

QUESTION = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "How is the weather?"}]}
WEATHER = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
TOKEN = "random-token"


class _WholeResponse:
    def read_result(self, key: object, body: bytes) -> ResponseObject:
        del key
        return RESPONSE_DECODER.decode(body)


@dataclass
class ResponseClient:
    """One process's client. `recorder` records what it starts."""

    emulator: Emulator
    pool: UpstreamPool
    streams: ResponseStreams
    sender: CallSender
    recorder: StreamRecorder = field(default_factory=StreamRecorder)

    @property
    def kept(self) -> KeptRecords:
        return self.streams.kept

    async def conversation(self) -> str:
        made = await self.emulator.post("/conversations")
        return str(made["id"])

    async def start(
        self, thread_id: str, *, record: StreamConsumer | None = None, **request: Any
    ) -> RunObject | CallFailure:
        """Start a response whose stream `recorder` records, or else `record`."""
        await self.kept.locks.acquire(thread_id, TOKEN, self.streams.options.lock_seconds)
        return await self.send(ResponseStart(thread_id, self.request(thread_id, **request), "asst_1", TOKEN), record)

    async def answer(self, chain: ChainRecord, answers: Mapping[str, str], **request: Any) -> RunObject | CallFailure:
        """Continue a chain with these outputs."""
        outputs = [
            {"type": "function_call_output", "call_id": call_id, "output": text} for call_id, text in answers.items()
        ]
        body = self.request(chain.thread_id, input=outputs, **request)
        earlier = tuple([await self.read(one) for one in chain.response_ids])
        start = ResponseStart(chain.thread_id, body, chain.assistant_id, chain.run_id, chain, earlier, answers)
        return await self.send(start)

    async def send(self, start: ResponseStart, record: StreamConsumer | None = None) -> RunObject | CallFailure:
        request = UpstreamRequest("createResponse", "/responses", method="POST")
        call: UpstreamCall[Any, ResponseObject] = UpstreamCall(_WholeResponse(), None, request, send_state=SendState())
        return await send_streamed_response(self.streams, self.sender, call, record or self.recorder, start)

    async def started(self, thread_id: str | None = None, **request: Any) -> RunObject:
        """Start a response in a new conversation, and return its run."""
        run = await self.start(thread_id or await self.conversation(), **request)
        assert isinstance(run, RunObject), run
        return run

    async def replay(self, key: RunKey, after: str | None = None) -> RunStream | None:
        return await open_replay(self.streams, self.sender, key, after)

    async def read(self, response_id: str) -> ResponseObject:
        return await read_response(self.emulator, response_id)

    async def chain(self, run_id: str) -> ChainRecord:
        return (await self.kept.chains.find_chains([run_id]))[run_id]

    def request(self, thread_id: str, **fields: Any) -> dict[str, Any]:
        body = {"model": "gpt-5-mini", "conversation": thread_id, "input": [QUESTION], "store": True}
        return {**body, "background": True, **fields}


async def read_response(emulator: Emulator, response_id: str) -> ResponseObject:
    async with emulator.session.get(
        f"{emulator.url}/responses/{response_id}", headers={"Authorization": AUTHORIZATION}
    ) as reply:
        return RESPONSE_DECODER.decode(await reply.read())


@asynccontextmanager
async def response_client(
    emulator: Emulator,
    kept: KeptRecords | None = None,
    *,
    lock_seconds: float = 30.0,
    expiry_seconds: float = 600.0,
    **options: Any,
) -> AsyncIterator[ResponseClient]:
    upstream = UpstreamOptions(emulator.url, "openai-responses", **options)
    async with UpstreamPool(upstream, sleep=_short_sleep, now_seconds=emulator.clock.now) as pool:
        records = kept or make_memory_records(emulator.clock.now)
        streams = ResponseStreams(pool, records, ResponseStreamOptions(lock_seconds, expiry_seconds))
        yield ResponseClient(emulator, pool, streams, CallSender(pool, AUTHORIZATION))
        await streams.aclose()
        assert pool.stream_slots._value == pool.options.max_streams


async def _short_sleep(_: float) -> None:
    await asyncio.sleep(0)


async def read_all(stream: RunStream) -> list[StreamEvent]:
    """Read a stream to its end, and close it."""
    events: list[StreamEvent] = []
    try:
        async with asyncio.timeout(20):
            while batch := await stream.read_events():
                events += batch
    finally:
        await stream.aclose()
    return events


def text_of(events: list[StreamEvent]) -> str:
    """Return the text that the pieces of a stream make up. Checks that no event of it is a fault."""
    state, changes = follow_events(events)
    assert not [change for change in changes if isinstance(change, FaultChange)]
    assert state.run is not None
    return "".join(change.value for change in changes if isinstance(change, TextDeltaChange))


def follow_events(events: list[StreamEvent]) -> tuple[RunState, list[Change]]:
    """Return the state to which the events of a stream lead, and its changes."""
    state, changes = RunState(), list[Change]()
    for event in events:
        for change in diff_stream_event(state, event):
            state.apply(change, Provenance.STREAMED)
            changes.append(change)
    return state, changes
