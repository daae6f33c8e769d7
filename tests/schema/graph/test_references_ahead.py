"""The loads that start before their field is resolved, and those that wait until they are needed."""

import asyncio
from typing import Any

from tests.schema.builders import GatedThreadsApi, called_functions, conversation, execute, query_data, run_ready_tasks
from tests.support.fake_threads_api import FakeThreadsApi


class SlowThreads(GatedThreadsApi):
    """Delays only the answers for threads."""

    async def _answer(self, name: str, keys: Any, find: Any) -> Any:
        answers = await FakeThreadsApi._answer(self, name, keys, find)
        if name == "get_threads":
            await self.gate.wait()
        return answers


async def test_loads_below_a_page_do_not_wait_for_the_owner_of_the_list() -> None:
    api = SlowThreads(conversation())
    document = """{ thread(id: "thread_1") {
        createdAt
        runs { nodes { id steps { nodes { type } } } }
        messages { edges { node { thread { runs(last: 1) { nodes { id } } } } } }
    } }"""
    running = asyncio.ensure_future(execute(api, document))
    await run_ready_tasks()
    assert not running.done()
    assert called_functions(api) == ["get_threads", "list_messages", "list_run_steps", "list_runs", "list_runs"]
    api.gate.set()
    assert (await running).errors is None
    assert len(api.calls) == 5


async def test_loads_below_an_active_run_start_only_if_there_is_one() -> None:
    api = conversation()
    document = '{ thread(id: "thread_1") { createdAt activeRun { id steps { nodes { id } } } } }'
    assert (await query_data(api, document))["thread"]["activeRun"] is None
    assert called_functions(api) == ["get_threads", "list_runs"]


async def test_a_run_is_not_loaded_while_a_page_that_may_contain_it_is_in_flight() -> None:
    api = conversation()
    document = '{ thread(id: "thread_1") { messages { nodes { run { status } } } runs { nodes { id } } } }'
    await query_data(api, document)
    assert called_functions(api) == ["list_messages", "list_runs"]
