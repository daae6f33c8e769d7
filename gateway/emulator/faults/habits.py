"""Habits of other servers of the successor API, on request: their streams, times, statuses and refusals. Pure.

A habit is a fault rule like the others, except that any number of habits may strike one request.

| habit            | effect                                                                          |
|------------------|---------------------------------------------------------------------------------|
| `no-event-lines` | a stream's frames have no `event:` line                                         |
| `no-done`        | a stream ends without `[DONE]`                                                  |
| `no-text-done`   | a stream leaves out `response.output_text.done`, whose number is missing then   |
| `unknown-events` | an event of an unknown type follows each `response.output_item.added`           |
| `float-times`    | `created_at` and `completed_at` are fractions                                   |
| `null-status`    | messages have the status null                                                   |
| `no-background`  | a response in the background is refused with 400                                |
| `no-lock`        | a conversation may have two responses at once                                   |
| `no-before`      | lists ignore `before`                                                           |
"""

from collections.abc import Collection
from typing import Any, Final, Literal, TypeAlias, get_args

import orjson

from gateway.emulator.bodies.response_errors import background_refused
from gateway.emulator.objects import JsonObject

HabitName: TypeAlias = Literal[
    "no-event-lines",
    "no-done",
    "no-text-done",
    "unknown-events",
    "float-times",
    "null-status",
    "no-background",
    "no-lock",
    "no-before",
]
HABITS: Final[frozenset[str]] = frozenset(get_args(HabitName))
_TIMES = frozenset({"created_at", "completed_at"})
_FRACTION = 0.25


def habitual_frames(frame: bytes, habits: Collection[str]) -> list[bytes]:
    """Return the frames that a server with these habits sends in place of one frame."""
    head, separator, data = frame.rpartition(b"data: ")
    if not separator:
        return [frame]
    if data == b"[DONE]\n\n":
        return [] if "no-done" in habits else [frame]
    try:
        event = habitual_json(orjson.loads(data), habits)
    except orjson.JSONDecodeError:
        # Another fault has spoiled the frame.
        return [frame]
    if "no-text-done" in habits and event.get("type") == "response.output_text.done":
        return []
    events = [(head, event)]
    if "unknown-events" in habits and event.get("type") == "response.output_item.added":
        note = {"type": "response.emulator.note", "sequence_number": event["sequence_number"], "note": "Nothing."}
        events.append((b"event: response.emulator.note\n", note))
    return [
        (b"" if "no-event-lines" in habits else name) + separator + orjson.dumps(one) + b"\n\n" for name, one in events
    ]


def habitual_json(value: Any, habits: Collection[str]) -> Any:
    """Return a reply, or an event, as a server with these habits sends it."""
    match value:
        case dict():
            changed = {key: habitual_json(one, habits) for key, one in value.items()}
            if "float-times" in habits:
                changed |= {key: one + _FRACTION for key, one in changed.items() if key in _TIMES and one is not None}
            if "null-status" in habits and changed.get("type") == "message":
                changed["status"] = None
            return changed
        case list():
            return [habitual_json(one, habits) for one in value]
        case _:
            return value


def refusal_of_habits(body: bytes, habits: Collection[str]) -> JsonObject | None:
    """Return the refusal of a request with this body by a server with these habits. None if it takes the request."""
    if "no-background" not in habits:
        return None
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return background_refused().body() if isinstance(request, dict) and request.get("background") is True else None
