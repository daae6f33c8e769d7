"""Tests each document and each set of variables of the attack corpus: its code, its short answer, its few calls."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any

import pytest

from gateway.compose import DEMO_KEY
from tests.attacks import documents, variables
from tests.attacks.attack import OperationAttack, error_codes
from tests.support.gateway import running_command, url_in

THREAD = "thread_demoTripToKyoto000000001"
HEADERS = {"Authorization": f"Bearer {DEMO_KEY}", "Content-Type": "application/json", "OpenAI-Beta": "assistants=v2"}
COUNTING_RULE = {"rules": [{"operation": "*", "fault": "latency", "latency_ms": 1}]}
MAX_REFUSAL_BYTES = 3_000
MAX_ERRORS = 10
MAX_MESSAGE_LENGTH = 350
"""The longest message: one with a piece of 200 characters of the request."""


@dataclass(frozen=True)
class Place:
    """A gateway over an emulator that counts its calls, both programs of their own."""

    gateway: HTTPConnection
    emulator: HTTPConnection

    def reset_calls(self) -> None:
        send(self.emulator, "PUT", "/_emulator/faults", json.dumps(COUNTING_RULE).encode())

    def calls(self) -> int:
        (rule,) = json.loads(send(self.emulator, "GET", "/_emulator/faults"))["rules"]
        seen: int = rule["seen"]
        return seen


def connect(url: str) -> HTTPConnection:
    return HTTPConnection(url.removeprefix("http://"), timeout=60)


def send(connection: HTTPConnection, method: str, path: str, body: bytes | None = None) -> bytes:
    connection.request(method, path, body, HEADERS)
    return connection.getresponse().read()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with running_command("emulator", "--port", "0", "--fault-control", "true") as (_, printed):
        emulator_url = url_in(printed, "Base URL")
        serve = ("serve", "--port", "0", "--profile", "development")
        with running_command(*serve, UPSTREAM_URL=f"{emulator_url}/v1") as (_, served):
            place = Place(connect(url_in(served, "GraphQL")), connect(emulator_url))
            long = json.dumps({"model": "m", "instructions": "x" * 250_000}).encode()
            send(place.emulator, "POST", "/v1/assistants", long)
            yield place
            place.gateway.close()
            place.emulator.close()


def sent(place: Place, attack: OperationAttack) -> tuple[Any, int, int]:
    """Return the response to an attack, its size, and the number of upstream calls."""
    place.reset_calls()
    answer = send(place.gateway, "POST", "/graphql", attack.body(THREAD))
    assert set(error_codes(answer)) == ({attack.code} if attack.code else set())
    return json.loads(answer), len(answer), place.calls()


@pytest.mark.parametrize("attack", [*documents.REFUSED, *variables.REFUSED], ids=lambda attack: attack.name)
def test_a_refusal_is_short_and_costs_no_call(place: Place, attack: OperationAttack) -> None:
    answer, size, calls = sent(place, attack)
    assert calls == 0
    assert size <= MAX_REFUSAL_BYTES
    assert set((answer.get("data") or {}).values()) <= {None}
    assert len(answer["errors"]) <= MAX_ERRORS
    assert max(len(error["message"]) for error in answer["errors"]) <= MAX_MESSAGE_LENGTH


@pytest.mark.parametrize("attack", [*documents.LARGEST, *variables.LARGEST], ids=lambda attack: attack.name)
def test_the_largest_operation_within_all_limits_gets_its_answer(place: Place, attack: OperationAttack) -> None:
    answer, _, _ = sent(place, attack)
    assert all(len(error["message"]) <= MAX_MESSAGE_LENGTH for error in answer.get("errors", ()))
