"""A run whose responses are read as streams: what is known of it, its events, and the places in its stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec

from gateway.upstream.event_decoder import is_done_marker
from gateway.upstream.responses.item_parts import awaits_client, id_of_call
from gateway.upstream.responses.response_wire import ResponseObject
from gateway.upstream.responses.run_chains import items_of, step_from_item
from gateway.upstream.responses.stream_translation import ResponseTranslator
from schema.contract.run_streams import StreamEvent
from schema.contract.wire import RunObject


@dataclass(frozen=True, slots=True)
class FollowedChain:
    """The run whose stream is read, as far as it is known.

    Attributes:
        thread_id: The conversation.
        background: Whether its responses go on without a reader, so that their streams can be opened again.
        assistant_id: The assistant of the run, which no response names.
        earlier: The responses before the one that is read, oldest first.
        later: The ids of those behind it.
        answers: What a client has submitted, by the id of its call.
    """

    thread_id: str
    background: bool
    assistant_id: str | None = None
    earlier: tuple[ResponseObject, ...] = ()
    later: tuple[str, ...] = ()
    answers: Mapping[str, str] = field(default_factory=dict)

    def earlier_answers(self) -> dict[str, str]:
        """Return the answers to calls of the earlier responses."""
        asked = {id_of_call(item) for one in self.earlier for item, _ in items_of(one)}
        return {call_id: output for call_id, output in self.answers.items() if call_id in asked}

    def complete_run(self, run: RunObject) -> RunObject:
        """Return the run with what no response tells: its assistant, and on some servers its thread."""
        return msgspec.structs.replace(
            run, thread_id=run.thread_id or self.thread_id, assistant_id=run.assistant_id or self.assistant_id
        )

    def after(self, response: ResponseObject) -> FollowedChain:
        """Return the chain at the response behind this one."""
        return replace(self, earlier=(*self.earlier, response), later=self.later[1:])

    def answered_steps(self) -> list[StreamEvent]:
        """Return the calls of the response before the one that is read as steps, which are answered now."""
        if not self.earlier:
            return []
        last, answers = self.earlier[-1], self.earlier_answers()
        return [
            StreamEvent(wire=step_from_item(item, raw, last.created_at, answers))
            for item, raw in items_of(last)
            if item.id is not None and awaits_client(item) and id_of_call(item) in answers
        ]


class ResponseEventParser:
    """The `EventParser` of one response's stream, over all connections that show it.

    With `replayable`, each event has the place from which the stream can be opened again.
    """

    def __init__(self, translator: ResponseTranslator, *, replayable: bool) -> None:
        self.translator = translator
        self._replayable = replayable

    def __call__(self, name: str | None, data: bytes) -> list[StreamEvent]:
        """Return the events of a run that an event of the response means."""
        if is_done_marker(name, data):
            return [StreamEvent(name, is_done=True)]
        events = self.translator.translate(data)
        response, number = self.translator.response, self.translator.last_sequence_number
        if self._replayable and events and response is not None and number is not None:
            events[-1] = replace(events[-1], position=to_position(response.id, number))
        return events


def to_position(response_id: str, sequence_number: int) -> str:
    """Return the place behind an event of a response."""
    return f"{response_id}:{sequence_number}"


def parse_position(position: str) -> tuple[str, int] | None:
    """Return the response and the sequence number of a place, or None for any other text."""
    response_id, separator, number = position.rpartition(":")
    is_place = bool(response_id and separator) and number.isascii() and number.isdecimal()
    return (response_id, int(number)) if is_place else None
