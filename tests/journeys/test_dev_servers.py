"""A page of a development server calls the demo: across origins, and through the server's proxy."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.support.browser import open_browser
from tests.support.dev_servers import (
    SHOWN_ADDRESS,
    SHOWN_NEXT_CONFIG,
    proxy_config,
    running_next,
    running_vite,
    usual_proxy_configs,
)
from tests.support.graphql import GraphQLClient

pytestmark = pytest.mark.browser

# One operation by each transport, as a page's own script sends it. Nothing is sent but what every client sends.
CALLS = """async (endpoint) => {
    const query = "{ assistants(first: 1) { nodes { name } } }";
    const post = (query, accept) => fetch(endpoint, {
        method: "POST",
        headers: { "Content-Type": "application/json", Accept: accept },
        body: JSON.stringify({ query }),
    });
    const url = new URL(endpoint, location.href);
    url.protocol = "ws:";
    const overSocket = new Promise((resolve) => {
        const socket = new WebSocket(url, "graphql-transport-ws");
        const send = (message) => socket.send(JSON.stringify(message));
        socket.onopen = () => send({ type: "connection_init" });
        socket.onclose = ({ code, reason }) => resolve(`${code} ${reason}`);
        socket.onmessage = ({ data }) => {
            const { type, payload } = JSON.parse(data);
            if (type === "connection_ack") send({ type: "subscribe", id: "1", payload: { query } });
            else if (type === "next") resolve(payload);
        };
    });
    return {
        post: await (await post(query, "application/json")).json(),
        get: await (await fetch(`${endpoint}?query=${encodeURIComponent(query)}`)).json(),
        socket: await overSocket,
        stream: await (await post(query, "text/event-stream")).text(),
    };
}"""


async def assert_all_transports_work(page: Page, *endpoints: str) -> None:
    for endpoint in endpoints:
        found: dict[str, Any] = await page.evaluate(CALLS, endpoint)
        answer = {"data": {"assistants": {"nodes": [{"name": "Travel concierge"}]}}}
        assert found.pop("stream").startswith("event: next\ndata: {"), (page.url, endpoint)
        assert found == dict.fromkeys(("post", "get", "socket"), answer), (page.url, endpoint)


async def test_a_page_of_vites_development_server_works_at_once(demo_gateway: str, tmp_path: Path) -> None:
    with running_vite(tmp_path, usual_proxy_configs(demo_gateway)) as servers:
        async with open_browser() as browser:
            for server in servers.values():
                await browser.page.goto(server)
                await assert_all_transports_work(browser.page, "/graphql", f"{demo_gateway}/graphql")
            await browser.page.goto(servers["readme"])
            await assert_files_work(browser.page, "/files", f"{demo_gateway}/files")
            assert browser.console_errors == []


# A page sends a file, and reads it by its address as an image does.
SEND = """async (files) => {
    const body = new FormData();
    body.append("file", new File(["Hello."], "hello.txt"));
    const response = await fetch(files, { method: "POST", headers: { "GraphQL-Require-Preflight": "1" }, body });
    const { contentUrl } = await response.json();
    return [response.status, await (await fetch(contentUrl)).text()];
}"""


async def assert_files_work(page: Page, *addresses: str) -> None:
    for address in addresses:
        assert await page.evaluate(SEND, address) == [201, "Hello."], (page.url, address)


async def test_a_page_of_nexts_development_server_works_at_once(demo_gateway: str, tmp_path: Path) -> None:
    with running_next(tmp_path, SHOWN_NEXT_CONFIG.replace(SHOWN_ADDRESS, demo_gateway)) as server:
        async with open_browser() as browser:
            await browser.page.goto(f"{server}/app.html")
            await assert_all_transports_work(browser.page, "/graphql", f"{demo_gateway}/graphql")
            await assert_files_work(browser.page, "/files", f"{demo_gateway}/files")
            assert browser.console_errors == []


async def test_what_a_development_server_passes_on_for_others_is_refused(
    demo_gateway: str, tmp_path: Path, gateway: Any
) -> None:
    configs = {
        "forwarded": proxy_config(demo_gateway, "xfwd: true, changeOrigin: true"),
        "change_origin": proxy_config(demo_gateway, "changeOrigin: true"),
    }
    body = {"query": "{ assistants(first: 1) { nodes { name } } }"}
    with running_vite(tmp_path, configs) as servers:
        forwarding = GraphQLClient(servers["forwarded"], gateway.session)
        plain = GraphQLClient(servers["change_origin"], gateway.session)
        assert (await forwarding.post(body)).status == 200
        # Another machine: its address comes before the server's own.
        refused = await forwarding.post(body, headers={"X-Forwarded-For": "192.0.2.7"})
        assert refused.status == 401
        assert "another machine" in refused.json["errors"][0]["message"]
        # Another site, or a name of it that leads to this machine.
        for client in (forwarding, plain):
            refused = await client.post(body, headers={"Origin": "http://rebound.example:5173"})
            assert refused.status == 401
            assert "GATEWAY_ALLOWED_ORIGINS" in refused.json["errors"][0]["message"]
