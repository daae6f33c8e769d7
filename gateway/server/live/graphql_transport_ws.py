"""The WebSocket sub-protocol `graphql-transport-ws`: a pure function from a client's message to a decision.

Each message is a text frame with a JSON object. `id` names one operation of the socket; its client chooses it.

Messages from the client:

- `connection_init` comes first. Its payload may hold the credential. The gateway replies `connection_ack`, once.
- `subscribe` starts the operation `id`: a query, a mutation or a subscription. Its payload is a GraphQL request, which
  may name a trusted document in place of its text.
- `complete` stops the operation `id`. An unknown id is ignored, since the operation may just have ended.
- `ping`, with any payload, is answered by `pong` with the same payload, also before `connection_init`. After it, a
  payload with a credential renews that of the socket; its `pong` leaves the credential out. Beyond the rate of
  `PingLimit`, the answer waits, and so does whatever comes behind it.
- `pong` is ignored.

Messages from the gateway:

- `connection_ack` accepts the connection. Until then, `subscribe` closes the socket.
- `next` is one result of the operation `id`: exactly one for a query or a mutation, one per event for a subscription.
- `error` ends the operation `id` with GraphQL errors. No other message of the operation follows, and the socket stays
  open.
- `complete` ends the operation `id` after its last `next`. From then on, its id may be used again.
- `pong`. The gateway's own heartbeat is a ping frame of WebSocket, which browsers answer by themselves.

A violation of the protocol closes the socket with one of the codes in `CloseCode`.

Source: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md. The reasons of 4401 to 4429 are its words.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import orjson

from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.http.graphql_request import GraphQLRequest, request_from_parameters
from gateway.server.http.graphql_response import encode_json
from schema.contract.encoded_json import EncodedJson, wrap_json
from schema.contract.errors import GatewayError

SUBPROTOCOL = "graphql-transport-ws"

MAX_ID_LENGTH = 256
"""Longest id of an operation, in characters. The protocol has no limit, but the gateway holds ids in memory."""

MAX_REASON_BYTES = 123
"""Longest reason of a close frame. Source: RFC 6455 section 5.5."""


class CloseCode(IntEnum):
    """The codes with which the gateway closes a socket.

    aiohttp adds 1009 for a message that is too long, and a connection 1013 while too much of all clients is unfinished.
    Source: PROTOCOL.md, except for 1008 and 1012, which are registered at
    https://www.iana.org/assignments/websocket/websocket.xhtml.
    """

    TOO_MANY_PINGS = 1008
    """The client has sent more pings than are answered, for a while. The code is that of a violated policy."""

    SERVICE_RESTART = 1012
    """The gateway stops. The client should connect again."""

    BAD_MESSAGE = 4400
    """A message is not text, not JSON, or not a message of this protocol."""

    UNAUTHORIZED = 4401
    """`subscribe` came before the acknowledgement, or this client can never be accepted. `graphql-ws` gives up."""

    FORBIDDEN = 4403
    """The credential has ended, or a new one may help. `graphql-ws` comes again with fresh `connectionParams`."""

    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    """The client did not offer `graphql-transport-ws`."""

    INIT_TIMEOUT = 4408
    """`connection_init` did not come in time."""

    SUBSCRIBER_EXISTS = 4409
    """`subscribe` has the id of an operation in flight."""

    TOO_MANY_INITS = 4429
    """`connection_init` came twice."""


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Decision: close the socket at once."""

    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class InitialiseConnection:
    """Decision: determine the principal from this payload of `connection_init`, then acknowledge."""

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RenewCredential:
    """Decision: determine the principal anew from these credentials, then send the pong."""

    authorization: Sequence[str]
    pong: bytes


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Decision: send this message."""

    message: bytes


@dataclass(frozen=True, slots=True)
class StartOperation:
    """Decision: start an operation."""

    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class RefuseOperation:
    """Decision: end an operation with an error, before it has started."""

    id: str
    error: GatewayError


@dataclass(frozen=True, slots=True)
class StopOperation:
    """Decision: stop an operation, if it is still in flight."""

    id: str


@dataclass(frozen=True, slots=True)
class IgnoreMessage:
    """Decision: do nothing."""


Decision: TypeAlias = (
    CloseSocket
    | InitialiseConnection
    | RenewCredential
    | SendMessage
    | StartOperation
    | RefuseOperation
    | StopOperation
    | IgnoreMessage
)


def interpret_message(
    text: str, documents: DocumentPolicy, *, is_initialised: bool, active_ids: Container[str]
) -> Decision:
    """Decide how to react to a text message. `documents` chooses the text of an operation.

    `is_initialised` says whether `connection_init` has been accepted. `active_ids` are the ids of operations in flight.
    """
    message = _parse_message(text)
    if isinstance(message, CloseSocket):
        return message
    type_ = message.get("type")
    if type_ == "subscribe":
        return _subscribe(message, documents, is_initialised, active_ids)
    if type_ == "complete":
        return _id_fault(message) or StopOperation(message["id"])
    if type_ not in ("connection_init", "ping", "pong"):
        return _bad_message("Expected a message type of a client")
    payload = message.get("payload")
    if not isinstance(payload, dict | None):
        return _bad_message(f"Expected the payload of {type_} to be an object")
    if type_ == "connection_init":
        return _initialise(payload, is_initialised)
    return _answer_ping(payload, is_initialised) if type_ == "ping" else IgnoreMessage()


def _parse_message(text: str) -> dict[str, Any] | CloseSocket:
    try:
        message = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _bad_message("Expected a message of JSON")
    return message if isinstance(message, dict) else _bad_message("Expected a message that is a JSON object")


def _initialise(payload: Mapping[str, Any] | None, is_initialised: bool) -> Decision:
    if is_initialised:
        return CloseSocket(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")
    return InitialiseConnection(payload or {})


def _answer_ping(payload: Mapping[str, Any] | None, is_initialised: bool) -> Decision:
    authorization = authorization_from_payload(payload) if payload and is_initialised else None
    if payload is None or authorization is None:
        return SendMessage(pong_message(payload))
    rest = {name: value for name, value in payload.items() if name.lower() not in {"authorization", "headers"}}
    return RenewCredential(authorization, pong_message(rest))


def _subscribe(
    message: Mapping[str, Any], documents: DocumentPolicy, is_initialised: bool, active_ids: Container[str]
) -> Decision:
    if (fault := _id_fault(message) or _request_fault(message.get("payload"))) is not None:
        return fault
    if not is_initialised:
        return CloseSocket(CloseCode.UNAUTHORIZED, "Unauthorized")
    id_ = message["id"]
    if id_ in active_ids:
        return CloseSocket(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {id_} already exists")
    try:
        return StartOperation(id_, request_from_parameters(message["payload"], documents))
    except GatewayError as error:
        return RefuseOperation(id_, error)


def _id_fault(message: Mapping[str, Any]) -> CloseSocket | None:
    id_ = message.get("id")
    if not isinstance(id_, str) or not id_:
        return _bad_message("Expected an id that is a string with something in it")
    return _bad_message(f"Expected an id of at most {MAX_ID_LENGTH} characters") if len(id_) > MAX_ID_LENGTH else None


def _request_fault(payload: object) -> CloseSocket | None:
    if not isinstance(payload, dict):
        return _bad_message("Expected the payload of subscribe to be an object")
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), dict | None):
            return _bad_message(f"Expected {name} to be an object or null")
    names_document = payload.get("documentId") is not None or "persistedQuery" in (payload.get("extensions") or ())
    if not isinstance(payload.get("query"), str | None if names_document else str):
        return _bad_message("Expected the query to be a string")
    if not isinstance(payload.get("operationName"), str | None):
        return _bad_message("Expected operationName to be a string or null")
    return None


def _bad_message(reason: str) -> CloseSocket:
    return CloseSocket(CloseCode.BAD_MESSAGE, reason)


def authorization_from_payload(payload: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Collect the values of `Authorization` in the payload of `connection_init`, or of a `ping`.

    The name is case-insensitive, at the top of the payload or in an object `headers`. A value that is no string counts
    as an empty credential, which is refused later.

    Returns:
        The values, or None if there is none.
    """
    headers = payload.get("headers")
    values = [
        value if isinstance(value, str) else ""
        for part in (payload, headers if isinstance(headers, dict) else {})
        for name, value in part.items()
        if name.lower() == "authorization" and value is not None
    ]
    return tuple(values) or None


def encode_close_reason(reason: str) -> bytes:
    """Encode the reason of a close frame, cut to `MAX_REASON_BYTES` between two characters."""
    return reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode()


ACK_MESSAGE = b'{"type":"connection_ack"}'


def pong_message(payload: Mapping[str, Any] | None) -> bytes:
    """Encode a `pong` with the payload of the ping. A payload too deeply nested to encode is left out."""
    if payload:
        try:
            return orjson.dumps({"type": "pong", "payload": payload})
        except TypeError:
            pass
    return b'{"type":"pong"}'


def next_message(id_: str, payload: EncodedJson) -> EncodedJson:
    """Encode a `next` with one result. `payload` is JSON."""
    return wrap_json(b'{"type":"next","id":%b,"payload":' % orjson.dumps(id_), payload, b"}")


def error_message(id_: str, errors: Sequence[Mapping[str, Any]]) -> bytes:
    """Encode an `error`, which ends an operation."""
    return encode_json({"type": "error", "id": id_, "payload": errors})


def complete_message(id_: str) -> bytes:
    """Encode a `complete`, which ends an operation."""
    return b'{"type":"complete","id":%b}' % orjson.dumps(id_)
