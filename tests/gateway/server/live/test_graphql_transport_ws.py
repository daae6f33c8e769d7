"""Each message leads to the decision that PROTOCOL.md of graphql-ws prescribes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.server.documents.document_policy import DocumentPolicy
from gateway.server.http.graphql_request import GraphQLRequest
from gateway.server.live.graphql_transport_ws import (
    MAX_REASON_BYTES,
    CloseCode,
    CloseSocket,
    Decision,
    IgnoreMessage,
    InitialiseConnection,
    RefuseOperation,
    RenewCredential,
    SendMessage,
    StartOperation,
    StopOperation,
    authorization_from_payload,
    complete_message,
    encode_close_reason,
    error_message,
    interpret_message,
    next_message,
)
from schema.contract.encoded_json import to_pieces


def decided(message: Any, *, is_initialised: bool = True, active_ids: frozenset[str] = frozenset()) -> Decision:
    text = message if isinstance(message, str) else json.dumps(message)
    return interpret_message(text, DocumentPolicy(), is_initialised=is_initialised, active_ids=active_ids)


def subscribe(**payload: Any) -> dict[str, Any]:
    return {"type": "subscribe", "id": "1", "payload": {"query": "{ a }", **payload}}


@pytest.mark.parametrize(
    ("message", "decision"),
    [
        ({"type": "connection_init"}, InitialiseConnection({})),
        ({"type": "connection_init", "payload": None}, InitialiseConnection({})),
        ({"type": "connection_init", "payload": {"a": 1}}, InitialiseConnection({"a": 1})),
        ({"type": "ping"}, SendMessage(b'{"type":"pong"}')),
        ({"type": "ping", "payload": None}, SendMessage(b'{"type":"pong"}')),
        ({"type": "ping", "payload": {"a": [1]}}, SendMessage(b'{"type":"pong","payload":{"a":[1]}}')),
        (
            {"type": "ping", "payload": {"Authorization": "x"}},
            SendMessage(b'{"type":"pong","payload":{"Authorization":"x"}}'),
        ),
        ({"type": "pong", "payload": {"a": 1}}, IgnoreMessage()),
        ({"type": "complete", "id": "1"}, StopOperation("1")),
        (subscribe(), CloseSocket(CloseCode.UNAUTHORIZED, "Unauthorized")),
    ],
)
def test_messages_before_the_first_init(message: Any, decision: Decision) -> None:
    assert decided(message, is_initialised=False) == decision


@pytest.mark.parametrize(
    ("message", "decision"),
    [
        ({"type": "connection_init"}, CloseSocket(CloseCode.TOO_MANY_INITS, "Too many initialisation requests")),
        (
            {"type": "ping", "payload": {"authorization": "Bearer x", "a": 1}},
            RenewCredential(("Bearer x",), b'{"type":"pong","payload":{"a":1}}'),
        ),
        (
            {"type": "ping", "payload": {"headers": {"Authorization": "Bearer x"}}},
            RenewCredential(("Bearer x",), b'{"type":"pong"}'),
        ),
        ({"type": "ping", "payload": {"Authorization": 5}}, RenewCredential(("",), b'{"type":"pong"}')),
        (subscribe(), StartOperation("1", GraphQLRequest("{ a }"))),
        (
            subscribe(operationName="A", variables={"v": 1}, extensions={"e": 2}),
            StartOperation("1", GraphQLRequest("{ a }", "A", {"v": 1}, {"e": 2})),
        ),
        (subscribe(operationName=None, variables=None, extensions=None), StartOperation("1", GraphQLRequest("{ a }"))),
        ({**subscribe(), "unknown": True}, StartOperation("1", GraphQLRequest("{ a }"))),
        ({"type": "complete", "id": "unknown"}, StopOperation("unknown")),
        ({"type": "ping"}, SendMessage(b'{"type":"pong"}')),
    ],
)
def test_messages_after_the_first_init(message: Any, decision: Decision) -> None:
    assert decided(message) == decision


@pytest.mark.parametrize(
    "message",
    [
        "",
        "nonsense",
        '{"type": "ping"',
        '{"type": "ping", "payload": {"half": "\\ud800"}}',
        [],
        "1",
        {},
        {"type": None},
        {"type": 1},
        {"type": ["ping"]},
        {"type": "unknown"},
        {"type": "PING"},
        {"type": "connection_ack"},
        {"type": "next", "id": "1", "payload": {}},
        {"type": "error", "id": "1", "payload": []},
        {"type": "connection_init", "payload": "text"},
        {"type": "ping", "payload": []},
        {"type": "pong", "payload": 1},
        {"type": "complete"},
        {"type": "complete", "id": ""},
        {"type": "complete", "id": 1},
        {"type": "subscribe", "id": "1"},
        {"type": "subscribe", "payload": {"query": "{ a }"}},
        {**subscribe(), "id": ""},
        {**subscribe(), "id": 1},
        {**subscribe(), "id": "x" * 257},
        {**subscribe(), "payload": "{ a }"},
        subscribe(query=None),
        subscribe(query=1),
        subscribe(operationName=1),
        subscribe(variables=[]),
        subscribe(extensions="x"),
        subscribe(extensions=1),
        subscribe(extensions=True),
    ],
)
@pytest.mark.parametrize("is_initialised", [False, True])
def test_a_message_outside_the_protocol_closes_the_socket(message: Any, is_initialised: bool) -> None:
    decision = decided(message, is_initialised=is_initialised)
    assert isinstance(decision, CloseSocket)
    assert decision.code is CloseCode.BAD_MESSAGE
    assert 0 < len(decision.reason) <= MAX_REASON_BYTES


def test_an_id_may_be_used_again_but_not_twice_at_once() -> None:
    exists = CloseSocket(CloseCode.SUBSCRIBER_EXISTS, "Subscriber for 1 already exists")
    assert decided(subscribe(), active_ids=frozenset({"1"})) == exists
    assert isinstance(decided(subscribe(), active_ids=frozenset({"2"})), StartOperation)


def test_an_empty_document_is_an_error_of_its_operation() -> None:
    decision = decided(subscribe(query="  "))
    assert isinstance(decision, RefuseOperation)
    assert decision.id == "1"
    assert "empty" in decision.error.message


def test_a_ping_nested_too_deep_to_encode_gets_a_pong_without_payload() -> None:
    deep = '{"type": "ping", "payload": {"a": ' + "[" * 500 + "]" * 500 + "}}"
    assert decided(deep) == SendMessage(b'{"type":"pong"}')


@given(st.text() | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(json.dumps))
def test_every_text_leads_to_a_decision(text: str) -> None:
    assert isinstance(interpret_message(text, DocumentPolicy(), is_initialised=True, active_ids=()), Decision)


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({}, None),
        ({"token": "x"}, None),
        ({"authorization": None}, None),
        ({"headers": "Authorization: x"}, None),
        ({"headers": {"accept": "x"}}, None),
        ({"Authorization": "Bearer a"}, ("Bearer a",)),
        ({"aUTHORIZATION": "Bearer a"}, ("Bearer a",)),
        ({"headers": {"authorization": "Bearer a"}}, ("Bearer a",)),
        ({"Authorization": ""}, ("",)),
        ({"Authorization": ["Bearer a"]}, ("",)),
        ({"Authorization": "Bearer a", "headers": {"Authorization": "Bearer b"}}, ("Bearer a", "Bearer b")),
    ],
)
def test_the_credential_is_found_where_clients_put_it(payload: Any, found: tuple[str, ...] | None) -> None:
    assert authorization_from_payload(payload) == found


@given(st.text())
def test_a_reason_fits_into_a_close_frame_and_is_text(reason: str) -> None:
    short = encode_close_reason(reason)
    assert len(short) <= MAX_REASON_BYTES
    short.decode()


def test_the_messages_of_an_operation() -> None:
    id_ = 'a"b'
    sent = b"".join(to_pieces(next_message(id_, b'{"data":1}')))
    assert json.loads(sent) == {
        "type": "next",
        "id": id_,
        "payload": {"data": 1},
    }
    assert json.loads(error_message(id_, [{"message": "no"}])) == {
        "type": "error",
        "id": id_,
        "payload": [{"message": "no"}],
    }
    assert json.loads(complete_message(id_)) == {"type": "complete", "id": id_}
