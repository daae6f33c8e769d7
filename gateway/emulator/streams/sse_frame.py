"""Writes server-sent events as the API frames them: a name, one line of compact JSON, LF, and nothing else; pure.

There are no ids, comments or heartbeats, so nobody can resume a stream. Source: recorded streams.
"""

import json

import orjson

from gateway.emulator.objects import JsonObject

CONTENT_TYPE = "text/event-stream; charset=utf-8"
DONE = b"event: done\ndata: [DONE]\n\n"


def frame(name: str, data: JsonObject) -> bytes:
    """Return one event as it stands in a stream."""
    try:
        line = orjson.dumps(data)
    except TypeError:
        # orjson takes integers of 64 bits; a client's JSON schema, which is echoed, may hold longer ones.
        line = json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
    return b"event: " + name.encode() + b"\ndata: " + line + b"\n\n"
