"""What goes over an event stream: the "distinct connections mode" of GraphQL over server-sent events. Pure.

Source: PROTOCOL.md of npm's graphql-sse; HTML, "Server-sent events".
"""

from __future__ import annotations

RETRY_MS = 1000

HEARTBEAT = b":\n\n"
"""A comment, which clients drop; the first one makes browsers see that the stream is open."""

COMPLETE = b"event: complete\ndata: \n\n"
"""Nothing follows. Without data, a browser's EventSource would not tell of it."""

COME_BACK = b"retry: %d\n\n" % RETRY_MS
"""The last words of a gateway that stops. A stream that ends without `complete` is one to be opened again."""


def next_frame(payload: bytes, cursor: str | None = None) -> bytes:
    """One answer, JSON on one line; a client that comes back says the cursor of the last one in `Last-Event-ID`."""
    if cursor is None:
        return b"event: next\ndata: %b\n\n" % payload
    return b"event: next\nid: %b\ndata: %b\n\n" % (cursor.encode(), payload)
