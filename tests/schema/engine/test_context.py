from typing import Any

from schema.contract.kinds import THREADS
from schema.contract.paging import PagingLimits
from schema.engine.context import Context
from tests.schema.builders import GatedThreadsApi, conversation, execute, query_data, run_ready_tasks
from tests.support.fake_threads_api import V1, V2


async def test_a_context_has_the_limits_and_the_upstreams_capabilities() -> None:
    api = conversation()
    assert Context(api).limits == PagingLimits()
    assert Context(api, PagingLimits(5)).limits.max_page_size == 5
    assert Context(api).capabilities == V2
    assert Context(type(api)(capabilities=V1)).capabilities == V1


async def test_each_context_loads_again() -> None:
    api = conversation()
    for _ in range(2):
        await query_data(api, '{ thread(id: "thread_1") { createdAt } }')
    assert [name for name, _ in api.calls] == ["get_threads"] * 2


async def test_closing_a_context_ends_its_loads() -> None:
    api = GatedThreadsApi(conversation())
    context = Context(api)
    context.loaders.objects(THREADS).start_load(next(iter(api.threads)))
    await run_ready_tasks()
    await context.aclose()
    assert len(api.calls) == 1


async def test_a_page_may_hold_no_more_than_the_limits_of_the_context() -> None:
    result = await execute(
        conversation(), '{ thread(id: "thread_1") { messages(first: 3) { nodes { id } } } }', limits=PagingLimits(2)
    )
    assert [error.message for error in result.errors or []] == [
        "Argument 'first': expected an integer from 1 to 2, got 3."
    ]


async def test_selections_are_found_for_each_position_and_type_of_a_document() -> None:
    # The same fragment below two fields of different types, and one field under two aliases.
    document = """
        query ($thread: ID!, $yes: Boolean!) {
            a: thread(id: $thread) { ...F metadata @skip(if: $yes) }
            b: thread(id: $thread) { ...F metadata }
            run: assistant(id: "asst_1") { ...F }
        }
        fragment F on Node { id }
    """
    data: Any = await query_data(conversation(), document, {"thread": "thread_1", "yes": True})
    assert set(data["a"]) == {"id"}
    assert data["b"]["metadata"] == {"topic": "tea"}
    assert set(data["run"]) == {"id"}
