"""Starts responses whose streams the run log records, and opens the streams of those that run already.

A server that refuses a response in the background is asked once: from then on, responses run in the foreground.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from gateway.background_tasks import BackgroundTasks
from gateway.config import DEFAULTS
from gateway.upstream.call_sender import CallSender, UpstreamCall
from gateway.upstream.connection_pool import UpstreamPool
from gateway.upstream.responses.chain_keeping import ChainKeeper, KeepingOptions, NewResponse
from gateway.upstream.responses.followed_chain import FollowedChain, ResponseEventParser, parse_position
from gateway.upstream.responses.kept_records import ChainRecord, KeptRecords
from gateway.upstream.responses.response_calls import ResponseCalls
from gateway.upstream.responses.response_stream import ResponseRunStream
from gateway.upstream.responses.response_wire import ResponseObject
from gateway.upstream.responses.run_chains import conversation_id_of, items_of, message_from_item, run_from_chain
from gateway.upstream.responses.stream_translation import ResponseTranslator
from gateway.upstream.retry import CallFailure
from gateway.upstream.run_stream import UpstreamRunStream
from gateway.upstream.streamed_writes import open_stream, record_opened
from schema.contract.keys import RunKey
from schema.contract.run_streams import RunStream, StreamConsumer, StreamEvent
from schema.contract.statuses import is_terminal
from schema.contract.wire import RunObject

_UNDER_WAY = frozenset({"queued", "in_progress"})
_REFUSING_STATUSES = frozenset({400, 422, 501})


@dataclass(frozen=True, slots=True)
class ResponseStreamOptions:
    """How long a conversation's lease lasts without renewal, and how long a run may wait or be without news."""

    lock_seconds: float = DEFAULTS.gateway_run_lease_seconds
    expiry_seconds: float = DEFAULTS.gateway_run_expiry_seconds


@dataclass(frozen=True, slots=True)
class ResponseStart:
    """A response to start, for a new run or for one that goes on.

    Attributes:
        thread_id: The conversation.
        request: The body of `createResponse`. `background` says how it runs; `stream` is decided when it is sent.
        assistant_id: The assistant of the run.
        lock_holder: Who holds the lease on the conversation: a random name, or the run that goes on.
        chain: The chain that goes on. None for a new run.
        earlier: The responses of that chain, oldest first.
        answers: What the client submits with this response, by the id of its call.
    """

    thread_id: str
    request: Mapping[str, Any]
    assistant_id: str | None
    lock_holder: str
    chain: ChainRecord | None = None
    earlier: tuple[ResponseObject, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_background(self) -> bool:
        """Whether the response goes on without a reader."""
        return self.request.get("background") is True

    def followed_chain(self) -> FollowedChain:
        """Return what is known of the run, with all that was ever submitted in it."""
        answers = {**(self.chain.answers if self.chain else {}), **self.answers}
        return FollowedChain(
            self.thread_id,
            background=self.is_background,
            assistant_id=self.assistant_id,
            earlier=self.earlier,
            answers=answers,
        )

    def to_new_response(self, now_seconds: float) -> NewResponse:
        """Return what is kept of it. The ledger keeps no texts of messages, so the request has no input."""
        options = {name: value for name, value in self.request.items() if name != "input"}
        new_chain = ChainRecord(
            run_id="",
            thread_id=self.thread_id,
            created_at=int(now_seconds),
            assistant_id=self.assistant_id,
            response_ids=(),
            request=msgspec.json.encode(options),
        )
        return NewResponse(self.chain or new_chain, dict(self.answers), self.lock_holder)


class ResponseStreams:
    """The streams of all responses of one upstream. `aclose` ends what still writes to the ledger.

    `takes_background` is whether the upstream takes responses in the background, as far as it was asked.
    """

    def __init__(self, pool: UpstreamPool, kept: KeptRecords, options: ResponseStreamOptions | None = None) -> None:
        self.pool = pool
        self.kept = kept
        self.options = options or ResponseStreamOptions()
        self.takes_background = True
        self._tasks = BackgroundTasks()
        self._foreground: dict[str, ResponseRunStream] = {}

    async def cancel_foreground(self, run_id: str) -> bool:
        """Cancel a run in the foreground by closing its stream. Returns False if this process does not read it."""
        stream = self._foreground.get(run_id)
        if stream is not None:
            await stream.cancel()
        return stream is not None

    async def aclose(self) -> None:
        """End the tasks that write to the ledger."""
        await self._tasks.aclose()

    def new_keeper(
        self,
        thread_id: str,
        *,
        run_id: str | None = None,
        new: NewResponse | None = None,
        stream: ResponseRunStream | None = None,
    ) -> ChainKeeper:
        """Return the keeper of one run. A run in the foreground is cancelled by closing its stream."""
        options = KeepingOptions(
            self.options.lock_seconds, self.options.expiry_seconds, self.pool.now_seconds, asyncio.sleep
        )
        on_cancelling = None if stream is None or stream.is_background else stream.cancel
        return ChainKeeper(
            self.kept, thread_id, options, self._tasks, run_id=run_id, new=new, on_cancelling=on_cancelling
        )

    def new_stream(
        self,
        sender: CallSender,
        chain: FollowedChain,
        parser: ResponseEventParser,
        connection: RunStream | None,
        response_id: str | None = None,
    ) -> ResponseRunStream:
        """Return the stream of a chain, which makes its calls with this sender."""
        return ResponseRunStream(
            ResponseCalls(sender),
            chain,
            parser,
            connection,
            response_id=response_id,
            new_parser=lambda following: new_parser(sender, following),
            patience_seconds=self.options.expiry_seconds,
            sleep=self.pool.sleep,
        )

    def keep_stream(self, stream: ResponseRunStream, keeper: ChainKeeper) -> KeptResponseStream:
        """Return a stream that keeps what passes, and can be cancelled if it is in the foreground."""
        return KeptResponseStream(stream, keeper, self._foreground)


class KeptResponseStream:
    """A run's stream. What passes is kept before a reader gets it."""

    def __init__(
        self, stream: ResponseRunStream, keeper: ChainKeeper, foreground: dict[str, ResponseRunStream]
    ) -> None:
        self._stream = stream
        self._keeper = keeper
        self._foreground = foreground
        self._run_id: str | None = None

    @property
    def thread_id(self) -> str | None:
        return self._stream.thread_id

    async def read_events(self) -> list[StreamEvent]:
        """Return the next events, or an empty list at the end. Raises the error of the stream."""
        events = await self._stream.read_events()
        if self._run_id is None and not self._stream.is_background:
            self._run_id = next((event.wire.id for event in events if isinstance(event.wire, RunObject)), None)
            if self._run_id is not None:
                self._foreground[self._run_id] = self._stream
        stream = self._stream
        return await self._keeper.keep(events, stream.response_id, is_last=stream.is_last_response) if events else []

    async def aclose(self) -> None:
        if self._run_id is not None:
            self._foreground.pop(self._run_id, None)
        await self._stream.aclose()
        await self._keeper.aclose()


def new_parser(
    sender: CallSender, chain: FollowedChain, known: ResponseObject | None = None, after: int | None = None
) -> ResponseEventParser:
    """Return the parser of a response's events, from its beginning or behind a sequence number."""
    translator = ResponseTranslator(
        chain.earlier, chain.earlier_answers(), sender.credential, known=known, is_own_key=sender.is_own_key
    )
    if after is not None:
        translator.resume_after(after)
    return ResponseEventParser(translator, replayable=chain.background)


async def send_streamed_response(
    streams: ResponseStreams,
    sender: CallSender,
    call: UpstreamCall[Any, ResponseObject],
    record_stream: StreamConsumer | None,
    start: ResponseStart,
) -> RunObject | CallFailure:
    """Start a response, and pass its stream to `record_stream`. A refusal of the background is taken to heart once.

    Without a recorder or a free stream slot, no stream is asked for. The chain is kept, and the run holds the lease on
    its conversation, before the run is returned. After a failure, the lease is still that of `start.lock_holder`.

    Returns:
        The run as it begins, or the failure.
    """
    outcome = await _send(streams, sender, call, record_stream, start)
    if start.is_background and isinstance(outcome, CallFailure) and _refuses_background(outcome):
        in_foreground = replace(start, request={**start.request, "background": False})
        outcome = await _send(streams, sender, call, record_stream, in_foreground)
        streams.takes_background = isinstance(outcome, CallFailure)
    return outcome


async def open_replay(
    streams: ResponseStreams, sender: CallSender, key: RunKey, after: str | None
) -> KeptResponseStream | None:
    """Open the stream of a run that is under way, behind a place in it or from its beginning.

    The caller's own credential reads the responses first, so nobody follows what the upstream does not show them.

    Returns:
        None if the run cannot be followed by a stream: it is in the foreground, has no such place, or is over and no
        part of its stream is known. Or no stream slot is free.

    Raises:
        GatewayError: The upstream or the ledger failed.
    """
    chain = (await streams.kept.chains.find_chains([key.run_id])).get(key.run_id)
    ids = (key.run_id,) if chain is None else chain.response_ids
    place = (ids[0], None) if after is None else parse_position(after)
    if place is None or place[0] not in ids or streams.pool.stream_slots.locked():
        return None
    index, number = ids.index(place[0]), place[1]
    calls = ResponseCalls(sender)
    *earlier, known = [found.response for found in await asyncio.gather(*map(calls.read, ids[: index + 1]))]
    if not _is_of_run(key, chain, known) or not _goes_on_alone(chain, known):
        return None
    if after is None and len(ids) == 1 and is_terminal(run_from_chain([known]).status):
        return None
    followed = FollowedChain(
        key.thread_id,
        background=True,
        assistant_id=None if chain is None else chain.assistant_id,
        earlier=tuple(earlier),
        later=ids[index + 1 :],
        answers={} if chain is None else chain.answers,
    )
    parser = new_parser(sender, followed, known, number)
    stream = streams.new_stream(sender, followed, parser, None, known.id)
    await stream.open()
    keeper = streams.new_keeper(key.thread_id, run_id=key.run_id)
    if followed.later or known.status in _UNDER_WAY:
        await keeper.hold_lease()
    return streams.keep_stream(stream, keeper)


async def _send(
    streams: ResponseStreams,
    sender: CallSender,
    call: UpstreamCall[Any, ResponseObject],
    record_stream: StreamConsumer | None,
    start: ResponseStart,
) -> RunObject | CallFailure:
    chain = start.followed_chain()
    asks_for_stream = record_stream is not None and not streams.pool.stream_slots.locked()
    call.body = msgspec.json.encode({**start.request, "stream": asks_for_stream})
    new = start.to_new_response(streams.pool.now_seconds())
    if record_stream is None or not asks_for_stream:
        outcome = await sender.send_call(call)
        return await _keep_whole(streams, outcome, start, new)
    parser = new_parser(sender, chain)
    run_id = chain.earlier[0].id if chain.earlier else None
    opened = await open_stream(sender, call, thread_id=start.thread_id, run_id=run_id, parse=parser)
    if not isinstance(opened, UpstreamRunStream):
        return await _keep_whole(streams, opened, start, new)
    stream = streams.new_stream(sender, chain, parser, opened)
    keeper = streams.new_keeper(start.thread_id, new=new, stream=stream)
    return await record_opened(sender, call, streams.keep_stream(stream, keeper), record_stream)


async def _keep_whole(
    streams: ResponseStreams, outcome: ResponseObject | CallFailure, start: ResponseStart, new: NewResponse
) -> RunObject | CallFailure:
    """Keep a response that has no stream here, and return its run."""
    if isinstance(outcome, CallFailure):
        return outcome
    chain = start.followed_chain()
    run = chain.complete_run(run_from_chain([*chain.earlier, outcome], chain.earlier_answers()))
    keeper = streams.new_keeper(start.thread_id, new=new)
    await keeper.keep_run(run, outcome.id)
    messages = [
        message_from_item(item, outcome.created_at, run.id) for item, _ in items_of(outcome) if item.type == "message"
    ]
    await keeper.keep([StreamEvent(wire=message) for message in messages if message.id], None)
    await keeper.aclose()
    return run


def _refuses_background(failure: CallFailure) -> bool:
    error = failure.error
    said = f"{error.argument} {error.message}".lower()
    return failure.status in _REFUSING_STATUSES and "background" in said


def _is_of_run(key: RunKey, chain: ChainRecord | None, response: ResponseObject) -> bool:
    """Return whether a response belongs to the thread of a key. Some servers do not say it, but the ledger does."""
    named = conversation_id_of(response)
    if named is not None:
        return named == key.thread_id
    return chain is not None and chain.thread_id == key.thread_id


def _goes_on_alone(chain: ChainRecord | None, response: ResponseObject) -> bool:
    if response.background is not None or chain is None:
        return response.background is True
    request = msgspec.json.decode(chain.request)
    return isinstance(request, dict) and request.get("background") is True
