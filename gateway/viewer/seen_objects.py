"""Sightings from the objects that pass through the gateway: results of reads and writes, and changes of runs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import msgspec

from gateway.ledger.search_words import MAX_TEXT_LENGTH
from gateway.ledger.sightings import RecordKey, RecordOwner, SeenMessage, SeenRun, SeenThread, Sighting
from schema.contract.bodies import Body, MessageBody, ThreadAndRunBody, ThreadBody
from schema.contract.keys import RunKey, ThreadKey
from schema.contract.kinds import MessagePageKey
from schema.contract.run_events import (
    Change,
    MessageCreatedChange,
    MessageFinishedChange,
    SnapshotChange,
    StatusChange,
)
from schema.contract.statuses import is_terminal
from schema.contract.thread_records import TokenUsage
from schema.contract.tolerant_decoder import TolerantDecoder
from schema.contract.wire import MessageObject, Page, RunObject, ThreadObject, UsageObject
from schema.contract.wire_parts import ContentPartObject, TextBodyObject

_CONTENT_PART = TolerantDecoder(ContentPartObject, "content part", strict=False)
_USAGE = TolerantDecoder(UsageObject, "usage", strict=False)


PassedObject: TypeAlias = tuple[str, ThreadObject | MessageObject | RunObject, bool]
"""An object that was read, behind the id of its thread, and whether it is known to be the thread's first message."""


class SeenObject(NamedTuple):
    """A sighting, and the run itself if it is of one, for those who follow the list.

    `fingerprint` stands for all that the sighting says, but for its time. It is None if the same object may be seen
    again with the same fingerprint and has to be written all the same.
    """

    sighting: Sighting
    run: RunObject | None = None
    fingerprint: int | None = None


def seen_thread(owner: RecordOwner, thread: ThreadObject, seen_at_ms: int, opening: str | None = None) -> SeenObject:
    """Return the sighting of a thread. `opening` is the text of the message that it was created with."""
    sighting = SeenThread(RecordKey(owner, thread.id), seen_at_ms, to_ms(thread.created_at), opening=opening)
    return SeenObject(sighting, fingerprint=fingerprint_from(thread) if opening is None else None)


def seen_run(owner: RecordOwner, thread_id: str, run: RunObject, seen_at_ms: int) -> SeenObject:
    """Return the sighting of a run of a thread."""
    if run.thread_id != thread_id:
        run = msgspec.structs.replace(run, thread_id=thread_id)
    sighting = SeenRun(
        RecordKey(owner, thread_id),
        run.id,
        run.status,
        seen_at_ms,
        created_at_ms=to_ms(run.created_at),
        ended_at_ms=_ended_at_ms(run),
        expires_at_ms=to_ms(run.expires_at),
        assistant_id=run.assistant_id,
        usage=usage_from_run(run),
    )
    return SeenObject(sighting, run, fingerprint_from(run))


def seen_message(
    owner: RecordOwner, thread_id: str, message: MessageObject, seen_at_ms: int, *, is_first: bool = False
) -> SeenObject:
    """Return the sighting of a message of a thread. One that is still written, or has no content, has no text yet."""
    sighting = SeenMessage(
        RecordKey(owner, thread_id),
        message.id,
        seen_at_ms,
        created_at_ms=to_ms(message.created_at),
        text=text_from_message(message)[:MAX_TEXT_LENGTH] if _is_written(message) else None,
        is_first=is_first,
    )
    return SeenObject(sighting, fingerprint=fingerprint_from(message))


def objects_in_read(key: Any, result: object) -> Iterator[PassedObject]:
    """Return the objects in the object or the page of a key. Errors and other kinds have none."""
    if isinstance(result, Page):
        first = _first_message_id(key, result)
        for item in result.data:
            if isinstance(item, MessageObject):
                yield key.thread_id, item, item.id == first
            elif isinstance(item, RunObject):
                yield key.thread_id, item, False
            elif isinstance(item, ThreadObject):
                yield item.id, item, False
    elif isinstance(result, ThreadObject):
        yield result.id, result, False
    elif isinstance(result, MessageObject | RunObject):
        yield key.thread_id, result, False


def seen_in_read(owner: RecordOwner, key: Any, result: object, seen_at_ms: int) -> Iterator[SeenObject]:
    """Return the sightings in the object or the page of a key. Errors and other kinds have none."""
    for thread_id, item, is_first in objects_in_read(key, result):
        if isinstance(item, ThreadObject):
            yield seen_thread(owner, item, seen_at_ms)
        elif isinstance(item, RunObject):
            yield seen_run(owner, thread_id, item, seen_at_ms)
        else:
            yield seen_message(owner, thread_id, item, seen_at_ms, is_first=is_first)


def fingerprint_from(item: ThreadObject | MessageObject | RunObject) -> int | None:
    """Return a number for what an object says to its record. None if it is not in its last state yet."""
    if isinstance(item, MessageObject):
        content = item.content
        if content is None or not _is_written(item):
            return None
        return hash((item.created_at, content if isinstance(content, str) else b"".join(content)))
    if isinstance(item, ThreadObject):
        return hash((item.created_at,))
    if not is_terminal(item.status):
        return None
    times = (item.created_at, item.completed_at, item.failed_at, item.cancelled_at, item.expires_at)
    return hash((item.status, times, item.assistant_id, msgspec.json.encode(item.usage)))


def seen_in_write(
    owner: RecordOwner, key: Any, body: Body | None, result: object, seen_at_ms: int
) -> Iterator[SeenObject]:
    """Return the sightings in the result of a write."""
    if isinstance(result, ThreadObject):
        opening = opening_from_body(body) if isinstance(body, ThreadBody) else None
        yield seen_thread(owner, result, seen_at_ms, opening)
    elif isinstance(result, RunObject) and isinstance(body, ThreadAndRunBody):
        if result.thread_id is not None:
            thread = ThreadObject(result.thread_id, result.created_at)
            yield seen_thread(owner, thread, seen_at_ms, opening_from_body(body.thread))
            yield seen_run(owner, result.thread_id, result, seen_at_ms)
    else:
        yield from seen_in_read(owner, key, result, seen_at_ms)


def seen_in_changes(
    owner: RecordOwner, key: RunKey | ThreadKey, changes: Sequence[Change], seen_at_ms: int
) -> Iterator[SeenObject]:
    """Return the sightings in the changes of a run or a thread."""
    thread_id = key.thread_id
    for change in changes:
        match change:
            case SnapshotChange():
                for message in change.messages:
                    yield seen_message(owner, thread_id, message, seen_at_ms)
                if change.run.id:  # a thread's log begins with a snapshot of no run
                    yield seen_run(owner, thread_id, change.run, seen_at_ms)
            case StatusChange():
                yield seen_run(owner, thread_id, change.run, seen_at_ms)
            case MessageCreatedChange() | MessageFinishedChange():
                yield seen_message(owner, thread_id, change.message, seen_at_ms)
            case _:
                pass


def opening_from_body(body: ThreadBody | None) -> str | None:
    """Return the text of the first message of a thread that is created. None without messages."""
    if body is None or not body.messages:
        return None
    return text_from_body(body.messages[0])


def text_from_body(body: MessageBody) -> str:
    """Join the text parts of a message that is created by newlines."""
    return "\n".join(part.text for part in body.content if part.text is not None)[:MAX_TEXT_LENGTH]


def text_from_message(message: MessageObject) -> str:
    """Join the text parts of a message by newlines."""
    content = message.content
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(text for raw in content if (text := _text_from_part(raw)) is not None)


def to_ms(seconds: float | None) -> int | None:
    """Return a time of the upstream in milliseconds. 0 is not known."""
    return int(seconds * 1000) if seconds else None


def usage_from_run(run: RunObject) -> TokenUsage | None:
    """Return the tokens that a run used. None if they are not known."""
    if run.usage is None:
        return None
    usage = _USAGE.decode_part(msgspec.Raw(msgspec.json.encode(run.usage)))
    if usage is None or (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (None, None, None):
        return None
    cached = usage.prompt_token_details or usage.prompt_tokens_details
    reasoning = usage.completion_tokens_details
    return TokenUsage(
        usage.prompt_tokens or 0,
        usage.completion_tokens or 0,
        usage.total_tokens or 0,
        None if cached is None else cached.cached_tokens,
        None if reasoning is None else reasoning.reasoning_tokens,
    )


def _is_written(message: MessageObject) -> bool:
    """Return whether a message has all of its text."""
    return message.status != "in_progress" and message.content is not None


def _first_message_id(key: Any, page: Page[Any]) -> str | None:
    """Return the id of the thread's first message, if a page surely holds it."""
    if not isinstance(key, MessagePageKey) or key.run_id is not None or not page.data:
        return None
    if key.window.backwards:
        return None if page.has_more else page.data[-1].id
    return page.data[0].id if key.window.after is None else None


def _text_from_part(raw: msgspec.Raw) -> str | None:
    part = _CONTENT_PART.decode_part(raw)
    if part is None or part.text is None:
        return None
    return part.text.value if isinstance(part.text, TextBodyObject) else part.text


def _ended_at_ms(run: RunObject) -> int | None:
    if not is_terminal(run.status):
        return None
    times = [time for time in (run.completed_at, run.failed_at, run.cancelled_at) if time is not None]
    if run.status == "expired":
        times = [time for time in (run.expires_at,) if time is not None]
    return to_ms(max(times, default=None))
