"""Tests that a program of early 2024, with the last SDK of version 1, can use the emulator like the real service."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.clocks import SteppingClock
from tests.support.emulator import KEY, Emulator, running_emulator
from tests.support.pinned_packages import old_openai, run_script

__all__ = ["old_openai"]

SCRIPT = Path(__file__).parent / "scripts_openai_v1" / "use_emulator.py"
Journey = Callable[[str], Awaitable[Any]]


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    """An emulator whose clock advances by 0.4 seconds per request.

    Two or three messages share a second, and polling ends without waiting.
    """
    async with running_emulator(version="v1", clock=SteppingClock(0.4)) as emulator:
        yield emulator


@pytest.fixture
def journey(emulator: Emulator, old_openai: Path) -> Journey:
    """Run one function of the script. Returns its printed result."""

    async def run(name: str) -> Any:
        printed = await run_script(old_openai, SCRIPT, emulator.url, KEY, name)
        assert printed["version"] == "1.20.0"
        return printed["seen"]

    return run


def message_text(message: Any) -> str:
    (part,) = message["content"]
    text: str = part["text"]["value"]
    return text


async def test_assistants_have_retrieval_and_files(journey: Journey) -> None:
    seen = await journey("assistants")
    made = seen["made"]
    assert [tool["type"] for tool in made["tools"]] == ["retrieval", "code_interpreter", "function"]
    assert (made["file_ids"], made["metadata"]) == (["file-handbook"], {"team": "a"})
    assert (seen["attached"]["id"], seen["attached"]["assistant_id"]) == ("file-prices", made["id"])
    assert seen["changed"] == {
        **made,
        "name": "Writer",
        "tools": [{"type": "retrieval"}],
        "file_ids": ["file-handbook", "file-prices"],
    }
    assert seen["read"] == {**seen["changed"], "file_ids": ["file-handbook"]}
    assert [[file["id"] for file in page] for page in seen["files"]] == [["file-handbook"], ["file-prices"]]
    assert seen["detached"] == {"id": "file-prices", "object": "assistant.file.deleted", "deleted": True}
    assert (seen["listed"], seen["deleted"]["deleted"], seen["left"]) == ([[made["id"]]], True, [])


async def test_threads_have_messages_with_files(journey: Journey) -> None:
    seen = await journey("threads_and_messages")
    opening, second = seen["opening"], seen["second"]
    assert set(seen["thread"]) == {"id", "object", "created_at", "metadata"}
    assert (message_text(opening), opening["file_ids"]) == ("Read these.", ["file-a", "file-b", "file-c"])
    assert "attachments" not in opening
    assert (second["file_ids"], seen["read"]) == (["file-d"], second)
    assert seen["modified"] == {**second, "metadata": {"seen": "yes"}}
    assert [[file["id"] for file in page] for page in seen["files"]] == [["file-a", "file-b"], ["file-c"]]
    assert (seen["file"]["object"], seen["file"]["message_id"]) == ("thread.message.file", second["id"])
    assert seen["thread read"] == seen["updated"] == {**seen["thread"], "metadata": {"customer": "43"}}
    assert seen["deleted"]["deleted"] is True


async def test_a_run_is_polled_and_goes_on_with_the_outputs_of_its_functions(journey: Journey) -> None:
    seen = await journey("run_with_functions")
    waiting, done = seen["waiting"], seen["done"]
    (call,) = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert (waiting["status"], waiting["file_ids"], call["function"]["name"]) == ("requires_action", [], "get_weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "Oslo"}
    assert (done["status"], done["required_action"], seen["runs"]) == ("completed", None, [[done]])
    assert set(done["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}
    (called,), (answered,) = seen["steps"]
    assert called["step_details"]["tool_calls"][0]["function"]["output"] == "4 degrees"
    assert seen["step"] == called
    ((question, answer),) = seen["messages"]
    assert answered["step_details"]["message_creation"]["message_id"] == answer["id"]
    assert (question["role"], answer["role"], answer["run_id"]) == ("user", "assistant", done["id"])
    assert "4 degrees" in message_text(answer)


async def test_a_run_that_retrieves_cites_with_a_quote(journey: Journey) -> None:
    seen = await journey("run_with_retrieval")
    assert (seen["made"]["status"], seen["done"]["status"]) == ("queued", "completed")
    assert seen["made"]["file_ids"] == ["file-handbook"]
    ((searched, _),) = seen["steps"]
    (call,) = searched["step_details"]["tool_calls"]
    assert (call["type"], call["retrieval"]) == ("retrieval", {})
    ((_, answer),) = seen["messages"]
    (annotation,) = answer["content"][0]["text"]["annotations"]
    assert annotation["file_citation"]["file_id"] == "file-handbook"
    assert annotation["file_citation"]["quote"]


async def test_a_run_is_cancelled_and_changed(journey: Journey) -> None:
    seen = await journey("cancelled_run")
    statuses = [seen[name]["status"] for name in ("made", "cancelling", "cancelled")]
    assert statuses == ["queued", "cancelling", "cancelled"]
    assert "Cannot cancel run with status 'cancelled'." in seen["refusal"]
    assert seen["modified"] == {**seen["cancelled"], "metadata": {"why": "slow"}}


async def test_messages_are_paged_both_ways(journey: Journey) -> None:
    seen = await journey("paging")
    made = seen["made"]
    newest_first = made[::-1]
    assert seen["asc"] == [made[:4], made[4:8], made[8:]]
    assert seen["desc"] == [newest_first[:4], newest_first[4:8], newest_first[8:]]
    assert seen["after"] == [made[3:7], made[7:]]
    assert seen["before"] == [made[5:9], made[1:5], made[:1]]


async def test_refusals_are_raised_as_the_sdks_own_errors(journey: Journey) -> None:
    assert await journey("errors") == [
        ["NotFoundError", 404, None],
        ["BadRequestError", 400, "invalid_value"],
        ["AuthenticationError", 401, "invalid_api_key"],
        ["APIStatusError", 405, None],
    ]
