from gateway.emulator.demo.seed import THREAD_TRIP
from tests.gateway.emulator.api_client import Api


async def test_two_functions_were_called_at_once_and_answered(demo: Api) -> None:
    run = (await demo.ok("GET", f"/threads/{THREAD_TRIP}/runs?order=asc"))["data"][0]
    steps = (await demo.ok("GET", f"/threads/{THREAD_TRIP}/runs/{run['id']}/steps?order=asc"))["data"]
    calls = steps[0]["step_details"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["get_weather", "find_trains"]
    assert all(call["function"]["output"] for call in calls)
    assert run["usage"]["total_tokens"] == sum(step["usage"]["total_tokens"] for step in steps)


async def test_an_image_and_a_refusal_are_there(demo: Api) -> None:
    messages = (await demo.ok("GET", f"/threads/{THREAD_TRIP}/messages?order=asc"))["data"]
    assert messages[0]["content"][1]["type"] == "image_url"
    assert messages[-1]["content"][0]["type"] == "refusal"
    assert messages[1]["metadata"] == {"rating": "5"}
