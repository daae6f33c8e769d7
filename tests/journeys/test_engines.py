"""The engine `graphql-core` gives the same responses as the compiled one, for the same upstream calls."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from graphql import OperationType

from gateway.compose import DEMO_KEY
from tests.support.emulator import running_emulator
from tests.support.examples import load_examples
from tests.support.full_runs import long_except
from tests.support.gateway import ROOT, Gateway, running_demo_gateway

READS = [example for example in load_examples() if example.kinds == (OperationType.QUERY,)]
FAILING = '{ thread(id: "thread_demoTripToKyoto000000001") { id messages(first: 0) { nodes { id } } createdAt } }'
TOO_MANY_BYTES = '{ thread(id: "thread_demoTripToKyoto000000001") { messages { nodes { id text } } } }'
CORE = {"gateway_engine": "graphql-core"}
SUITE = ("tests/schema", "tests/journeys", "tests/contracts", "tests/gateway")


async def ask(gateway: Gateway, document: str) -> Any:
    """Return the response without what differs each time: request ids, the time, and the bytes, which are estimated."""
    reply = await gateway.post({"query": document}, headers={"GraphQL-Cost": "1"})
    # Sealed addresses differ each time.
    response = json.loads(re.sub(r'("\w*[uU]rl": )"[^"]*"', r'\1"sealed"', json.dumps(reply.json)))
    for error in response.get("errors", ()):
        error["extensions"].pop("requestId", None)
    for about in ("upstreamMilliseconds", "responseBytes"):
        response.get("extensions", {}).get("cost", {}).pop(about, None)
    return response


async def test_both_engines_respond_alike_for_the_same_calls() -> None:
    assert len(READS) >= 8
    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as emulator,
        running_demo_gateway(emulator) as compiled,
        running_demo_gateway(emulator, **CORE) as core,
    ):
        for document in [*(example.text for example in READS), FAILING]:
            expected = await ask(compiled, document)
            assert expected["data"]
            assert await ask(core, document) == expected


async def test_the_limits_of_a_response_hold_in_the_engine_of_graphql_core() -> None:
    async with running_emulator(seed_keys=(DEMO_KEY,)) as emulator:
        async with running_demo_gateway(emulator, gateway_max_answer_bytes=1024, **CORE) as core:
            too_large = await ask(core, TOO_MANY_BYTES)
            assert too_large["errors"][0]["extensions"]["code"] == "ANSWER_TOO_LARGE"
            assert too_large.get("data") is None
        async with running_demo_gateway(emulator, gateway_max_objects=5, **CORE) as core:
            too_many = await ask(core, TOO_MANY_BYTES)
            assert too_many["errors"][0]["extensions"]["code"] == "TOO_EXPENSIVE"


@pytest.mark.timeout(7200)
@pytest.mark.parametrize("folder", long_except(SUITE, []))
def test_the_suite_passes_with_the_engine_of_graphql_core(folder: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "2",
        "--dist",
        "loadfile",
        "--engine",
        "graphql-core",
        folder,
    ]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
