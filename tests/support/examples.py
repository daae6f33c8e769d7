"""The example operations of `queries/` with their budgets, and a client that follows subscriptions."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from graphql import OperationDefinitionNode, OperationType, parse

from tests.support.graphql import GraphQLClient
from tests.support.subscription_gateway import read_frame

BUDGET = re.compile(
    r"# calls: (?P<calls>\d+)(, chain: (?P<chain>\d+))?"
    r"(, repeated: (?P<repeated>\d+))?(, followed: (?P<followed>\d+))?$"
)


@dataclass(frozen=True)
class Example:
    """One file: its text, and its operations in order."""

    path: Path
    text: str
    operations: tuple[OperationDefinitionNode, ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def kinds(self) -> tuple[OperationType, ...]:
        return tuple(operation.operation for operation in self.operations)

    @property
    def budget(self) -> Mapping[str, int]:
        """The budget in the third line, as numbers by name."""
        found = BUDGET.match(self.text.splitlines()[2])
        assert found, f"{self.path}: expected a budget on the third line"
        return {name: int(number) for name, number in found.groupdict().items() if number is not None}

    def named(self, kind: OperationType) -> str:
        """Return the name of the only operation of a kind."""
        (name,) = (operation.name for operation in self.operations if operation.operation is kind)
        assert name
        return name.value


def load_examples() -> list[Example]:
    paths = sorted((Path(__file__).parents[2] / "queries").glob("*.graphql"))
    return [Example(path, path.read_text(), _operations(path.read_text())) for path in paths]


def _operations(text: str) -> tuple[OperationDefinitionNode, ...]:
    return tuple(node for node in parse(text).definitions if isinstance(node, OperationDefinitionNode))


@dataclass
class Stream:
    """An open event stream of one subscription."""

    response: aiohttp.ClientResponse

    async def event(self) -> Any:
        """Return the next event without its wrapping, or None at the end. An error fails the test."""
        frame = await read_frame(self.response)
        if frame["event"] == "complete":
            return None
        payload = json.loads(frame["data"])
        assert "errors" not in payload, payload["errors"]
        (event,) = payload["data"].values()
        return event

    async def events(self) -> AsyncIterator[Any]:
        """Return all events up to the end."""
        while (event := await self.event()) is not None:
            yield event


@asynccontextmanager
async def following(
    gateway: GraphQLClient, document: str, *, operation_name: str | None = None, headers: Any = None, **variables: Any
) -> AsyncIterator[Stream]:
    """Open a subscription. On return, the gateway has its initial state."""
    body = {"query": document, "operationName": operation_name, "variables": variables}
    headers = {"Accept": "text/event-stream", **(headers or {})}
    async with gateway.session.post(f"{gateway.url}/graphql", json=body, headers=headers) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream"), await response.text()
        yield Stream(response)
