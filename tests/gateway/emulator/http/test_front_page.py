from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.emulator.app import create_app
from gateway.emulator.http.front_page import front_page
from tests.gateway.emulator.api_client import Api


def page(**values: Any) -> str:
    defaults = {"nonce": "n", "total": 0, "asks_model": False, "takes_any_key": True, "fault_control": False}
    return front_page(values.pop("address", "http://x"), **{**defaults, **values})


def test_the_page_shows_the_addresses_of_the_api_and_escapes_them() -> None:
    assert "http://x/v1/assistants" in page()
    assert "http://x/openai" in page()
    assert "http://&lt;{script}/v1" in page(address="http://<{script}")
    assert "{" + "nonce}" not in page()


def test_the_page_tells_how_the_emulator_was_started() -> None:
    assert "no model is asked" in page()
    assert "come from a model" in page(asks_model=True)
    assert "Any key is taken" in page()
    assert "Only the keys of EMULATOR_KEYS" in page(takes_any_key=False)
    assert "--emulator-fault-control true" in page()
    assert "const faultControl = true;" in page(fault_control=True)


async def test_the_front_page_needs_no_key_and_is_not_counted(api: Api) -> None:
    reply = await api.client.get("/")
    assert (reply.status, reply.content_type) == (200, "text/html")
    assert '<span class="big" id="total">0</span>' in await reply.text()
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]


async def test_the_threads_of_a_key_are_shown_with_their_runs(api: Api) -> None:
    path = await api.new_run()
    await api.new_thread("One", "Two", metadata={"title": "Herons"})
    headers = {"Authorization": f"Bearer {api.key}"}
    shown = await (await api.client.get("/_emulator/threads", headers=headers)).json()
    assert shown["total"] == 2
    newest, oldest = shown["threads"]
    assert (newest["title"], newest["messages"], newest["runs"]) == ("Herons", 2, [])
    (run,) = oldest["runs"]
    assert (path.endswith(run["id"]), run["status"], oldest["more_runs"]) == (True, "queued", False)
    api.clock.advance(60)
    shown = await (await api.client.get("/_emulator/threads", headers=headers)).json()
    assert (shown["threads"][1]["messages"], shown["threads"][1]["runs"][0]["status"]) == (2, "completed")


async def test_the_conversations_of_a_key_are_shown_with_their_responses(api: Api) -> None:
    made = await api.ok("POST", "/conversations", {"metadata": {"title": "Herons"}})
    body = {"model": "gpt-5-mini", "input": "Hi?", "conversation": made["id"], "background": True, "store": True}
    response = await api.ok("POST", "/responses", body)
    headers = {"Authorization": f"Bearer {api.key}"}
    for seconds, items, status in ((0, 0, "queued"), (60, 2, "completed")):
        api.clock.advance(seconds)
        shown = await (await api.client.get("/_emulator/threads", headers=headers)).json()
        assert (shown["total"], shown["total_conversations"]) == (0, 1)
        assert shown["conversations"] == [
            {
                "id": made["id"],
                "title": "Herons",
                "items": items,
                "responses": [{"id": response["id"], "status": status}],
                "more_responses": False,
            }
        ]


async def test_the_threads_of_a_key_need_the_key(aiohttp_client: Any) -> None:
    client: TestClient[web.Request, web.Application] = await aiohttp_client(create_app(keys=["sk-1"]))
    for headers, status in (({}, 401), ({"api-key": "sk-2"}, 401), ({"api-key": "sk-1"}, 200)):
        assert (await client.get("/_emulator/threads", headers=headers)).status == status


@pytest.mark.parametrize(
    ("parameter", "length"), [("", 3), ("?log=2", 2), ("?log=0", 0), ("?log=-1", 3), ("?log=x", 3)]
)
async def test_the_log_is_as_long_as_it_is_wanted(api: Api, parameter: str, length: int) -> None:
    for number in range(3):
        await api.call("GET", f"/threads/thread_{number}")
    shown = await (await api.client.get(f"/_emulator/requests{parameter}")).json()
    assert [one["path"] for one in shown["log"]] == [f"/v1/threads/thread_{number}" for number in range(3)][
        3 - length :
    ]
    assert shown["total"] == 3
