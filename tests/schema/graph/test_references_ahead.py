"""What is started before its turn, and what is left until it is sure to be needed."""

import asyncio
from typing import Any

from tests.schema.builders import GatedThreadsApi, called, conversation, data_of, execute, ticks
from tests.support.fake_threads_api import FakeThreadsApi


class SlowThreads(GatedThreadsApi):
    """Only threads wait for the gate."""

    async def _answer(self, name: str, keys: Any, find: Any) -> Any:
        answers = await FakeThreadsApi._answer(self, name, keys, find)
        if name == "get_threads":
            await self.gate.wait()
        return answers


async def test_what_follows_from_a_page_does_not_wait_for_its_owner() -> None:
    api = SlowThreads(conversation())
    document = """{ thread(id: "thread_1") {
        createdAt
        runs { nodes { id steps { nodes { type } } } }
        messages { edges { node { thread { runs(last: 1) { nodes { id } } } } } }
    } }"""
    running = asyncio.ensure_future(execute(api, document))
    await ticks()
    assert not running.done()
    assert called(api) == ["get_threads", "list_messages", "list_run_steps", "list_runs", "list_runs"]
    api.gate.set()
    assert (await running).errors is None
    assert len(api.calls) == 5


async def test_what_nobody_may_see_is_not_started() -> None:
    api = conversation()
    document = '{ thread(id: "thread_1") { createdAt activeRun { id steps { nodes { id } } } } }'
    assert (await data_of(api, document))["thread"]["activeRun"] is None
    assert called(api) == ["get_threads", "list_runs"]


async def test_a_run_that_a_message_names_is_not_loaded_while_a_page_that_may_hold_it_is_awaited() -> None:
    api = conversation()
    document = '{ thread(id: "thread_1") { messages { nodes { run { status } } } runs { nodes { id } } } }'
    await data_of(api, document)
    assert called(api) == ["list_messages", "list_runs"]
