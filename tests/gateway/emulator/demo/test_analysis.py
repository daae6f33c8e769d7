from gateway.emulator.demo.seed import FILE_CHART, FILE_HANDBOOK, FILE_REPORT, RUN_CODE, RUN_SEARCH, THREAD_ANALYSIS
from tests.gateway.emulator.api_client import Api


async def test_code_printed_logs_and_drew_a_chart(demo: Api) -> None:
    steps = (await demo.ok("GET", f"/threads/{THREAD_ANALYSIS}/runs/{RUN_CODE}/steps?order=asc"))["data"]
    (call,) = steps[0]["step_details"]["tool_calls"]
    logs, image = call["code_interpreter"]["outputs"]
    assert "Île-de-France" in logs["logs"]
    assert image == {"type": "image", "image": {"file_id": FILE_CHART}}
    (answer,) = (await demo.ok("GET", f"/threads/{THREAD_ANALYSIS}/messages?run_id={RUN_CODE}"))["data"]
    assert answer["content"][0]["image_file"]["file_id"] == FILE_CHART
    assert answer["content"][1]["text"]["annotations"][0]["file_path"] == {"file_id": FILE_REPORT}


async def test_the_handbook_was_searched_and_cited_twice(demo: Api) -> None:
    steps = (await demo.ok("GET", f"/threads/{THREAD_ANALYSIS}/runs/{RUN_SEARCH}/steps?order=asc"))["data"]
    assert steps[0]["step_details"]["tool_calls"][0]["type"] == "file_search"
    (answer,) = (await demo.ok("GET", f"/threads/{THREAD_ANALYSIS}/messages?run_id={RUN_SEARCH}"))["data"]
    annotations = answer["content"][0]["text"]["annotations"]
    assert [one["file_citation"]["file_id"] for one in annotations] == [FILE_HANDBOOK, FILE_HANDBOOK]
