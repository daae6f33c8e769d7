"""Tests that npm's openai package and LangChain's assistant runnable drive the emulator unchanged."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.clocks import RestlessClock
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.full_runs import long_except
from tests.support.node import npm_install, run_node
from tests.support.pinned_packages import langchain, run_script

__all__ = ["langchain"]

SCRIPTS = Path(__file__).parent / "scripts_clients"
VERSIONS = ("4.104.0", "5.23.2", "6.49.0")
MATRIX = [(version, kind) for version in VERSIONS for kind in ("openai", "azure")]


@pytest.fixture
async def restless() -> AsyncIterator[Emulator]:
    async with running_emulator(clock=RestlessClock(1.0)) as emulator:
        yield emulator


@pytest.mark.parametrize(("version", "kind"), long_except(MATRIX, [("6.49.0", "azure")]))
async def test_npms_openai_package_runs_unchanged(restless: Emulator, version: str, kind: str) -> None:
    directory = await asyncio.to_thread(npm_install, [f"openai@{version}"])
    arguments = [restless.root_url, KEY, kind, version.partition(".")[0]]
    done = await asyncio.to_thread(run_node, SCRIPTS / "use_openai.mjs", *arguments, directory=directory)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "content": "# Leave",
        "status": "completed",
        "roles": ["user", "assistant"],
        "stepTypes": ["tool_calls", "message_creation"],
        "names": ["thread.run.created", "thread.run.completed"],
        "isWholeText": True,
        "waiting": "requires_action",
        "answered": "completed",
        "removed": True,
        "refusal": ["NotFoundError", 404],
    }


@pytest.mark.full
async def test_langchains_assistant_runnable_runs_unchanged(restless: Emulator, langchain: Path) -> None:
    script = SCRIPTS / "use_langchain.py"
    seen = await run_script(langchain, script, restless.url, KEY, warnings="ignore")
    assert len(seen["thread_ids"]) == 1
    assert [bool(text) for text in seen["texts"]] == [True, True]
    assert seen["tools"] == ["get_weather"]
    assert "4 degrees" in seen["finish"]
