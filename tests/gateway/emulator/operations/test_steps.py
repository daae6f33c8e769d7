import pytest

from tests.gateway.emulator.api_client import Api

INCLUDE = "include[]=step_details.tool_calls[*].file_search.results[*].content"


async def test_steps_are_listed_in_pages_and_read_one_by_one(api: Api) -> None:
    path = await api.new_run("Draw a chart", tools=[{"type": "code_interpreter"}])
    api.clock.advance(10)
    first = await api.ok("GET", f"{path}/steps?order=asc&limit=1")
    second = await api.ok("GET", f"{path}/steps?order=asc&limit=1&after={first['last_id']}")
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert first["data"][0]["type"] == "tool_calls"
    outputs = first["data"][0]["step_details"]["tool_calls"][0]["code_interpreter"]["outputs"]
    assert [output["type"] for output in outputs] == ["logs", "image"]
    assert second["data"][0]["type"] == "message_creation"
    assert await api.ok("GET", f"{path}/steps/{second['last_id']}") == second["data"][0]


async def test_a_run_that_has_not_begun_has_no_steps(api: Api) -> None:
    path = await api.new_run()
    assert (await api.ok("GET", f"{path}/steps"))["data"] == []


@pytest.mark.parametrize(("query", "is_shown"), [("", False), (f"?{INCLUDE}", True)])
async def test_the_text_of_search_results_is_shown_on_request(demo: Api, query: str, is_shown: bool) -> None:
    runs = await demo.ok("GET", "/threads/thread_demoQuarterlySales000001/runs")
    path = f"/threads/thread_demoQuarterlySales000001/runs/{runs['first_id']}/steps"
    listed = (await demo.ok("GET", path + query))["data"][-1]
    alone = await demo.ok("GET", f"{path}/{listed['id']}{query}")
    result = listed["step_details"]["tool_calls"][0]["file_search"]["results"][0]
    assert ("content" in result) == is_shown
    assert alone == listed


async def test_a_step_of_another_run_is_not_found(api: Api) -> None:
    one, other = await api.new_run(), await api.new_run()
    api.clock.advance(10)
    step_id = (await api.ok("GET", f"{other}/steps"))["first_id"]
    assert (await api.call("GET", f"{one}/steps/{step_id}")).status == 404
