from gateway.emulator.demo.seed import RUN_CANCELLED, RUN_FAILED_HALFWAY, RUN_INCOMPLETE, THREAD_RELEASE
from tests.gateway.emulator.api_client import Api


async def test_three_runs_fail_in_different_ways_and_the_fourth_completes(demo: Api) -> None:
    runs = (await demo.ok("GET", f"/threads/{THREAD_RELEASE}/runs?order=asc"))["data"]
    assert [(run["id"], run["status"]) for run in runs[:3]] == [
        (RUN_INCOMPLETE, "incomplete"),
        (RUN_CANCELLED, "cancelled"),
        (RUN_FAILED_HALFWAY, "failed"),
    ]
    assert runs[0]["incomplete_details"] == {"reason": "max_completion_tokens"}
    texts = []
    for run in runs:
        (message,) = (await demo.ok("GET", f"/threads/{THREAD_RELEASE}/messages?run_id={run['id']}"))["data"]
        texts.append(message["content"][0]["text"]["value"])
    assert all(len(text) < len(texts[3]) for text in texts[:3])
    assert "👩‍👩‍👧‍👦" in texts[3]
