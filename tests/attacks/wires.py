"""Attacks by bytes: raw HTTP, WebSockets, and clients that read nothing of their response."""

import base64
import json
import os
import struct
from urllib.parse import quote

from tests.attacks.attack import ATTACKER_KEY, WireAttack

HEAD = f"Host: x\r\nAuthorization: Bearer {ATTACKER_KEY}\r\n".encode()
TRIVIAL = json.dumps({"query": "{ __typename }"}).encode()
END = b"\r\n\r\n"
LONG_RESPONSE = "{ " + " ".join(f"a{n}: assistants(last: 1) {{ nodes {{ instructions }} }}" for n in range(60)) + " }"
"""A document whose response has 15 MB, more than the operating system holds for a client."""


def post(body: bytes, *, length: int | None = None, more: bytes = b"") -> bytes:
    """Encode a POST of a JSON body. With `length`, the body is the beginning of a longer one."""
    size = len(body) if length is None else length
    return b"POST /graphql HTTP/1.1\r\n%bContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b" % (
        HEAD,
        more,
        size,
        body,
    )


def get(query: str, accept: str = "application/json") -> bytes:
    return b"GET /graphql?query=%b HTTP/1.1\r\n%bAccept: %b\r\n\r\n" % (quote(query).encode(), HEAD, accept.encode())


CHUNKED = b"POST /graphql HTTP/1.1\r\n%bContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n" % HEAD

HTTP = (
    WireAttack("2,000 silent connections", b"", connections=2_000),
    WireAttack("500 slow headers", b"GET /graphql HTTP/1.1\r\n", connections=500, drip=b"X-A: b\r\n", drip_seconds=0.5),
    WireAttack("500 slow bodies", post(b"{", length=1_000), connections=500, drip=b" ", drip_seconds=0.5),
    WireAttack("200 bodies of 1 MB that never end", post(b" " * 1_000_000, length=1_000_001)),
    WireAttack("200 bodies of 1 MB in chunks that never end", CHUNKED + b"f4240\r\n" + b" " * 1_000_000 + b"\r\n"),
    WireAttack("bodies of 1 MB", post(b" " * 1_000_000), connections=4),
    WireAttack("a body longer than allowed", post(b" " * 2_000_000), connections=4),
    WireAttack("chunks of one byte", CHUNKED, connections=4, drip=b"1\r\n \r\n" * 20_000),
    WireAttack("chunk extensions of 16 KB", CHUNKED, connections=4, drip=b"1;" + b"a" * 16_000 + b"\r\n \r\n"),
    WireAttack("endless trailers", CHUNKED + b"0\r\n", connections=50, drip=b"X-A: b\r\n" * 2_000),
    WireAttack("a chunk of a huge size", CHUNKED + b"ffffffffffffffff\r\n", connections=50),
    WireAttack("pipelined queries", post(TRIVIAL) * 500, connections=4, drip=post(TRIVIAL) * 500),
    WireAttack("pipelined queries that nobody reads", post(TRIVIAL) * 500, connections=50, drip=post(TRIVIAL) * 500,
        reads=False),
    WireAttack("headers of 16 KB", b"GET /graphql HTTP/1.1\r\n" + HEAD + b"X-A: " + b"a" * 16_000 + END),
    WireAttack("headers of 1 MB", b"GET /graphql HTTP/1.1\r\n" + HEAD + b"X-A: " + b"a" * 1_000_000 + END),
    WireAttack("endless headers", b"GET /graphql HTTP/1.1\r\n" + HEAD, connections=50, drip=b"X-A: b\r\n" * 2_000),
    WireAttack("a request line of 1 MB", b"GET /graphql?query=" + b"a" * 1_000_000 + b" HTTP/1.1\r\n" + HEAD + END),
    WireAttack("an endless request line", b"GET /graphql?query=", connections=50, drip=b"a" * 16_000),
    WireAttack("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + END),
    WireAttack("a malformed header", b"GET /graphql HTTP/1.1\r\nbad header" + END),
    WireAttack("two lengths", post(TRIVIAL, more=b"Content-Length: 5\r\n")),
    WireAttack("a length and chunks", post(TRIVIAL, more=b"Transfer-Encoding: chunked\r\n")),
    WireAttack("Expect: 100-continue without a body", post(b"", length=1_000_000, more=b"Expect: 100-continue\r\n"),
        connections=500),
    WireAttack("unknown paths", b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"a" * 4_000, HEAD), connections=20,
        drip=b"GET /%b HTTP/1.1\r\n%b\r\n" % (b"a" * 4_000, HEAD)),
)  # fmt: skip
"""Raw HTTP: silent, slow, unfinished, huge and malformed requests."""

UNREAD = (
    WireAttack("60 responses of 15 MB that nobody reads", post(json.dumps({"query": LONG_RESPONSE}).encode()),
        connections=60, reads=False),
    WireAttack("60 GET responses of 15 MB that nobody reads", get(LONG_RESPONSE), connections=60, reads=False),
    WireAttack("60 event streams of 15 MB that nobody reads", get(LONG_RESPONSE, "text/event-stream"),
        connections=60, reads=False),
    WireAttack("15 MB read slowly", post(json.dumps({"query": LONG_RESPONSE}).encode()), connections=4),
)  # fmt: skip
"""Long responses whose clients do not read them."""


def frame(payload: bytes, *, opcode: int = 1, is_final: bool = True) -> bytes:
    """Encode a frame of a client, masked with zeros."""
    size = len(payload)
    first = bytes([(0x80 if is_final else 0) | opcode])
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + struct.pack("!H", size)
    else:
        length = b"\xff" + struct.pack("!Q", size)
    return first + length + bytes(4) + payload


def message(**content: object) -> bytes:
    return frame(json.dumps(content).encode())


def subscribe(operation_id: int, query: str) -> bytes:
    return message(id=str(operation_id), type="subscribe", payload={"query": query})


UPGRADE = (
    b"GET /graphql HTTP/1.1\r\n" + HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(os.urandom(16)) + b"\r\n"
    b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
)  # fmt: skip
INIT = message(type="connection_init")
RUN_EVENTS = 'subscription { runEvents(runId: "UnVuOnRocmVhZF8xOnJ1bl8x") { __typename } }'


def on_socket(name: str, then: bytes, *, connections: int = 50, drip: bytes = b"", reads: bool = True) -> WireAttack:
    return WireAttack(name, UPGRADE, connections, END, then, drip, reads=reads)


PART = frame(b" " * 1_000, is_final=False)
NEXT_PART = frame(b" " * 1_000, opcode=0, is_final=False)

WEBSOCKETS = (
    on_socket("1,500 sockets without init", b"", connections=1_500),
    on_socket("connection_init without end", INIT, connections=200),
    on_socket("floods of queries", INIT, drip=b"".join(subscribe(n, "{ __typename }") for n in range(200)),
        connections=10),
    on_socket("floods of subscribe under one id", INIT, drip=subscribe(1, RUN_EVENTS) * 200, connections=10),
    on_socket("floods of unknown runs", INIT, connections=10,
        drip=b"".join(subscribe(n, RUN_EVENTS) for n in range(90))),
    on_socket("floods of invalid documents", INIT, connections=10,
        drip=b"".join(subscribe(n, "{ " + " ".join(f"f{m}" for m in range(1_000)) + " }") for n in range(20))),
    on_socket("pings", INIT, drip=frame(b"x" * 125, opcode=9) * 2_000, connections=10),
    on_socket("pings that are not read", INIT, drip=frame(b"x" * 125, opcode=9) * 2_000, reads=False),
    on_socket("protocol pings", INIT, drip=message(type="ping") * 2_000, connections=10),
    on_socket("queries whose results are not read", INIT, reads=False,
        drip=b"".join(subscribe(n, LONG_RESPONSE) for n in range(3))),
    on_socket("200 messages of 1 MB never ended", INIT + PART + NEXT_PART * 1_000, connections=200),
    on_socket("200 frames of 1 MB never ended", INIT + frame(b" " * 1_000_000)[:-1], connections=200),
    on_socket("fragments of one byte", INIT + frame(b"{", is_final=False), connections=10,
        drip=frame(b" ", opcode=0, is_final=False) * 2_000),
    on_socket("messages of 1 MB", INIT, connections=4, drip=frame(b" " * 1_000_000)),
    on_socket("messages longer than allowed", INIT, connections=10, drip=frame(b" " * 2_000_000)),
    on_socket("binary messages", INIT, drip=frame(b"x", opcode=2)),
    on_socket("text that is not UTF-8", INIT, drip=frame(b"\xff\xfe")),
    on_socket("JSON of 100,000 levels", INIT, drip=frame(b"[" * 100_000), connections=10),
)  # fmt: skip
"""WebSockets: silent, flooding, endless and unread ones."""
