"""How a response's stream goes on after a break: what decides it, how often it is tried, and when it is given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest

from gateway.upstream.event_decoder import EventParser
from gateway.upstream.responses.followed_chain import FollowedChain, ResponseEventParser, parse_position, to_position
from gateway.upstream.responses.response_calls import ReadResponse
from gateway.upstream.responses.response_stream import MAX_FAILURES, PAUSES_SECONDS, ResponseRunStream
from gateway.upstream.responses.response_wire import RESPONSE_DECODER
from gateway.upstream.responses.stream_translation import ResponseTranslator
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import RunObject

CUT = GatewayError(ErrorCode.UPSTREAM_UNREACHABLE, "The stream was cut.", retryable=True)
IDLE = GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "Nothing came.", retryable=True)
DOWN = GatewayError(ErrorCode.UPSTREAM_FAILED, "Down.", retry_after_ms=3000)
MISSING = GatewayError(ErrorCode.NOT_FOUND, "No such response.")
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "status": "in_progress", "content": []}

Scripted = Sequence[dict[str, Any] | GatewayError]


def response(status: str, **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "created_at": 5, "status": status, **fields}


def event(kind: str, number: int | None, **fields: Any) -> dict[str, Any]:
    numbered = {} if number is None else {"sequence_number": number}
    return {"type": f"response.{kind}", **numbered, **fields}


def state(status: str, number: int | None, **fields: Any) -> dict[str, Any]:
    kind = "created" if status == "queued" else status
    return event(kind, number, response=response(status, **fields))


def delta(text: str, number: int) -> dict[str, Any]:
    return event("output_text.delta", number, item_id="msg_1", output_index=0, content_index=0, delta=text)


def message(text: str) -> dict[str, Any]:
    return {**MESSAGE, "status": "completed", "content": [{"type": "output_text", "text": text, "annotations": []}]}


BEGUN = [state("queued", 0), state("in_progress", 1), event("output_item.added", 2, item=MESSAGE, output_index=0)]


class ScriptedConnection:
    """Events of one connection, and then its error; without one, it ends."""

    thread_id = "conv_1"

    def __init__(self, parse: EventParser, script: Scripted) -> None:
        self._parse = parse
        self._script = list(script)
        self.is_closed = False

    async def read_events(self) -> list[StreamEvent]:
        while self._script:
            one = self._script.pop(0)
            if isinstance(one, GatewayError):
                raise one
            if events := self._parse(None, msgspec.json.encode(one)):
                return events
        return []

    async def aclose(self) -> None:
        self.is_closed = True


class ScriptedCalls:
    """The upstream: what it answers to reads and to streams that are opened, one after the other."""

    def __init__(self, reads: Scripted = (), streams: Sequence[Scripted | GatewayError] = ()) -> None:
        self._reads = list(reads)
        self._streams = list(streams)
        self.sent: list[str] = []

    async def read(self, response_id: str) -> ReadResponse:
        self.sent.append("read")
        found = self._reads.pop(0)
        if isinstance(found, GatewayError):
            raise found
        raw = msgspec.json.encode(found)
        return ReadResponse(RESPONSE_DECODER.decode(raw), msgspec.Raw(raw))

    async def open_events(
        self, response_id: str, after: int | None, parse: EventParser, run: RunKey
    ) -> ScriptedConnection:
        assert run == RunKey("conv_1", "resp_1")
        self.sent.append(f"open {after}")
        script = self._streams.pop(0)
        if isinstance(script, GatewayError):
            raise script
        return ScriptedConnection(parse, script)

    async def cancel(self, response_id: str) -> None:
        self.sent.append("cancel")


class Opened:
    """A stream whose first connection brings this."""

    def __init__(
        self, calls: ScriptedCalls, *first: dict[str, Any] | GatewayError, patience: float = 600, **chain: Any
    ) -> None:
        followed = FollowedChain("conv_1", **{"background": True, **chain})
        self.pauses: list[float] = []
        self.on_pause: Callable[[], Awaitable[None]] | None = None

        def new_parser(one: FollowedChain) -> ResponseEventParser:
            translator = ResponseTranslator(one.earlier, one.earlier_answers())
            return ResponseEventParser(translator, replayable=one.background)

        parser = self.parser = new_parser(followed)
        self.stream = ResponseRunStream(
            calls,
            followed,
            parser,
            ScriptedConnection(parser, first),
            new_parser=new_parser,
            patience_seconds=patience,
            sleep=self._sleep,
        )
        self.events: list[StreamEvent] = []

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if self.on_pause is not None:
            await self.on_pause()

    async def read(self) -> list[str | None]:
        """Read to the end, and return the statuses and texts."""
        while events := await self.stream.read_events():
            self.events += events
        return [_shown(one) for one in self.events]


def _shown(one: StreamEvent) -> str | None:
    if isinstance(one.wire, RunObject):
        return one.wire.status
    if one.delta is not None:
        return str(one.delta["delta"]["content"][0]["text"]["value"])
    return one.decode_error.message if one.decode_error else type(one.wire).__name__


SHOWN_BEGINNING = ["queued", "in_progress", "RunStepObject", "MessageObject"]
ENDED = [event("output_item.done", 5, item=message("ab"), output_index=0), state("completed", 6)]
SHOWN_END = ["MessageObject", "RunStepObject", "completed"]


async def test_a_break_is_read_on_without_asking_first() -> None:
    calls = ScriptedCalls(streams=[[delta("b", 4), *ENDED]])
    opened = Opened(calls, *BEGUN, delta("a", 3), CUT)
    assert await opened.read() == [*SHOWN_BEGINNING, "a", "b", *SHOWN_END]
    assert calls.sent == ["open 3"]
    assert opened.pauses == []


async def test_events_that_come_again_are_left_out() -> None:
    opened = Opened(ScriptedCalls(), *BEGUN, delta("a", 3), delta("b", 4), *ENDED)
    opened.parser.translator.resume_after(3)
    assert await opened.read() == ["b", *SHOWN_END]


async def test_pauses_grow_while_nothing_new_comes_and_each_is_decided_by_the_response() -> None:
    under_way = response("in_progress")
    calls = ScriptedCalls([under_way] * 5, [[CUT]] * 5 + [[delta("b", 4), *ENDED]])
    opened = Opened(calls, *BEGUN, delta("a", 3), CUT)
    assert (await opened.read())[-3:] == SHOWN_END
    assert calls.sent == ["open 3", *["read", "open 3"] * 5]
    assert opened.pauses == [*PAUSES_SECONDS[1:], PAUSES_SECONDS[-1]]


async def test_calls_that_fail_are_tried_again_as_the_upstream_asks_and_then_given_up() -> None:
    calls = ScriptedCalls(streams=[DOWN] * MAX_FAILURES)
    opened = Opened(calls, *BEGUN, CUT)
    with pytest.raises(GatewayError, match=DOWN.message):
        await opened.read()
    assert calls.sent == ["open 2"] * MAX_FAILURES
    assert opened.pauses == [3.0, 3.0, 3.0, 5.0, 5.0]
    assert await opened.stream.read_events() == []


async def test_a_response_that_is_gone_is_given_up_at_once() -> None:
    opened = Opened(ScriptedCalls(streams=[MISSING]), *BEGUN, CUT)
    with pytest.raises(GatewayError, match=MISSING.message):
        await opened.read()
    assert opened.pauses == []


async def test_a_stream_that_breaks_before_it_names_a_run_is_broken() -> None:
    with pytest.raises(GatewayError, match=CUT.message):
        await Opened(ScriptedCalls(), CUT).read()


async def test_silence_is_no_break_while_the_response_is_under_way() -> None:
    calls = ScriptedCalls([response("in_progress")], [[delta("b", 4), *ENDED]])
    opened = Opened(calls, *BEGUN, delta("a", 3), IDLE)
    assert await opened.read() == [*SHOWN_BEGINNING, "a", "b", *SHOWN_END]
    assert calls.sent == ["read", "open 3"]


async def test_silence_beyond_all_patience_is_a_break() -> None:
    opened = Opened(ScriptedCalls([response("in_progress")]), *BEGUN, IDLE, patience=0)
    with pytest.raises(GatewayError, match=IDLE.message):
        await opened.read()


async def test_what_waits_in_the_queue_is_given_up_only_if_its_start_was_lost() -> None:
    calls = ScriptedCalls([response("queued")])
    waiting = Opened(calls, state("queued", 0), IDLE, patience=0)
    with pytest.raises(GatewayError, match=IDLE.message):
        await waiting.read()
    assert calls.sent == ["read"]
    calls = ScriptedCalls([response("queued")], [[IDLE]])
    left = Opened(calls, state("queued", 0), CUT, patience=0, assistant_id="asst_1")
    assert await left.read() == ["queued", "failed"]
    assert calls.sent == ["open 0", "read", "cancel"]
    ended = left.events[-1].wire
    assert isinstance(ended, RunObject)
    assert ended.last_error is not None
    assert "queued" in (ended.last_error.message or "")
    assert (ended.thread_id, ended.assistant_id) == ("conv_1", "asst_1")


@pytest.mark.parametrize("end", [(), ({"type": "x"}, CUT)], ids=["ended", "broken"])
async def test_a_stream_without_an_end_is_decided_by_the_response(end: Scripted) -> None:
    calls = ScriptedCalls([response("cancelled", output=[message("a")])], [[]])
    opened = Opened(calls, *BEGUN, delta("a", 3), *end)
    shown = await opened.read()
    assert [*filter(lambda one: one != "NoneType", shown)] == [
        *SHOWN_BEGINNING, "a", "MessageObject", "RunStepObject", "cancelled",
    ]  # fmt: skip


async def test_a_message_whose_pieces_are_not_complete_is_not_told_as_if_they_were() -> None:
    opened = Opened(ScriptedCalls([response("completed", output=[message("abc")])]), *BEGUN, delta("a", 3))
    assert await opened.read() == [*SHOWN_BEGINNING, "a", "completed"]


async def test_an_error_is_told_and_the_response_decides() -> None:
    error = {"type": "error", "sequence_number": 4, "code": "server_error", "message": "Broken."}
    calls = ScriptedCalls([response("failed", error={"code": "server_error", "message": "Broken."})])
    opened = Opened(calls, *BEGUN, error)
    assert await opened.read() == [*SHOWN_BEGINNING, "Broken.", "failed"]
    first = Opened(ScriptedCalls(), error)
    (told,) = await first.stream.read_events()
    assert told.error is not None


async def test_without_sequence_numbers_a_stream_cannot_be_read_on() -> None:
    calls = ScriptedCalls([response("in_progress"), response("in_progress")])
    opened = Opened(calls, state("queued", None), state("in_progress", None), CUT)
    with pytest.raises(GatewayError, match="cut short"):
        await opened.read()
    assert calls.sent == ["read"]
    assert opened.events[0].position is None


async def test_a_break_in_the_foreground_is_the_end_unless_the_response_has_one() -> None:
    calls = ScriptedCalls([response("in_progress")])
    opened = Opened(calls, *BEGUN, delta("a", 3), CUT, background=False)
    with pytest.raises(GatewayError, match=CUT.message):
        await opened.read()
    assert calls.sent == ["read"]
    assert {one.position for one in opened.events} == {None}
    calls = ScriptedCalls([response("completed", output=[message("a")])])
    ended = Opened(calls, *BEGUN, delta("a", 3), CUT, background=False)
    assert (await ended.read())[-3:] == SHOWN_END


async def test_a_run_in_the_foreground_that_is_cancelled_is_over_whatever_the_server_says() -> None:
    calls = ScriptedCalls([response("in_progress")])
    opened = Opened(calls, *BEGUN, delta("a", 3), CUT, background=False)
    await opened.stream.read_events()
    await opened.stream.cancel()
    assert (await opened.read())[-1] == "cancelled"


async def test_a_stream_that_is_closed_while_it_pauses_opens_nothing() -> None:
    calls = ScriptedCalls(streams=[DOWN])
    opened = Opened(calls, *BEGUN, CUT)
    opened.on_pause = opened.stream.aclose
    with pytest.raises(GatewayError, match="cut short"):
        await opened.read()
    assert calls.sent == ["open 2"]


@pytest.mark.parametrize("text", ["", "resp_1", ":3", "resp_1:", "resp_1:-1", "resp_1:x", "resp_1:²"])
def test_a_text_that_is_no_place_is_none(text: str) -> None:
    assert parse_position(text) is None
    assert parse_position(to_position("resp:1", 7)) == ("resp:1", 7)
