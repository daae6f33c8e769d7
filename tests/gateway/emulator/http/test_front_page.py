from gateway.emulator.http.front_page import front_page
from gateway.emulator.http.request_counts import LoggedRequest, RequestCounts
from tests.gateway.emulator.api_client import Api


def test_the_page_shows_the_address_of_the_api_and_escapes_its_contents() -> None:
    counts = RequestCounts()
    assert "None yet." in front_page("http://x/v1", counts)
    counts.record_request(LoggedRequest("<b>", "GET", "/", 200, "latency+503"))
    page = front_page("http://x/v1?<", counts)
    assert "<td>&lt;b&gt;</td><td>1</td>" in page
    assert "<td>latency+503</td><td>1</td>" in page
    assert "http://x/v1?&lt;" in page
    assert "no model is asked" in page
    assert "come from a model" in front_page("http://x/v1", counts, asks_model=True)


async def test_the_front_page_needs_no_key_and_is_not_counted(api: Api) -> None:
    reply = await api.client.get("/")
    assert (reply.status, reply.content_type) == (200, "text/html")
    assert "0 requests so far" in await reply.text()
