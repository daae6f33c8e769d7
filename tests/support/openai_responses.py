"""The official SDK against the emulator's conversations and responses: clients, and checks of what they get."""

from collections.abc import AsyncIterator

import pytest
from openai import AsyncOpenAI
from openai.types.responses import (
    FunctionToolParam,
    Response,
    ResponseStreamEvent,
)

from gateway.emulator.clock import ManualClock
from tests.support.clocks import EagerClock
from tests.support.emulator import Emulator, running_emulator
from tests.support.openai_sdk import check_object, openai_client

WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": True,
}
MODEL = "gpt-5-mini"
PLAIN_ANSWER = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with running_emulator(clock=EagerClock()) as emulator:
        yield emulator


@pytest.fixture
async def slow_emulator() -> AsyncIterator[Emulator]:
    """An emulator whose clock stands still until the test moves it."""
    async with running_emulator(clock=ManualClock()) as emulator:
        yield emulator


@pytest.fixture
async def slow_client(slow_emulator: Emulator) -> AsyncIterator[AsyncOpenAI]:
    async with openai_client(slow_emulator) as client:
        yield client


def names_of(events: list[ResponseStreamEvent]) -> list[str]:
    """Return the types of events. Deltas in a row count once."""
    names: list[str] = []
    for event in events:
        if not (event.type.endswith("delta") and names and names[-1] == event.type):
            names.append(event.type)
    return names


def check_events(events: list[ResponseStreamEvent], first: int = 0) -> None:
    """Check each event against its model, and that the sequence numbers have no gap."""
    for event in events:
        check_object(event)
    assert [event.sequence_number for event in events] == list(range(first, first + len(events)))


def check_response(response: Response) -> Response:
    assert response.object == "response"
    return check_object(response)
