from gateway.emulator.demo.seed import RUN_FAILED, RUN_WAITING, THREAD_REFUND, THREAD_SUPPORT
from tests.gateway.emulator.api_client import Api


async def test_the_waiting_run_still_waits_a_year_later_and_accepts_outputs(demo: Api) -> None:
    path = f"/threads/{THREAD_REFUND}/runs/{RUN_WAITING}"
    demo.clock.advance(365 * 86_400)
    run = await demo.ok("GET", path)
    assert run["status"] == "requires_action"
    (call,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    output = {"tool_call_id": call["id"], "output": "refunded 12 €"}
    await demo.ok("POST", f"{path}/submit_tool_outputs", {"tool_outputs": [output]})
    demo.clock.advance(10)
    assert (await demo.ok("GET", path))["status"] == "completed"
    messages = await demo.ok("GET", f"/threads/{THREAD_REFUND}/messages?run_id={RUN_WAITING}")
    assert "refunded 12 €" in messages["data"][0]["content"][0]["text"]["value"]


async def test_the_failed_run_says_why(demo: Api) -> None:
    run = await demo.ok("GET", f"/threads/{THREAD_SUPPORT}/runs/{RUN_FAILED}")
    assert run["last_error"]["code"] == "rate_limit_exceeded"
