"""Wire objects as an upstream would send them: decoded from JSON, with only the keys that a test needs."""

import json
from typing import TypeVar

import msgspec

from schema.contract.wire import (
    AssistantObject,
    MessageFileObject,
    MessageObject,
    RunObject,
    RunStepObject,
    ThreadObject,
)

ObjectT = TypeVar("ObjectT")

CREATED_AT = 1_699_009_709


def decoded(wire_type: type[ObjectT], sent: object) -> ObjectT:
    """Decode a body as the client does."""
    return msgspec.json.decode(json.dumps(sent), type=wire_type)


def raw(sent: object) -> msgspec.Raw:
    """Encode a part that is decoded only when it is selected."""
    return msgspec.Raw(json.dumps(sent).encode())


def raws(*sent: object) -> list[msgspec.Raw]:
    return [raw(part) for part in sent]


def thread(id: str = "thread_1", **fields: object) -> ThreadObject:
    return decoded(ThreadObject, {"id": id, "created_at": CREATED_AT, "object": "thread"} | fields)


def message(id: str = "msg_1", **fields: object) -> MessageObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "thread.message", "role": "user", "content": []}
    return decoded(MessageObject, sent | fields)


def run(id: str = "run_1", **fields: object) -> RunObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "thread.run", "status": "completed"}
    return decoded(RunObject, sent | {"assistant_id": "asst_1"} | fields)


def run_step(id: str = "step_1", **fields: object) -> RunStepObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "thread.run.step", "status": "completed"}
    return decoded(RunStepObject, sent | fields)


def assistant(id: str = "asst_1", **fields: object) -> AssistantObject:
    sent = {"id": id, "created_at": CREATED_AT, "object": "assistant", "model": "gpt-4o-mini"}
    return decoded(AssistantObject, sent | fields)


def message_file(id: str = "file-1", **fields: object) -> MessageFileObject:
    return decoded(MessageFileObject, {"id": id, "created_at": CREATED_AT} | fields)
