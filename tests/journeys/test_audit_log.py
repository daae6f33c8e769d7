"""Tests that each write and each refused access has one line in the audit log, which holds nothing that was written."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.telemetry.log_fields import AUDIT_FIELDS, LINE_FIELDS
from schema.contract.keys import to_global_id
from schema.contract.writes import WRITES
from tests.support.emulator import KEY, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.log_lines import Line, LogLines, collected_lines
from tests.support.mutations import mutate, succeed, waiting_run
from tests.support.scripted_upstream import response, scripted_upstream
from tests.support.signed_in import ISSUER, UserClient, running_ownership, signed_in_gateway
from tests.support.subscription_gateway import Socket


@pytest.fixture
def lines() -> Iterator[LogLines]:
    with collected_lines() as lines:
        yield lines


def values(line: Line, *names: str) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in names)


async def test_each_mutation_has_an_audit_line(emulator: Emulator, gateway: Gateway, lines: LogLines) -> None:
    thread = (await succeed(gateway, "createThread", "thread { upstreamId }"))["thread"]["upstreamId"]
    made = await succeed(gateway, "createAssistant", "assistant { upstreamId }", model="gpt-4o")
    assistant_id = made["assistant"]["upstreamId"]
    text = [{"text": "planted text"}]
    message = (await succeed(gateway, "createMessage", "message { id upstreamId }", threadId=thread, content=text))[
        "message"
    ]
    await succeed(gateway, "updateMessage", "message { id }", messageId=message["id"], metadata={"a": "planted"})
    await succeed(gateway, "updateThread", "thread { id }", threadId=thread, metadata={"a": "planted"})
    await succeed(gateway, "updateAssistant", "assistant { id }", assistantId=assistant_id, instructions="planted")
    run = (await succeed(gateway, "createRun", "run { id upstreamId }", threadId=thread, assistantId=assistant_id))[
        "run"
    ]
    await succeed(gateway, "updateRun", "run { id }", runId=run["id"], metadata={"a": "planted"})
    await succeed(gateway, "cancelRun", "run { id }", runId=run["id"])
    both = await succeed(
        gateway, "createThreadAndRun", "run { upstreamId thread { upstreamId } }", assistantId=assistant_id
    )
    waiting, call_id = await waiting_run(emulator)
    outputs = [{"callId": call_id, "output": "planted"}]
    await succeed(gateway, "submitToolOutputs", "run { id }", runId=to_global_id(waiting), toolOutputs=outputs)
    emulator.clock.advance(60)
    await succeed(gateway, "deleteMessage", "deletedId", messageId=message["id"])
    await succeed(gateway, "deleteAssistant", "deletedId", assistantId=assistant_id)
    await succeed(gateway, "deleteThread", "deletedId", threadId=thread)
    await succeed(gateway, "deleteFile", "deletedId", fileId="file-notes")
    assert [(line["mutation"], line["object"], line["ids"]) for line in lines.audit] == [
        ("createThread", "Thread", [thread]),
        ("createAssistant", "Assistant", [assistant_id]),
        ("createMessage", "Message", [thread, message["upstreamId"]]),
        ("updateMessage", "Message", [thread, message["upstreamId"]]),
        ("updateThread", "Thread", [thread]),
        ("updateAssistant", "Assistant", [assistant_id]),
        ("createRun", "Run", [thread, run["upstreamId"]]),
        ("updateRun", "Run", [thread, run["upstreamId"]]),
        ("cancelRun", "Run", [thread, run["upstreamId"]]),
        ("createThreadAndRun", "Run", [both["run"]["thread"]["upstreamId"], both["run"]["upstreamId"]]),
        ("submitToolOutputs", "Run", list(waiting)),
        ("deleteMessage", "Message", [thread, message["upstreamId"]]),
        ("deleteAssistant", "Assistant", [assistant_id]),
        ("deleteThread", "Thread", [thread]),
        ("deleteFile", "File", ["file-notes"]),
    ]
    assert len(lines.audit) == len(WRITES) - 1  # all but the approvals of Azure AI Foundry
    assert {line["outcome"] for line in lines.audit} == {"ok"}
    assert {line["caller"] for line in lines.audit} == {line["caller"] for line in lines.operations}
    assert set().union(*lines.audit) <= {*LINE_FIELDS, *AUDIT_FIELDS}
    assert [line["request_id"] for line in lines.audit] == [line["request_id"] for line in lines.operations]
    assert "planted" not in "".join(lines.texts)


async def test_a_write_that_the_upstream_refuses_is_audited(gateway: Gateway, lines: LogLines) -> None:
    payload = await mutate(gateway, "deleteThread", "deletedId", threadId="thread_none")
    assert payload["userErrors"]
    (line,) = lines.audit
    assert values(line, "mutation", "object", "ids", "outcome", "level") == (
        "deleteThread",
        "Thread",
        ["thread_none"],
        "NOT_FOUND",
        "info",
    )


async def test_two_mutations_of_one_document_are_two_audit_lines(gateway: Gateway, lines: LogLines) -> None:
    one = "createThread(input: {}) { thread { id } }"
    await gateway.data(f"mutation Two {{ a: {one} b: {one} }}")
    assert [values(line, "mutation", "operation") for line in lines.audit] == [("createThread", "Two")] * 2
    assert len({line["ids"][0] for line in lines.audit}) == 2


async def test_refused_access_is_audited(emulator: Emulator, lines: LogLines) -> None:
    async with running_gateway(emulator.url, upstream_api_key=KEY) as gateway:
        await gateway.post({"query": "{ assistants { nodes { id } } }"}, headers={"Via": "1.1 proxy"})
        async with gateway.session.ws_connect(
            f"{gateway.url}/graphql", protocols=("graphql-transport-ws",), headers={"Via": "1.1 proxy"}
        ) as ws:
            socket = Socket(ws)
            await socket.send(type="connection_init", payload={})
            assert (await socket.wait_for_close())[0] == 4401
    reason = "a proxy passed it on for another machine, which no setting lets use UPSTREAM_API_KEY"
    assert [values(line, "event", "level", "reason", "caller") for line in lines.audit] == [
        ("access refused", "warning", reason, None)
    ] * 2
    (refused,) = lines.operations
    assert refused["request_id"] == lines.audit[0]["request_id"]


async def test_introspection_without_a_credential_is_no_refused_access(gateway: Gateway, lines: LogLines) -> None:
    assert (await gateway.post({"query": "{ __schema { queryType { name } } }"})).status == 200
    assert lines.audit == []
    (line,) = lines.operations
    assert values(line, "kind", "outcome") == ("query", "ok")


async def test_a_key_that_the_upstream_refuses_is_audited_once(lines: LogLines) -> None:
    async with scripted_upstream() as upstream, running_gateway(upstream.url) as gateway:
        upstream.default_response = response(401, {"error": {"message": "Incorrect API key provided"}})
        for _ in range(3):
            await gateway.execute("{ assistants { nodes { id } } }")
    (line,) = lines.audit
    assert values(line, "reason", "caller") == ("the upstream refused the credential", lines.operations[0]["caller"])


async def test_nothing_is_logged_of_operations_above_their_level(gateway: Gateway, lines: LogLines) -> None:
    logging.getLogger("gateway").setLevel(logging.WARNING)
    await succeed(gateway, "createThread", "thread { id }")
    await gateway.post({"query": "{ assistants { nodes { id } } }"})
    assert [line["event"] for line in lines.all] == ["access refused"]


async def test_a_signed_in_user_is_named_with_what_they_write_and_are_refused(
    emulator: Emulator, lines: LogLines
) -> None:
    async with running_ownership() as ownership, signed_in_gateway(emulator, ownership) as gateway:
        ann, bob = UserClient(gateway, "ann"), UserClient(gateway, "bob")
        created = await succeed(ann, "createThread", "thread { id upstreamId }")
        read = "query Peek($id: ID!) { a: thread(id: $id) { createdAt } b: thread(id: $id) { metadata } }"
        await bob.execute(read, {"id": created["thread"]["id"]})
        await mutate(bob, "deleteThread", "deletedId", threadId=created["thread"]["id"])
        await bob.execute('mutation { createAssistant(input: {model: "gpt-4o"}) { assistant { id } } }')
    write, *refused = lines.audit
    thread_id = created["thread"]["upstreamId"]
    assert values(write, "event", "issuer", "subject", "mutation", "ids") == (
        "write",
        ISSUER,
        "ann",
        "createThread",
        [thread_id],
    )
    assert [values(line, "event", "subject", "operation", "object", "ids") for line in refused] == [
        ("access refused", "bob", "Peek", "Thread", [thread_id]),
        ("access refused", "bob", None, "Thread", [thread_id]),
        ("access refused", "bob", None, None, None),
    ]
    assert all(line["reason"] for line in refused)
    assert "subject" not in {name for line in lines.operations for name in line}
