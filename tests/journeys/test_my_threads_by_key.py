"""Tests of the viewer behind a credential of the upstream: records are its holder's, as long as it is accepted."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from gateway.viewer.upstream_acceptance import ACCEPTED_SECONDS
from tests.support.emulator import KEY, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import succeed
from tests.support.record_gateways import LIST, VIEWER_EVENTS, database_url, eventually, titles
from tests.support.scripted_upstream import Request, ScriptedResponse, response, scripted_upstream
from tests.support.subscription_clients import open_socket

__all__ = ["database_url"]  # a fixture

WHO = "{ viewer { id subject roles } }"


class KeyClient(Gateway):
    """A client with a key of its own."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        super().__init__(gateway.url, gateway.session)
        self.app = gateway.app
        self.credential = f"Bearer {key}"


@pytest.fixture
async def gateway(emulator: Emulator, database_url: str) -> AsyncIterator[Gateway]:
    async with running_gateway(
        emulator.url, gateway_database_url=database_url, gateway_ledger_deadline_seconds=5.0, gateway_cost=True
    ) as gateway:
        yield gateway


async def create(client: Gateway, text: str) -> str:
    made = await succeed(client, "createThread", "thread { id }", messages=[{"content": [{"text": text}]}])
    thread_id: str = made["thread"]["id"]
    return thread_id


async def test_the_holders_of_two_keys_have_a_list_each(gateway: Gateway) -> None:
    ours, others = KeyClient(gateway, "key-one"), KeyClient(gateway, "key-two")
    thread_id = await create(ours, "Mine")
    await eventually(lambda: titles(ours), ["Mine"])
    assert await titles(others) == []
    who = [(await client.data(WHO))["viewer"] for client in (ours, others, ours)]
    assert who[0] == who[2] != who[1]
    assert (who[0]["subject"], who[0]["roles"]) == (None, [])
    await succeed(ours, "updateThread", "thread { id }", threadId=thread_id, title="Named")
    await eventually(lambda: titles(ours), ["Named"])
    await succeed(ours, "deleteThread", "deletedId", threadId=thread_id)
    assert await titles(ours) == []


async def test_what_is_read_by_id_is_listed_and_what_is_gone_is_not(emulator: Emulator, gateway: Gateway) -> None:
    client = KeyClient(gateway, KEY)
    made = await emulator.post("/threads", {"messages": [{"role": "user", "content": "Made elsewhere"}]})
    read = "query ($id: ID!) { thread(id: $id) { messages(first: 5) { nodes { text } } } }"
    await client.data(read, {"id": made["id"]})
    await eventually(lambda: titles(client), ["Made elsewhere"])
    await emulator.delete(f"/threads/{made['id']}")
    await client.execute(read, {"id": made["id"]})
    await eventually(lambda: titles(client), [])


async def test_a_title_of_a_thread_that_nobody_has_seen_costs_one_call_that_finds_it(
    emulator: Emulator, gateway: Gateway
) -> None:
    client = KeyClient(gateway, KEY)
    made = await emulator.post("/threads")
    await client.data(LIST, {"first": 1})
    emulator.counts.reset()
    await succeed(client, "updateThread", "thread { title }", threadId=made["id"], title="Found")
    assert emulator.counts.by_operation == {"getThread": 1}
    await eventually(lambda: titles(client), ["Found"])
    stranger = KeyClient(gateway, "key-of-another")
    answer = await stranger.execute(
        'mutation ($id: ID!) { updateThread(input: {threadId: $id, title: "Mine"}) { userErrors { code } } }',
        {"id": made["id"]},
    )
    assert answer["data"]["updateThread"]["userErrors"] == [{"code": "NOT_FOUND"}]


async def test_one_cheap_read_asks_whether_a_credential_is_accepted(emulator: Emulator, gateway: Gateway) -> None:
    client = KeyClient(gateway, KEY)
    documents = [
        (LIST, {"first": 1}),
        ("{ viewer { usage { totalTokens } again: usage { totalTokens } waitingRuns { nodes { id } } } }", None),
        ('{ thread(id: "thread_x") { title } }', None),
        ("{ viewer { id } }", None),
    ]
    costs = []
    for number, (document, variables) in enumerate(documents):
        client = KeyClient(gateway, f"key-{number}")
        costs.append(await cost(client, document, variables))
        assert emulator.counts.total == costs[-1]["upstreamCalls"]
        emulator.counts.reset()
    assert [each["upstreamCalls"] for each in costs] == [1, 1, 2, 0]
    assert [each["predictedCalls"] for each in costs] == [1, 1, 2, 0]
    known = await cost(KeyClient(gateway, "key-0"), LIST, {"first": 1})
    assert (known["upstreamCalls"], known["predictedCalls"]) == (0, 0)
    assert ACCEPTED_SECONDS == 300


async def cost(client: Gateway, document: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Execute an operation, and return its cost."""
    answer = await client.execute(document, variables)
    found: dict[str, Any] = answer["extensions"]["cost"]
    return found


async def test_a_credential_that_is_not_known_takes_its_question_from_its_limit(
    emulator: Emulator, database_url: str
) -> None:
    options = {"gateway_database_url": database_url, "gateway_ledger_deadline_seconds": 5.0}
    async with running_gateway(emulator.url, gateway_rate_limit_calls=2, **options) as gateway:
        client = KeyClient(gateway, KEY)
        await client.data(LIST, {"first": 1})
        await client.data(LIST, {"first": 1})
        left = (await client.data("{ viewer { rateLimit { callsRemaining } } }"))["viewer"]["rateLimit"]
        assert left == {"callsRemaining": 1}


async def test_a_refused_credential_is_asked_about_once_for_each_operation(database_url: str) -> None:
    options = {"gateway_database_url": database_url, "gateway_cost": True}
    async with scripted_upstream() as upstream, running_gateway(upstream.url, **options) as gateway:
        upstream.default_response = lambda _: response(401, {"error": {"message": "no"}})
        title = 'updateThread(input: {threadId: "thread_1", title: "x"}) { userErrors { code } }'
        fields = " ".join(f"m{number}: {title}" for number in range(3))
        found = await cost(KeyClient(gateway, "invented"), f"mutation {{ {fields} }}")
        assert found["upstreamCalls"] == 1 <= found["predictedCalls"]


class JudgingUpstream:
    """An upstream without data that accepts one key."""

    def __init__(self) -> None:
        self.accepted = "Bearer one"

    def __call__(self, request: Request) -> ScriptedResponse:
        if request.headers["authorization"] != self.accepted:
            return response(401, {"error": {"message": "no"}})
        if request.method == "POST":
            return response(body={"id": "thread_1", "object": "thread", "created_at": 1})
        return response(body={"object": "list", "data": [], "has_more": False})


async def test_a_credential_that_the_upstream_refuses_reads_and_stores_nothing(database_url: str) -> None:
    judge = JudgingUpstream()
    options = {"gateway_database_url": database_url, "gateway_ledger_deadline_seconds": 5.0}
    async with scripted_upstream() as upstream, running_gateway(upstream.url, **options) as gateway:
        upstream.default_response = judge
        client, stranger = KeyClient(gateway, "one"), KeyClient(gateway, "invented")
        await create(client, "Mine")
        await eventually(lambda: titles(client), ["Mine"])
        for document in (LIST, "{ viewer { usage { totalTokens } } }"):
            refused = await stranger.execute(document, {"first": 1} if document is LIST else None)
            assert [error["extensions"]["code"] for error in refused["errors"]] == ["UNAUTHENTICATED"]
        async with open_socket(stranger, key="invented") as socket, open_socket(client, key="one") as followed:
            reader = await socket.subscribe(VIEWER_EVENTS)
            await reader.wait_for_end()
            assert reader.error_codes == ["UNAUTHENTICATED"]
            reader = await followed.subscribe(VIEWER_EVENTS)
            # A key that is revoked ends what is followed by it with its next call, and reads nothing more.
            judge.accepted = "Bearer two"
            refused = await client.execute("{ assistants { nodes { id } } }")
            assert [error["extensions"]["code"] for error in refused["errors"]] == ["UNAUTHENTICATED"]
            await reader.wait_for_end()
            assert reader.error_codes == ["UNAUTHENTICATED"]
        refused = await client.execute(LIST, {"first": 1})
        assert [error["extensions"]["code"] for error in refused["errors"]] == ["UNAUTHENTICATED"]
        judge.accepted = "Bearer one"
        await eventually(lambda: titles(client), ["Mine"])


async def test_a_message_that_changed_is_found_by_its_new_words_alone(database_url: str) -> None:
    text = "Old plan"

    def answer(request: Request) -> ScriptedResponse:
        if not request.target.partition("?")[0].endswith("/messages"):
            return response(body={"id": "thread_1", "object": "thread", "created_at": 1})
        part = {"type": "text", "text": {"value": text, "annotations": []}}
        message = {"id": "msg_1", "object": "thread.message", "created_at": 1, "role": "user", "content": [part]}
        return response(body={"object": "list", "data": [message], "has_more": False})

    read = '{ thread(id: "thread_1") { messages(first: 5) { nodes { text } } } }'
    options = {"gateway_database_url": database_url, "gateway_ledger_deadline_seconds": 5.0}
    async with scripted_upstream() as upstream, running_gateway(upstream.url, **options) as gateway:
        upstream.default_response = answer
        client = KeyClient(gateway, "one")
        await client.data(read)
        await eventually(lambda: titles(client, text="old plan"), ["Old plan"])
        text = "New idea"
        await client.data(read)
        await eventually(lambda: titles(client, text="new"), ["New idea"])
        assert await titles(client, text="plan") == []


async def test_a_caller_without_a_credential_is_nobody(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_anonymous=True) as gateway:
        answer: dict[str, Any] = await gateway.execute(WHO, headers={"Authorization": ""})
    assert answer.get("data", {}).get("viewer") is None


async def test_the_list_of_foundry_is_filled_in_from_the_upstream_s_own(emulator: Emulator, database_url: str) -> None:
    made = [(await emulator.post("/threads", {"messages": [{"role": "user", "content": "x"}]}))["id"] for _ in range(3)]
    options = {"gateway_database_url": database_url, "gateway_ledger_deadline_seconds": 5.0, "gateway_cost": True}
    url = f"{emulator.root_url}/api/projects/demo"
    async with running_gateway(url, upstream_dialect="azure-foundry", **options) as gateway:
        client = KeyClient(gateway, KEY)
        first = await cost(client, LIST, {"first": 10})
        assert (first["upstreamCalls"], first["predictedCalls"]) == (2, 11)
        listed = (await client.data(LIST, {"first": 10}))["viewer"]["threads"]["nodes"]
        assert {thread["upstreamId"] for thread in listed} == set(made)
        assert emulator.counts.by_operation["listThreads"] == 1
        await client.data(LIST, {"first": 10})
        assert emulator.counts.by_operation["listThreads"] == 1
