"""Tests that a user who is no admin sees no instructions, whichever way leads to a run or an assistant."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLUnionType,
    build_schema,
    get_named_type,
    is_leaf_type,
)

from tests.support.emulator import Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.gateway import Gateway
from tests.support.mutations import succeed
from tests.support.signed_in import UserClient, running_ownership, signed_in_gateway
from tests.support.subscription_clients import LiveSocket, SubscriptionReader, open_socket, open_stream

SDL = build_schema((Path(__file__).parents[2] / "schema" / "schema.graphql").read_text())
SECRET = "Never say this."
ASSISTANT = {
    "model": "gpt-4o",
    "name": "Helper",
    "instructions": SECRET,
    "metadata": {"note": SECRET},
    "tools": [{"builtIn": "CODE_INTERPRETER"}, {"function": {"name": "get_weather"}}],
    "toolResources": {"codeInterpreter": {"fileIds": ["file-abc123"]}},
}
HIDDEN: Mapping[str, object] = {
    "Assistant_instructions": None,
    "Assistant_toolResources": None,
    "Assistant_metadata": {},
    "Run_instructions": None,
    "Run_tools": [],
}
"""What stands in place of a hidden value, by the name of the field in `select_ways`."""

LIMITS: dict[str, Any] = {
    "gateway_max_query_tokens": 1_000_000,
    "gateway_max_query_depth": 100,
    "gateway_max_upstream_calls": 1_000_000,
    "gateway_max_objects": 1_000_000,
    "gateway_profile": "development",
}


def select_ways(type_: GraphQLNamedType, nodes: int) -> str:
    """Select every field that leads to what is hidden and needs no argument, through this number of nodes.

    A field is named for its type too, so that the members of a union may have fields of one name and other types.
    Returns an empty text if no field leads there.
    """
    if isinstance(type_, GraphQLUnionType | GraphQLInterfaceType):
        members = {each.name: select_ways(each, nodes) for each in SDL.get_possible_types(type_)}
        return " ".join(f"... on {name} {{ {selected} }}" for name, selected in members.items() if selected)
    assert isinstance(type_, GraphQLObjectType)
    selected = []
    for name, field in type_.fields.items():
        inner = get_named_type(field.type)
        alias = f"{type_.name}_{name}"
        if is_leaf_type(inner):
            selected += [f"{alias}: {name}"] * (alias in HIDDEN or name in {"id", "status"})
        elif alias in HIDDEN:
            selected.append(f"{alias}: {name} {{ __typename }}")
        elif nodes >= _is_node(inner) and not _needs_argument(field) and alias != "Message_files":  # of version 1
            below = select_ways(inner, nodes - _is_node(inner))
            selected += [f"{alias}: {name} {{ {below} }}"] * bool(below)
    return " ".join(selected)


def _is_node(type_: GraphQLNamedType) -> bool:
    if isinstance(type_, GraphQLInterfaceType):
        return type_.name == "Node"
    return isinstance(type_, GraphQLObjectType) and any(each.name == "Node" for each in type_.interfaces)


def _needs_argument(field: GraphQLField) -> bool:
    return any(isinstance(argument.type, GraphQLNonNull) for argument in field.args.values())


def root_field(kind: str, name: str, nodes: int) -> str:
    """Write an operation of one root field, with its arguments as variables and all ways below it."""
    root = {"query": SDL.query_type, "mutation": SDL.mutation_type, "subscription": SDL.subscription_type}[kind]
    assert root is not None
    field = root.fields[name]
    needed = {each: argument.type for each, argument in field.args.items() if isinstance(argument.type, GraphQLNonNull)}
    variables = ", ".join(f"${each}: {type_}" for each, type_ in needed.items())
    passed = ", ".join(f"{each}: ${each}" for each in needed)
    selection = select_ways(get_named_type(field.type), nodes)
    start = "type: __typename " if kind == "subscription" else ""
    return (
        f"{kind} {f'({variables})' if variables else ''} "
        f"{{ {name} {f'({passed})' if passed else ''} {{ {start}{selection} }} }}"
    )


def hidden_values(answer: object) -> Iterator[tuple[str, object]]:
    """Find the fields of `HIDDEN` in an answer, at any depth."""
    if isinstance(answer, list):
        for each in answer:
            yield from hidden_values(each)
    elif isinstance(answer, dict):
        for name, value in answer.items():
            if name in HIDDEN:
                yield name, value
            else:
                yield from hidden_values(value)


def check_hidden(answer: object, *needed: str) -> None:
    """Check that nothing is seen of what is hidden, and that there are such places."""
    found = list(hidden_values(answer))
    assert {name for name, _ in found} >= set(needed)
    assert [(name, value) for name, value in found if value != HIDDEN[name]] == []
    assert SECRET not in repr(answer)


def check_shown(answer: object, *needed: str) -> None:
    """Check that all is seen that is hidden from others."""
    shown = {name for name, value in hidden_values(answer) if value != HIDDEN[name]}
    assert shown >= set(needed)


RUN = ("Run_instructions", "Run_tools")
ASSISTANTS = ("Assistant_instructions", "Assistant_toolResources", "Assistant_metadata")


@dataclass(frozen=True)
class World:
    """A gateway with an assistant of the admin `root`, and a thread of `ann` with a run that has ended."""

    emulator: Emulator
    ann: UserClient
    root: UserClient
    assistant: str
    thread: str
    run: str

    @property
    def queries(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """All root fields of queries, by a name, each with its variables."""
        ids = {"assistant": self.assistant, "thread": self.thread, "run": self.run}
        by_one_id = {f"{name}(id)": (root_field("query", name, 2), {"id": id_}) for name, id_ in ids.items()}
        nodes = {f"node({name})": (root_field("query", "node", 2), {"id": id_}) for name, id_ in ids.items()}
        return {
            **by_one_id,
            **nodes,
            "nodes": (root_field("query", "nodes", 2), {"ids": list(ids.values())}),
            "threadsByIds": (root_field("query", "threadsByIds", 3), {"ids": [self.thread]}),
            "assistants": (root_field("query", "assistants", 2), {}),
        }


@pytest.fixture(params=[True, False], ids=["cached", "not cached"])
async def gateway(emulator: Emulator, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    async with (
        running_ownership() as ownership,
        signed_in_gateway(emulator, ownership, **LIMITS, gateway_cache=request.param) as gateway,
    ):
        yield gateway


@pytest.fixture
async def world(gateway: Gateway, emulator: Emulator) -> World:
    ann, root = UserClient(gateway, "ann"), UserClient(gateway, "root")
    made = await succeed(root, "createAssistant", "assistant { id instructions }", **ASSISTANT)
    assert made["assistant"]["instructions"] == SECRET
    assistant_id = made["assistant"]["id"]
    thread = {"messages": [{"content": [{"text": "Hello"}]}]}
    begun = await succeed(
        ann, "createThreadAndRun", "run { id } thread { id }", assistantId=assistant_id, thread=thread
    )
    world = World(emulator, ann, root, assistant_id, begun["thread"]["id"], begun["run"]["id"])
    await end_run(world)
    return world


SUBMIT = "mutation ($input: SubmitToolOutputsInput!) { submitToolOutputs(input: $input) { userErrors { message } } }"


async def end_run(world: World, mutation: str = SUBMIT) -> dict[str, Any]:
    """Answer the call of the run, and let it end. Returns the answer to the mutation."""
    world.emulator.clock.advance(LONG_SECONDS)
    calls = "requiredAction { ... on SubmitToolOutputsAction { toolCalls { callId } } }"
    waiting = await world.ann.data(f"query ($id: ID!) {{ run(id: $id) {{ {calls} }} }}", {"id": world.run})
    outputs = [{"callId": call["callId"], "output": "22 °C"} for call in waiting["run"]["requiredAction"]["toolCalls"]]
    answer = await world.ann.execute(mutation, {"input": {"runId": world.run, "toolOutputs": outputs}})
    assert "errors" not in answer
    world.emulator.clock.advance(LONG_SECONDS)
    return answer


async def test_no_query_shows_instructions_to_a_user_before_and_after_an_admin_reads(world: World) -> None:
    for name, (document, variables) in world.queries.items():
        for _ in range(2):
            users = await world.ann.execute(document, variables)
            assert "errors" not in users, name
            admins = await world.root.execute(document, variables)
            assert "errors" not in admins, name
            needed = ASSISTANTS if name in {"assistant(id)", "node(assistant)", "assistants"} else (*RUN, *ASSISTANTS)
            check_hidden(users, *needed)
            check_shown(admins, *needed)


async def test_no_message_or_step_leads_a_user_to_instructions(world: World) -> None:
    document = root_field("query", "thread", 3)
    users = await world.ann.data(document, {"id": world.thread})
    assert users["thread"]["Thread_messages"]["MessageConnection_edges"]
    for name, read in (("Message", "message"), ("RunStep", "node")):
        ids = list(ids_of(users, f"{name}_id"))
        assert ids
        for id_ in ids:
            for user, check in ((world.root, check_shown), (world.ann, check_hidden)):
                answer = await user.data(root_field("query", read, 2), {"id": id_})
                check(answer, *ASSISTANTS if "run_" in repr(answer) else ())


def ids_of(answer: object, name: str) -> set[str]:
    """Return the values of a field at any depth."""
    if isinstance(answer, list):
        return set().union(*(ids_of(each, name) for each in answer))
    if isinstance(answer, dict):
        below = set().union(*(ids_of(each, name) for each in answer.values()))
        return below | ({answer[name]} if name in answer else set())
    return set()


async def test_no_payload_of_a_mutation_shows_instructions_to_a_user(world: World) -> None:
    thread, assistant = world.thread, world.assistant
    message = {"content": [{"text": "Again"}]}
    inputs: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
        ("updateThread", {"threadId": thread, "metadata": {"a": "b"}}, (*RUN, *ASSISTANTS)),
        ("createMessage", {"threadId": thread, **message}, (*RUN, *ASSISTANTS)),
        (
            "createRun",
            {"threadId": thread, "assistantId": assistant, "additionalMessages": [message]},
            (*RUN, *ASSISTANTS),
        ),
    ]
    for name, input_, needed in inputs:
        answer = await world.ann.execute(root_field("mutation", name, 3), {"input": input_})
        assert "errors" not in answer, name
        check_hidden(answer, *needed)
        run = answer["data"][name].get("CreateRunPayload_run")
    for name, values in (("updateRun", {"metadata": {"a": "b"}}), ("cancelRun", {})):
        answer = await world.ann.execute(root_field("mutation", name, 3), {"input": {"runId": run["Run_id"], **values}})
        assert "errors" not in answer, name
        check_hidden(answer, *RUN, *ASSISTANTS)
    new = {"assistantId": assistant, "thread": {"messages": [message]}}
    answer = await world.ann.execute(root_field("mutation", "createThreadAndRun", 3), {"input": new})
    check_hidden(answer, *RUN, *ASSISTANTS)
    run_id = answer["data"]["createThreadAndRun"]["CreateThreadAndRunPayload_run"]["Run_id"]
    begun = World(world.emulator, world.ann, world.root, assistant, thread, run_id)
    check_hidden(await end_run(begun, root_field("mutation", "submitToolOutputs", 3)), *RUN, *ASSISTANTS)


async def test_an_admin_sees_in_payloads_what_a_user_does_not(world: World) -> None:
    update = {"threadId": world.thread, "metadata": {"a": "b"}}
    answer = await world.root.execute(root_field("mutation", "updateThread", 3), {"input": update})
    check_shown(answer, *RUN, *ASSISTANTS)


async def test_no_event_shows_instructions_to_a_user_while_an_admin_follows_the_same_run(world: World) -> None:
    """All of them read one log, and share renderings among those who may see the same."""
    started = await succeed(world.ann, "createRun", "run { id }", threadId=world.thread, assistantId=world.assistant)
    live = World(world.emulator, world.ann, world.root, world.assistant, world.thread, started["run"]["id"])
    documents = {name: root_field("subscription", name, 2) for name in ("runEvents", "runStatus", "threadEvents")}
    variables = {
        "runEvents": {"runId": live.run},
        "runStatus": {"runId": live.run},
        "threadEvents": {"threadId": live.thread},
    }
    async with open_socket(live.ann, key="ann") as anns, open_socket(live.root, key="root") as roots:

        async def follow(socket: LiveSocket) -> dict[str, SubscriptionReader]:
            return {name: await socket.subscribe(text, **variables[name]) for name, text in documents.items()}

        admins, users = await follow(roots), await follow(anns)
        second = await follow(anns)
        for readers in (admins, users, second):
            for reader in readers.values():
                await reader.wait_until(lambda reader: reader.events)
        await end_run(live)
        for readers in (admins, users, second):
            for reader in readers.values():
                await reader.wait_until(lambda reader: "COMPLETED" in statuses(reader))
    for name in documents:
        for readers in (users, second):
            assert readers[name].errors is None
            check_hidden(readers[name].events, *RUN, *ASSISTANTS)
        check_shown(admins[name].events, *RUN, *ASSISTANTS)
    # From the beginning of the log, over the other transport: the snapshot too.
    async with open_stream(live.ann, documents["runEvents"], key="ann", **variables["runEvents"]) as reader:
        events = await reader.wait_for_completion()
    assert events[0]["type"] == "RunSnapshot"
    check_hidden(events, *RUN, *ASSISTANTS)


def statuses(reader: SubscriptionReader) -> list[object]:
    return [event.get("RunStatusChange_status") for event in reader.events]


async def test_every_user_may_see_instructions_if_the_gateway_says_so(emulator: Emulator) -> None:
    async with (
        running_ownership() as ownership,
        signed_in_gateway(emulator, ownership, **LIMITS, gateway_show_instructions=True) as gateway,
    ):
        ann, root = UserClient(gateway, "ann"), UserClient(gateway, "root")
        await succeed(root, "createAssistant", "assistant { id }", **ASSISTANT)
        check_shown(await ann.execute(root_field("query", "assistants", 1)), *ASSISTANTS)
