"""The addresses of files in the graph, over every transport, and by which name the gateway was called."""

import pytest

from tests.support.emulator import AUTHORIZATION, Emulator
from tests.support.faces import both_faces
from tests.support.file_client import target, uploaded
from tests.support.file_samples import PNG
from tests.support.gateway import Gateway, running_gateway
from tests.support.subscription_clients import open_socket

pytestmark = both_faces

FILE = "query ($id: ID!) { file(id: $id) { filename contentUrl } }"


async def content_url(gateway: Gateway, file_id: str, **headers: str) -> str:
    answer = await gateway.execute(FILE, {"id": file_id}, headers)
    assert "errors" not in answer, answer
    return str(answer["data"]["file"]["contentUrl"])


async def test_the_graph_gives_the_address_of_the_upload_again_and_again_the_same(gateway: Gateway) -> None:
    made = await uploaded(gateway, PNG, "a.png")
    again = [await content_url(gateway, made["id"]) for _ in range(2)]
    # The half of a life may end between two of them, but not twice.
    assert len({made["contentUrl"], *again}) <= 2
    assert (await gateway.send("GET", target(again[-1]))).body == PNG


async def test_an_address_begins_as_the_request_that_asked_for_it(gateway: Gateway) -> None:
    made = await uploaded(gateway, PNG, "a.png")
    called = await content_url(gateway, made["id"], Host="api.example.com:8443")
    assert called.startswith("http://api.example.com:8443/files/")
    for forged in ({"Host": 'a"><script>'}, {"Host": "a b"}, {"Host": "a/../b"}):
        assert (await content_url(gateway, made["id"], **forged)).startswith(f"{gateway.url}/files/")
    proxied = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https", "Forwarded": "host=evil.example"}
    assert (await content_url(gateway, made["id"], **proxied)).startswith(f"{gateway.url}/files/")


async def test_a_public_url_wins_over_every_host(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_public_url="https://api.example.com") as gateway:
        made = await uploaded(gateway, PNG, "a.png")
        address = await content_url(gateway, made["id"], Host="elsewhere.example")
        assert address.startswith("https://api.example.com/files/")


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_every_form_of_response_has_a_whole_address(gateway: Gateway, accept: str) -> None:
    made = await uploaded(gateway, PNG, "a.png")
    body = {"query": FILE, "variables": {"id": made["id"]}}
    reply = await gateway.post(body, headers={"Authorization": AUTHORIZATION, "Accept": accept})
    assert f'"contentUrl":"{gateway.url}/files/' in reply.body.decode()


async def test_a_websocket_has_the_address_of_its_handshake(gateway: Gateway) -> None:
    made = await uploaded(gateway, PNG, "a.png")
    async with open_socket(gateway) as socket:
        (file,) = await (await socket.subscribe(FILE, id=made["id"])).wait_for_completion()
    assert file["contentUrl"].startswith(f"{gateway.url}/files/")
