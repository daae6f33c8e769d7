"""Tests that every example in `queries/` runs unchanged on the demo's data, and states its purpose and its cost.

Its first two lines are for people. The third is the budget: the upstream calls, the longest chain of them, and the
calls of the same query repeated at once. `test_example_subscriptions` explains the budget of a subscription.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest
from graphql import OperationType, parse, validate

from gateway.compose import DEMO_KEY
from schema.root import build_schema
from tests.support.emulator import Emulator, running_emulator
from tests.support.examples import Example, load_examples
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_demo_gateway
from tests.support.valkey import Valkey

EXAMPLES = load_examples()
SCHEMA = build_schema()._schema


def each_example() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)


QUERIES = [example for example in EXAMPLES if OperationType.SUBSCRIPTION not in example.kinds]


def each_query(short: Sequence[Example] = QUERIES) -> pytest.MarkDecorator:
    """Return the examples that are one query or mutation. Those not in `short` run only in a full run."""
    return pytest.mark.parametrize("example", long_except(QUERIES, short), ids=lambda example: example.name)


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator with the demo's data."""
    async with running_emulator(seed_keys=(DEMO_KEY,)) as emulator:
        yield emulator


@pytest.fixture
async def demo(emulator: Emulator) -> AsyncIterator[Gateway]:
    async with running_demo_gateway(emulator) as gateway:
        yield gateway


async def run(demo: Gateway, example: Example, **variables: Any) -> Any:
    reply = await demo.post({"query": example.text, "variables": variables})
    assert reply.status == 200
    assert "errors" not in reply.json, reply.json["errors"]
    return reply.json["data"]


def query(name: str) -> Example:
    (found,) = [example for example in EXAMPLES if example.name.endswith(name)]
    return found


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 8


@each_example()
def test_starts_with_a_comment_of_two_lines_and_a_budget(example: Example) -> None:
    first, second, _, then, *_ = example.text.splitlines()
    assert first.startswith("# ")
    assert second.startswith("# ")
    assert example.budget
    assert not then.startswith("#")


@each_example()
def test_holds_one_named_operation_or_a_mutation_and_its_subscription(example: Example) -> None:
    """A mutation and the subscription to its run are in one file.

    So they share a GraphiQL tab, which knows the run's id.
    """
    assert len(example.kinds) == 1 or example.kinds == (OperationType.MUTATION, OperationType.SUBSCRIPTION)
    assert all(operation.name for operation in example.operations)


@each_example()
def test_is_valid_and_each_variable_has_a_default_or_may_be_null(example: Example) -> None:
    assert validate(SCHEMA, parse(example.text)) == []
    for operation in example.operations:
        for variable in operation.variable_definitions or ():
            assert variable.default_value is not None or variable.type.kind != "non_null_type"


@each_query()
async def test_runs_on_the_demo_without_an_error_and_without_a_null_at_its_root(
    example: Example, demo: Gateway
) -> None:
    data = await run(demo, example)
    assert all(value is not None for value in data.values())


async def test_my_threads_are_titled_and_come_newest_first_beside_the_run_that_waits(demo: Gateway) -> None:
    viewer = (await run(demo, query("my-threads")))["viewer"]
    threads = viewer["threads"]["nodes"]
    assert len(threads) == 6
    assert all(thread["title"] and thread["messages"]["nodes"] for thread in threads)
    assert threads == sorted(threads, key=lambda thread: thread["lastActivityAt"], reverse=True)
    (waiting,) = viewer["waitingRuns"]["nodes"]
    assert [call["name"] for call in waiting["requiredAction"]["toolCalls"]] == ["issue_refund"]
    assert waiting["thread"] in [{"id": thread["id"], "title": thread["title"]} for thread in threads]
    assert viewer["usage"]["totalTokens"] == sum(thread["usage"]["totalTokens"] for thread in threads) > 0


async def test_inbox_holds_newest_messages_with_runs_and_steps(demo: Gateway) -> None:
    threads = (await run(demo, query("inbox")))["threadsByIds"]
    assert len(threads) == 4
    answers = [message for thread in threads for message in thread["messages"]["nodes"] if message["run"]]
    assert {step["type"] for answer in answers for step in answer["run"]["steps"]["nodes"]} == {
        "MESSAGE_CREATION",
        "TOOL_CALLS",
    }
    assert [thread["activeRun"] and thread["activeRun"]["status"] for thread in threads].count("REQUIRES_ACTION") == 1


async def test_conversation_shows_citations_at_their_text(demo: Gateway) -> None:
    messages = (await run(demo, query("conversation")))["thread"]["messages"]["nodes"]
    texts = [part for message in messages for part in message["content"] if part["__typename"] == "TextContent"]
    spans = [(part["text"], span) for part in texts for span in part["annotations"]]
    assert {span["__typename"] for _, span in spans} == {"FileCitation", "FilePath"}
    assert all(text[span["startIndex"] : span["endIndex"]] == span["text"] for text, span in spans)


async def test_files_have_names_and_addresses_that_need_no_header(demo: Gateway) -> None:
    data = await run(demo, query("17-files"))
    files = {file["filename"]: file for file in iter_objects(data, "contentUrl")}
    assert {name: file["purpose"] for name, file in files.items()} == {
        "sales.csv": "assistants",
        "chart.png": "assistants_output",
        "report.csv": "assistants_output",
        "handbook.pdf": "assistants",
    }
    for name, media_type in (("chart.png", "image/png"), ("report.csv", "application/octet-stream")):
        async with demo.session.get(files[name]["contentUrl"]) as response:
            assert (response.status, response.content_type) == (200, media_type)
            assert len(await response.read()) == files[name]["bytes"]


def iter_objects(value: Any, key: str) -> Iterator[Any]:
    """Yield the objects within a result that have a key."""
    if isinstance(value, dict):
        if key in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from iter_objects(one, key)


async def test_run_with_steps_shows_code_and_its_output(demo: Gateway) -> None:
    steps = (await run(demo, query("run-with-steps")))["run"]["steps"]["nodes"]
    (call,) = steps[0]["details"]["toolCalls"]
    assert "read_csv" in call["input"]
    assert [output["__typename"] for output in call["outputs"]] == ["CodeInterpreterLogs", "CodeInterpreterImage"]
    assert "Île-de-France" in steps[1]["details"]["message"]["text"]


async def test_waiting_run_asks_for_outputs_with_parsed_arguments(demo: Gateway) -> None:
    waiting = (await run(demo, query("waiting-run")))["thread"]["activeRun"]
    (call,) = waiting["requiredAction"]["toolCalls"]
    assert call["name"] == "issue_refund"
    assert call["parsedArguments"] == {"order_number": "1052", "reason": "never arrived"}


async def test_paging_forwards_and_backwards_gives_the_same_messages(demo: Gateway) -> None:
    forwards: list[Any] = []
    after, more = None, True
    while more:
        page = (await run(demo, query("page-forwards"), after=after))["thread"]["messages"]
        forwards += [edge["node"] for edge in page["edges"]]
        after, more = page["pageInfo"]["endCursor"], page["pageInfo"]["hasNextPage"]
    backwards: list[Any] = []
    before, more = None, True
    while more:
        page = (await run(demo, query("page-backwards"), before=before, size=60))["thread"]["messages"]
        backwards = page["nodes"] + backwards
        before, more = page["pageInfo"]["startCursor"], page["pageInfo"]["hasPreviousPage"]
    assert len(forwards) == 140
    assert backwards == forwards


async def check_budget(example: Example, emulator: Emulator, first: Gateway, again: Gateway) -> None:
    """Check the budget of an example, first at a gateway with an empty cache, then at one that may have the result."""
    budget = example.budget
    emulator.counts.reset()
    reply = (await first.post({"query": example.text})).json
    assert emulator.counts.total == budget["calls"]
    if again is first:
        # With Redis, calls that do not depend on each other may still start one after another, as Redis responds.
        assert reply["extensions"]["cost"]["longestChain"] == budget["chain"]
    if "repeated" not in budget:
        return
    # The entries of another process take a moment to arrive in Redis.
    for _ in range(20):
        emulator.counts.reset()
        assert (await again.post({"query": example.text})).json["data"] == reply["data"]
        if emulator.counts.total == budget["repeated"]:
            return
    raise AssertionError(f"expected {budget['repeated']} calls when asked again, got {emulator.counts.total}")


@pytest.mark.usefixtures("shared_clock")
@each_query()
async def test_keeps_its_budget_with_a_cache_in_memory(example: Example, emulator: Emulator) -> None:
    async with running_demo_gateway(emulator, gateway_cache=True, gateway_cost=True) as gateway:
        await check_budget(example, emulator, gateway, gateway)


@pytest.mark.usefixtures("shared_clock")
@each_query(QUERIES[:2])
async def test_keeps_its_budget_in_two_processes_that_share_redis(
    example: Example, emulator: Emulator, valkey: Valkey
) -> None:
    # On a busy machine, a slow response of Redis must not become a cache miss.
    redis = {"redis_url": valkey.url, "redis_deadline_seconds": 5}
    # The addresses of contents are those of one gateway, which has two processes.
    public = {"gateway_public_url": "https://gateway.test"}
    options = {"gateway_cache": True, "gateway_cost": True, **redis, **public}
    async with (
        running_demo_gateway(emulator, **options) as first,
        running_demo_gateway(emulator, **options) as second,
    ):
        await check_budget(example, emulator, first, second)
