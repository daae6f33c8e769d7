"""Tests that a credential that has ended reads nothing that was kept for it."""

import base64
import json
import time
from typing import Any

import pytest

from tests.support.emulator import Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.scripted_upstream import Request, ScriptedResponse, response, scripted_upstream
from tests.support.valkey import Valkey

THREAD = '{ thread(id: "thread_1") { metadata } }'
ASSISTANT = '{ assistant(id: "asst_1") { name } }'
SETTINGS: dict[str, Any] = {"gateway_cache": True, "redis_deadline_seconds": 5.0}
STREAM = {"Accept": "text/event-stream"}


def token_that_ends(at: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": at}).encode()).decode().rstrip("=")
    return f"Bearer e30.{claims}.c2ln"


async def test_a_token_that_has_ended_is_refused_on_every_way_and_costs_no_call(
    gateway: Gateway, emulator: Emulator
) -> None:
    headers = {"Authorization": token_that_ends(time.time() - 31)}
    body = {"query": "{ assistants { nodes { name } } }"}
    followed = {"query": 'subscription { runStatus(run: "x") { __typename } }'}
    for reply in (
        await gateway.post(body, headers=headers),
        await gateway.get(params=body, headers=headers),
        await gateway.post(followed, headers={**headers, **STREAM}),
    ):
        assert (reply.status, reply.headers["WWW-Authenticate"]) == (401, "Bearer")
        (error,) = reply.json["errors"]
        assert error["extensions"]["code"] == "UNAUTHENTICATED"
    async with gateway.session.ws_connect(f"{gateway.url}/graphql", protocols=("graphql-transport-ws",)) as socket:
        await socket.send_json({"type": "connection_init", "payload": headers})
        await socket.receive()
        assert socket.close_code == 4403
    assert emulator.counts.total == 0
    just_expired = await gateway.post(body, headers={"Authorization": token_that_ends(time.time() - 5)})
    assert just_expired.status == 200


class RefusingUpstream:
    """An upstream that accepts or refuses all credentials, or fails."""

    def __init__(self) -> None:
        self.status = 200

    def __call__(self, request: Request) -> ScriptedResponse:
        if self.status != 200:
            return response(self.status, {"error": {"message": "no"}})
        kind, name = request.target.partition("?")[0].split("/")[-2:]
        if kind == "threads":
            return response(body={"id": name, "object": "thread", "created_at": 1, "metadata": {"kept": "yes"}})
        return response(body={"id": name, "object": "assistant", "created_at": 1, "name": "kept", "model": "m"})


@pytest.fixture(params=["memory", "redis"])
def redis_url(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "memory" else request.getfixturevalue("valkey").url


async def test_a_key_that_the_upstream_refuses_reads_nothing_that_is_kept(redis_url: str | None) -> None:
    script = RefusingUpstream()
    async with scripted_upstream() as upstream:
        upstream.default_response = script
        async with running_gateway(upstream.url, **SETTINGS, redis_url=redis_url) as gateway:

            async def read(query: str, key: str = "ann") -> str:
                answer = await gateway.execute(query, headers={"Authorization": f"Bearer {key}"})
                return str(answer["errors"][0]["extensions"]["code"] if "errors" in answer else "kept")

            for key in ("ann", "bob"):
                assert [await read(THREAD, key), await read(THREAD, key)] == ["kept", "kept"]
            assert len(upstream.requests) == 2
            script.status = 401
            assert await read(THREAD) == "kept"  # the refusal is not known yet
            assert await read(ASSISTANT) == "UNAUTHENTICATED"
            assert [await read(THREAD), await read(THREAD)] == ["UNAUTHENTICATED"] * 2
            assert await read(THREAD, "bob") == "kept"
            script.status = 503
            assert await read(THREAD) == "UPSTREAM_FAILED"
            script.status = 200
            assert await read(ASSISTANT) == "kept"
            calls = len(upstream.requests)
            assert [await read(THREAD), await read(THREAD)] == ["kept", "kept"]
            assert len(upstream.requests) == calls + 1  # what was kept before is gone
            assert await read(THREAD, "bob") == "kept"
            assert len(upstream.requests) == calls + 1


async def test_no_stale_answer_is_given_to_a_refused_key(valkey: Valkey) -> None:
    """Another process still has the entry, and its key is refused here."""
    script = RefusingUpstream()
    shared = {**SETTINGS, "redis_url": valkey.url}
    async with scripted_upstream() as upstream:
        upstream.default_response = script
        async with running_gateway(upstream.url, **shared) as here, running_gateway(upstream.url, **shared) as there:
            headers = {"Authorization": "Bearer ann"}
            assert "errors" not in await there.execute(THREAD, headers=headers)
            script.status = 401
            assert "errors" in await here.execute(ASSISTANT, headers=headers)
            script.status = 503
            assert "errors" in await here.execute(THREAD, headers=headers)
