"""What a message of a client means: the sub-protocol `graphql-transport-ws`, as decisions. Pure.

Source: PROTOCOL.md of npm's graphql-ws; the quotations below are its own words.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import orjson

from gateway.server.http.graphql_request import GraphQLRequest, request_from_parameters
from gateway.server.http.graphql_response import encode_json
from schema.contract.errors import GatewayError

SUBPROTOCOL = "graphql-transport-ws"

MAX_ID_LENGTH = 256
"""Longest id of an operation, in characters. The protocol names no limit, but a server holds them."""

MAX_REASON_BYTES = 123
"""Longest reason of a close frame. Source: RFC 6455 section 5.5."""


class CloseCode(IntEnum):
    """Why the gateway closes a socket."""

    SERVICE_RESTART = 1012
    BAD_MESSAGE = 4400
    UNAUTHORIZED = 4401
    FORBIDDEN = 4403
    SUBPROTOCOL_NOT_ACCEPTABLE = 4406
    INIT_TIMEOUT = 4408
    SUBSCRIBER_EXISTS = 4409
    TOO_MANY_INITS = 4429


@dataclass(frozen=True, slots=True)
class CloseSocket:
    """Close the socket at once."""

    code: CloseCode
    reason: str


@dataclass(frozen=True, slots=True)
class InitialiseConnection:
    """Decide who the client is, then acknowledge."""

    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Send this message."""

    message: bytes


@dataclass(frozen=True, slots=True)
class StartOperation:
    """Begin an operation."""

    id: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class RefuseOperation:
    """Say that an operation cannot be begun."""

    id: str
    error: GatewayError


@dataclass(frozen=True, slots=True)
class StopOperation:
    """Stop an operation, where it is still under way."""

    id: str


@dataclass(frozen=True, slots=True)
class IgnoreMessage:
    """Do nothing."""


Decision: TypeAlias = (
    CloseSocket | InitialiseConnection | SendMessage | StartOperation | RefuseOperation | StopOperation | IgnoreMessage
)


def interpret_message(text: str, *, is_initialised: bool, active_ids: Container[str]) -> Decision:
    """Decide what a text message asks for.

    `is_initialised` says whether a first `connection_init` has come; `active_ids` holds the ids of operations under way.
    """
    message = _parse_message(text)
    if isinstance(message, CloseSocket):
        return message
    kind = message.get("type")
    if kind == "subscribe":
        return _subscribe(message, is_initialised, active_ids)
    if kind == "complete":
        return _id_fault(message) or StopOperation(message["id"])
    if kind not in ("connection_init", "ping", "pong"):
        return _bad_message("Expected a message type of a client")
    payload = message.get("payload")
    if not isinstance(payload, dict | None):
        return _bad_message(f"Expected the payload of {kind} to be an object")
    if kind == "connection_init":
        return _initialise(payload, is_initialised)
    return SendMessage(pong_message(payload)) if kind == "ping" else IgnoreMessage()


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


def _subscribe(message: Mapping[str, Any], is_initialised: bool, active_ids: Container[str]) -> Decision:
    if (wrong := _id_fault(message) or _request_fault(message.get("payload"))) is not None:
        return wrong
    if not is_initialised:
        return CloseSocket(CloseCode.UNAUTHORIZED, "Unauthorized")
    id_ = message["id"]
    if id_ in active_ids:
        return CloseSocket(CloseCode.SUBSCRIBER_EXISTS, f"Subscriber for {id_} already exists")
    try:
        return StartOperation(id_, request_from_parameters(message["payload"]))
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
    if not isinstance(payload.get("query"), str):
        return _bad_message("Expected the query to be a string")
    if not isinstance(payload.get("operationName"), str | None):
        return _bad_message("Expected operationName to be a string or null")
    for name in ("variables", "extensions"):
        if not isinstance(payload.get(name), dict | None):
            return _bad_message(f"Expected {name} to be an object or null")
    return None


def _bad_message(reason: str) -> CloseSocket:
    return CloseSocket(CloseCode.BAD_MESSAGE, reason)


def authorization_from_payload(payload: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The values of `Authorization` in the payload of `connection_init`; None where it says nothing of it.

    The name may be in any case of letters, beside the rest or in an object `headers`. What is no text counts as an
    empty credential, which is refused.
    """
    headers = payload.get("headers")
    found = [
        value if isinstance(value, str) else ""
        for part in (payload, headers if isinstance(headers, dict) else {})
        for name, value in part.items()
        if name.lower() == "authorization" and value is not None
    ]
    return tuple(found) or None


def encode_close_reason(reason: str) -> bytes:
    """Encode the reason of a close frame, cut to what such a frame can hold."""
    return reason.encode("utf-8", "replace")[:MAX_REASON_BYTES].decode("utf-8", "ignore").encode()


ACK_MESSAGE = b'{"type":"connection_ack"}'


def pong_message(payload: Mapping[str, Any] | None) -> bytes:
    """The answer to a ping, with its payload unless that is nested beyond what can be written."""
    if payload:
        try:
            return orjson.dumps({"type": "pong", "payload": payload})
        except TypeError:
            pass
    return b'{"type":"pong"}'


def next_message(id_: str, payload: bytes) -> bytes:
    """An answer of an operation; `payload` is JSON already."""
    return b'{"type":"next","id":%b,"payload":%b}' % (orjson.dumps(id_), payload)


def error_message(id_: str, errors: Sequence[Mapping[str, Any]]) -> bytes:
    """The errors that ended an operation; nothing of it follows."""
    return encode_json({"type": "error", "id": id_, "payload": errors})


def complete_message(id_: str) -> bytes:
    """The end of an operation."""
    return b'{"type":"complete","id":%b}' % orjson.dumps(id_)
