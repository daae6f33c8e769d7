"""A run that was read: its responses, and what the gateway keeps of it. Pure.

A status that the gateway knows to be the last one wins over the response's own: an expired run is known here alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import msgspec
from msgspec import Raw, json

from gateway.upstream.responses.item_parts import awaits_client, id_of_call
from gateway.upstream.responses.kept_records import ChainRecord, ItemRecord
from gateway.upstream.responses.lost_chains import is_foreground
from gateway.upstream.responses.response_wire import RESPONSE_DECODER, ItemObject, ResponseObject
from gateway.upstream.responses.run_chains import items_of, message_from_item, run_from_chain, steps_from_response
from schema.contract.kinds import HasId
from schema.contract.paging import Window
from schema.contract.statuses import is_terminal
from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import NULL, MessageObject, Page, RunObject, RunStepObject

ObjectT = TypeVar("ObjectT", bound=HasId)

_RUN = TolerantDecoder(RunObject, "kept run")
_NO_ANSWERS: Mapping[str, str] = {}
_ENDED_STEPS = {"cancelled": "cancelled", "expired": "expired", "failed": "failed"}
"""The status of a step that an ended run has left unfinished, by the run's own. Otherwise the step is completed."""


@dataclass(frozen=True)
class LoadedChain:
    """A run of a thread: its responses, oldest first, at least one; and its record, if the gateway keeps one."""

    thread_id: str
    responses: Sequence[ResponseObject]
    record: ChainRecord | None = None

    @property
    def run_id(self) -> str:
        """The id of the run: that of the first response."""
        return self.responses[0].id

    @property
    def answers(self) -> Mapping[str, str]:
        """The answers that the client has submitted, by the id of the call."""
        return _NO_ANSWERS if self.record is None else self.record.answers

    @cached_property
    def run(self) -> RunObject:
        """The run as it is now."""
        run, record = run_from_chain(self.responses, self.answers), self.record
        run = msgspec.structs.replace(run, thread_id=self.thread_id)
        if record is None:
            return run
        run = msgspec.structs.replace(run, assistant_id=record.assistant_id)
        if record.status == "cancelling" and run.status in {"queued", "in_progress"}:
            return msgspec.structs.replace(run, status=record.status)
        # What was to be cancelled and asks its client before anybody could stop it ends there.
        is_cut_off = record.status == "cancelling" and run.status == "requires_action"
        status = "cancelled" if is_cut_off else record.status
        if not is_terminal(status) or status == run.status:
            return run
        return msgspec.structs.replace(run, status=status, required_action=NULL, completed_at=None)

    @property
    def steps(self) -> list[RunStepObject]:
        """The steps of all responses. Those that an ended run has left unfinished have ended with it."""
        found = [step for response in self.responses for step in steps_from_response(response, self.answers)]
        status = _ENDED_STEPS.get(self.run.status, "completed") if is_terminal(self.run.status) else None
        return [
            msgspec.structs.replace(
                step,
                assistant_id=self.run.assistant_id,
                status=status if status and step.status == "in_progress" else step.status,
            )
            for step in found
        ]

    @property
    def may_have_open_calls(self) -> bool:
        """Whether the run ended while it waited, and its last calls may still be open."""
        record = self.record
        if record is None or record.ended_run is not None:
            return False
        return ended_waiting(record.status) or record.status == "cancelling"

    @property
    def is_forgotten(self) -> bool:
        """Whether the run ended while it waited, and its server stores its last response no more."""
        record, last = self.record, self.responses[-1]
        is_unknown = last.status == "in_progress" and last.output is None
        return record is not None and ended_waiting(record.status) and is_unknown

    @property
    def open_items(self) -> list[ItemObject]:
        """The items of the last response that its client has not answered, whatever the run's status."""
        answers = self.answers
        return [
            item for item, _ in items_of(self.responses[-1]) if awaits_client(item) and id_of_call(item) not in answers
        ]

    def messages(self, kept: Mapping[str, ItemRecord]) -> list[MessageObject]:
        """Return the messages that the run wrote. The time of one that is not kept is its response's."""
        written = self.item_records()
        return [
            msgspec.structs.replace(
                message_from_item(item, kept.get(item_id, written[item_id]).created_at, self.run_id),
                assistant_id=self.run.assistant_id,
            )
            for item_id, item in self._message_items().items()
        ]

    def item_records(self) -> dict[str, ItemRecord]:
        """Return the records of the messages that the run wrote."""
        return {
            item_id: ItemRecord(int(response.created_at), self.run_id)
            for response in self.responses
            for item_id in _messages_in(response)
        }

    def _message_items(self) -> dict[str, ItemObject]:
        return {item_id: item for response in self.responses for item_id, item in _messages_in(response).items()}


def _messages_in(response: ResponseObject) -> dict[str, ItemObject]:
    return {item.id: item for item, _ in items_of(response) if item.type == "message" and item.id is not None}


def ended_waiting(status: str) -> bool:
    """Return whether a run with this status may have ended while it waited for its client."""
    return status in {"expired", "cancelled"}


def may_be_unstored(record: ChainRecord) -> bool:
    """Return whether a server may not have stored a run's last response yet. One that waits has ended, so it has."""
    return is_foreground(record) and record.waiting_since is None and not is_terminal(record.status)


def unstored_response(record: ChainRecord, response_id: str) -> ResponseObject:
    """Return a response of a run that its server does not store: as it was asked for, and in progress."""
    options = json.decode(record.request)
    known = {"id": response_id, "created_at": record.created_at, "status": "in_progress"}
    return RESPONSE_DECODER.decode(json.encode({**options, **known, "conversation": record.thread_id}))


def kept_run(record: ChainRecord) -> RunObject | None:
    """Return the run as it ended, if the gateway keeps it."""
    if record.ended_run is None:
        return None
    run = _RUN.decode_part(Raw(record.ended_run))
    return None if run is None or not is_terminal(record.status) else run


def chains_from_responses(
    thread_id: str, responses: Iterable[ResponseObject], records: Iterable[ChainRecord]
) -> list[LoadedChain]:
    """Return the runs of a conversation, oldest first, from its responses in the same order.

    A response belongs to the chain whose record names it. Of what was started elsewhere, one continues the one before
    it if that waited for its client.
    """
    kept = {response_id: record for record in records for response_id in record.response_ids}
    chains: list[LoadedChain] = []
    for response in responses:
        record, last = kept.get(response.id), chains[-1] if chains else None
        continues = last is not None and (
            record is last.record if record is not None else last.record is None and bool(last.open_items)
        )
        if last is not None and continues:
            chains[-1] = LoadedChain(thread_id, [*last.responses, response], record)
        else:
            chains.append(LoadedChain(thread_id, [response], record))
    return chains


def cut_window(items: Sequence[ObjectT], window: Window) -> Page[ObjectT] | None:
    """Return a page of a list that is oldest first. None if `after` is not in it."""
    ordered = items[::-1] if window.backwards else items
    start = 0
    if window.after is not None:
        ids = [item.id for item in ordered]
        if window.after not in ids:
            return None
        start = ids.index(window.after) + 1
    return Page(list(ordered[start : start + window.limit]), start + window.limit < len(ordered))
