"""Attacks by variables: what is refused, and the largest that is allowed."""

from typing import Any

from tests.attacks.attack import THREAD, OperationAttack

CREATE_THREAD = "mutation ($input: CreateThreadInput!) { createThread(input: $input) { clientMutationId } }"
NODES = "query ($ids: [ID!]!) { nodes(ids: $ids) { id } }"
BAD_INPUT = "BAD_USER_INPUT"
INVALID = "GRAPHQL_VALIDATION_FAILED"
MESSAGE = {"content": [{"text": "x"}]}


def nested_lists(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


def creating(name: str, given: Any, code: str | None = BAD_INPUT) -> OperationAttack:
    return OperationAttack(name, CREATE_THREAD, {"input": given}, code)


REFUSED = (
    creating("30,000 messages in one input", {"messages": [MESSAGE] * 30_000}),
    creating("30,000 empty messages", {"messages": [{}] * 30_000}),
    creating("80,000 unknown fields", {f"f{n}": 1 for n in range(80_000)}),
    creating("60,000 metadata", {"metadata": {f"k{n}": "v" for n in range(60_000)}}),
    creating("JSON of 500 levels", {"metadata": nested_lists(500)}, INVALID),
    creating("a number of 100 KB", {"metadata": {"a": int("9" * 4_000)}}),
    creating("a text of 900 KB for an enum", {"messages": [{"role": "A" * 900_000, "content": []}]}, INVALID),
    creating("a text of 900 KB for a list", {"messages": "A" * 900_000}, INVALID),
    creating("a field name of 900 KB", {"a" * 900_000: 1}, INVALID),
    OperationAttack("50,000 unknown variables", "{ __typename }", {f"v{n}": 1 for n in range(50_000)}, BAD_INPUT),
    OperationAttack("100,000 ids", NODES, {"ids": ["a"] * 100_000}, BAD_INPUT),
    OperationAttack("an id of 900 KB", "query ($id: ID!) { thread(id: $id) { id } }", {"id": "a" * 900_000}, BAD_INPUT),
)  # fmt: skip
"""Variables beyond a limit."""

LARGEST = (
    OperationAttack("a cursor of 900 KB", f'query ($c: String) {{ thread(id: "{THREAD}") '
        "{ messages(first: 1, after: $c) { nodes { id } } } }", {"c": "a" * 900_000}, BAD_INPUT),
    creating("1,000 messages in one input", {"messages": [MESSAGE] * 1_000}, None),
    creating("1,000 unknown fields", {f"f{n}": 1 for n in range(1_000)}, INVALID),
    creating("1,000 faulty messages", {"messages": [{"rolle": "USER", "content": []}] * 1_000}, INVALID),
    creating("1,000 metadata", {"metadata": {f"k{n}": "v" for n in range(1_000)}}, None),
    creating("a text of 900 KB", {"messages": [{"content": [{"text": "x" * 900_000}]}]}, None),
    creating("a text of 300 KB of line ends", {"messages": [{"content": [{"text": "\n" * 300_000}]}]}, None),
    OperationAttack("100 unreadable ids", NODES, {"ids": [f"x{n}" for n in range(100)]}, BAD_INPUT),
)  # fmt: skip
"""Variables within all limits, as large as they may be."""

VARIABLES = REFUSED + LARGEST
