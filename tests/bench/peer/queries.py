"""The four queries, in the spelling of the gateway and in that of the peer, with the variables of each request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

THREADS = 400
"""Requests go round so many threads, so that no two at once ask for the same."""

_PAGE = "pageInfo { hasNextPage endCursor }"
_SHORT = "id role createdAt content { ... on %s { text } }"
_FULL = """id createdAt completedAt incompleteAt role status incompleteReason %(references)s fileIds metadata%(entries)s
  content {
    ... on %(text)s { text annotations { __typename
      ... on %(citation)s { text startIndex endIndex fileId quote }
      ... on %(path)s { text startIndex endIndex fileId } } }
    ... on %(image)s { fileId } }"""

OURS = {
    "threads": "threadsByIds",
    "entries": "",
    "text": "TextContent",
    "image": "ImageFileContent",
    "citation": "FileCitation",
    "path": "FilePath",
    "references": "assistant { id } run { id } thread { id }",
}
PEERS = {
    "threads": "threads",
    "entries": " { key value }",
    "text": "Text",
    "image": "Image",
    "citation": "Citation",
    "path": "Path",
    "references": "assistantId runId threadId",
}


@dataclass(frozen=True)
class BenchQuery:
    """A query, with what it shows, in both spellings. `variables` makes those of the n-th request."""

    name: str
    shows: str
    ours: str
    peers: str
    variables: Callable[[int], dict[str, Any]]

    def body(self, text: str, number: int) -> bytes:
        """Make the body of the n-th request."""
        return json.dumps({"query": text, "variables": self.variables(number)}).encode()


def _one(number: int) -> dict[str, Any]:
    return {"id": f"thread_{number % THREADS}"}


def _many(number: int) -> dict[str, Any]:
    return {"ids": [f"thread_{(25 * number + each) % THREADS}" for each in range(25)]}


def _q1(words: dict[str, str]) -> str:
    messages = f"edges {{ cursor node {{ {_SHORT % words['text']} }} }} {_PAGE}"
    return f"query Conversation($id: ID!) {{ thread(id: $id) {{ id createdAt messages(first: 20) {{ {messages} }} }} }}"


def _q2(words: dict[str, str]) -> str:
    messages = f"messages(first: 10) {{ edges {{ node {{ {_SHORT % words['text']} }} }} {_PAGE} }}"
    usage = "usage { promptTokens completionTokens totalTokens }"
    steps = "steps(first: 5) { edges { node { id type status } } }"
    runs = f"runs(first: 3) {{ edges {{ node {{ id status {usage} {steps} }} }} }}"
    thread = f"id createdAt metadata{words['entries']} {messages} {runs}"
    return f"query Overview($ids: [ID!]!) {{ {words['threads']}(ids: $ids) {{ {thread} }} }}"


def _q3(words: dict[str, str]) -> str:
    messages = f"messages(first: 1000) {{ edges {{ cursor node {{ {_FULL % words} }} }} {_PAGE} }}"
    return f"query Everything($id: ID!) {{ thread(id: $id) {{ id createdAt metadata{words['entries']} {messages} }} }}"


def _q4(words: dict[str, str]) -> str:
    aliases = " ".join(f"again{number}: thread(id: $id) {{ ...Shown }}" for number in range(20))
    message = "id role thread { id createdAt } run { id status }"
    shown = f"id createdAt metadata{words['entries']} messages(first: 5) {{ edges {{ node {{ {message} }} }} }}"
    return f"query Aliases($id: ID!) {{ {aliases} }} fragment Shown on Thread {{ {shown} }}"


QUERIES = [
    BenchQuery(name, shows, make(OURS), make(PEERS), variables)
    for name, shows, make, variables in (
        ("q1", "a thread with 20 messages", _q1, _one),
        ("q2", "25 threads with 10 messages and 3 runs with steps each", _q2, _many),
        ("q3", "1,000 messages with all their fields", _q3, _one),
        ("q4", "a thread by 20 aliases, whose messages lead back to it", _q4, _one),
    )
]
