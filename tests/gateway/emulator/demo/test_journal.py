from gateway.emulator.demo.seed import THREAD_JOURNAL
from tests.gateway.emulator.api_client import Api


async def test_the_journal_is_longer_than_a_page_can_be(demo: Api) -> None:
    path = f"/threads/{THREAD_JOURNAL}/messages?order=asc&limit=100"
    first = await demo.ok("GET", path)
    second = await demo.ok("GET", f"{path}&after={first['last_id']}")
    assert (len(first["data"]), first["has_more"]) == (100, True)
    assert (len(second["data"]), second["has_more"]) == (40, False)
    assert first["data"][0]["content"][0]["text"]["value"].startswith("Day 1 ")


async def test_the_journal_has_more_runs_than_a_default_page(demo: Api) -> None:
    assert (await demo.ok("GET", f"/threads/{THREAD_JOURNAL}/runs"))["has_more"] is True
