"""A single-page app, written as a frontend team writes it, works from another origin and through Vite's proxy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import APIResponse, Route, WebSocketRoute, expect

from gateway.compose import DEMO_KEY
from gateway.compose_demo import running_demo_ledger
from gateway.config import Settings
from gateway.emulator.demo.conversation_narrator import conversation_id
from gateway.emulator.demo.told_runs import read_told_demo
from gateway.emulator.http.partitions import partition_from_key
from gateway.identity.allowed_origins import LOCALHOST_PAGES
from gateway.upstream.dialects import DIALECTS, DialectName
from tests.support.browser import open_browser
from tests.support.chat_page import LONG_ENOUGH_SECONDS, ChatPage
from tests.support.dev_servers import running_vite, usual_proxy_configs
from tests.support.emulator import Emulator, running_emulator
from tests.support.faces import as_successor
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_gateway
from tests.support.single_page_app import copy_app, serving_files

# The first run installs the packages and builds the app.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

JOURNAL = "thread_demoWorkJournal000000001"
TITLES = {
    JOURNAL: "Work journal",
    "thread_demoQuarterlySales000001": "Quarterly sales",
    "thread_demoTripToKyoto000000001": "Trip to Kyoto",
}
ASSISTANTS = ("Travel concierge", "Data analyst 📊", "Release writer", "Support desk")
TRANSPORTS = ("websocket", "event-stream")
every_client = pytest.mark.parametrize("client", long_except(("relay", "apollo", "urql"), ["relay"]))


async def name_threads(gateway: Gateway, **headers: str) -> None:
    """Give the demo's threads their titles, so that they are in the caller's list."""
    rename = "mutation ($input: UpdateThreadInput!) { updateThread(input: $input) { userErrors { message } } }"
    for thread_id, title in TITLES.items():
        answer = await gateway.execute(rename, {"input": {"threadId": thread_id, "title": title}}, headers=headers)
        assert answer == {"data": {"updateThread": {"userErrors": []}}}


@asynccontextmanager
async def demo_face(emulator: Emulator, dialect: DialectName, **settings: Any) -> AsyncIterator[Emulator]:
    """Show the demo as an upstream of a dialect has it. Over conversations, its records are put into the database."""
    if DIALECTS[dialect].family == "assistants":
        yield emulator
        return
    options = Settings(upstream_url=emulator.url, upstream_dialect=dialect, upstream_api_key=DEMO_KEY, **settings)
    told = read_told_demo(emulator.store, partition_from_key(DEMO_KEY))
    async with running_demo_ledger(options, None, told), as_successor(emulator) as successor:
        yield successor


@every_client
@pytest.mark.parametrize("dialect", long_except(["openai-v2", "openai-responses"], ["openai-v2"]))
async def test_a_page_of_another_origin_holds_a_conversation(client: str, dialect: DialectName, tmp_path: Path) -> None:
    database = {
        "gateway_database_url": f"sqlite:///{tmp_path / 'ledger.db'}",
        "gateway_ledger_deadline_seconds": 10,  # a busy machine is no fault
    }
    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as plain_emulator,
        demo_face(plain_emulator, dialect, **database) as emulator,
        serving_files(tmp_path) as origin,
        running_gateway(
            emulator.url, upstream_dialect=dialect, gateway_allowed_origins=origin, gateway_cache=True, **database
        ) as gateway,
        open_browser() as browser,
    ):
        copy_app(tmp_path, endpoint=f"{gateway.url}/graphql", authorization=f"Bearer {DEMO_KEY}")
        await name_threads(gateway, Authorization=f"Bearer {DEMO_KEY}")
        page, chat = browser.page, ChatPage(browser.page, emulator)
        await chat.watch()
        await page.goto(f"{origin}/{client}.html")
        await expect(page.get_by_role("radio")).to_have_count(len(ASSISTANTS))
        for name in ASSISTANTS:
            await expect(page.get_by_label(name)).to_be_visible()

        await page.get_by_role("link", name="Work journal").click()
        await expect(chat.messages).to_have_count(20)
        await page.get_by_role("button", name="Show earlier messages").click()
        await expect(chat.messages).to_have_count(40)
        await expect(chat.messages.first).to_contain_text("Day 51 ")
        await expect(chat.newest_text).to_contain_text("Noted for day 70:")

        for transport in TRANSPORTS:
            begun = await chat.ask(transport, "What did I do last week? 😀 And what comes next?")
            await browser.save_picture(f"single-page-app-{client}")  # for README.md
            await chat.reload_in_the_middle(begun)
        is_thread = DIALECTS[dialect].family == "assistants"
        await chat.expect_what_the_api_holds(JOURNAL if is_thread else conversation_id(JOURNAL))

        await page.get_by_role("link", name="New conversation").click()
        await page.get_by_label("Travel concierge").check()
        await chat.send("A Saturday in Nara, please.")
        emulator.clock.advance(LONG_ENOUGH_SECONDS)
        await page.get_by_label("get_weather").fill("sunny, 21 °C")
        await page.get_by_label("find_trains").fill("9:14 from Kyoto")
        await browser.save_screenshot(f"single-page-app-{client}-tool-calls")
        await page.get_by_role("button", name="Submit outputs").click()
        await expect(page.get_by_role("button", name="Submit outputs")).to_have_count(0)
        assert "- get_weather: sunny, 21 °C\n- find_trains: 9:14 from Kyoto" in await chat.watch_run_end()
        await browser.save_screenshot(f"single-page-app-{client}-answered")
        assert browser.console_errors == []
        assert browser.foreign_requests == []


@every_client
async def test_an_answer_goes_on_after_a_lost_connection(client: str, tmp_path: Path) -> None:
    sockets: asyncio.Queue[WebSocketRoute] = asyncio.Queue()

    def connect(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.put_nowait(socket)

    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as emulator,
        running_gateway(emulator.url, upstream_api_key=DEMO_KEY, gateway_allowed_origins=LOCALHOST_PAGES) as gateway,
        serving_files(tmp_path) as origin,
        open_browser() as browser,
    ):
        copy_app(tmp_path, endpoint=f"{gateway.url}/graphql")
        chat = ChatPage(browser.page, emulator)
        await chat.watch()
        await browser.page.route_web_socket(f"{gateway.url.replace('http', 'ws')}/graphql", connect)
        await browser.page.goto(f"{origin}/{client}.html#{JOURNAL}")
        begun = await chat.ask("websocket", "Are you still there? Are you?")
        first = await sockets.get()
        await first.close(code=1012)  # as from a gateway that stops
        await sockets.get()  # the client subscribes again, with the variables of the first time
        assert (await chat.watch_run_end()).startswith(begun)


@pytest.mark.full
async def test_urql_follows_a_run_after_it_has_read_the_conversation_once_more(tmp_path: Path) -> None:
    held: asyncio.Queue[tuple[Route, APIResponse]] = asyncio.Queue()
    reads = 0

    async def hold_second_response(route: Route) -> None:
        nonlocal reads
        reads += "query Conversation" in (route.request.post_data or "")
        number, response = reads, await route.fetch()
        if number == 2 and held.empty():
            held.put_nowait((route, response))
        else:
            await route.fulfill(response=response)

    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as emulator,
        running_gateway(emulator.url, upstream_api_key=DEMO_KEY, gateway_allowed_origins=LOCALHOST_PAGES) as gateway,
        serving_files(tmp_path) as origin,
        open_browser() as browser,
    ):
        copy_app(tmp_path, endpoint=f"{gateway.url}/graphql")
        page, chat = browser.page, ChatPage(browser.page, emulator)
        await chat.watch()
        await page.goto(f"{origin}/urql.html#{JOURNAL}")
        begun = await chat.ask("websocket", "Are you still there? Are you?")
        await page.route(f"{gateway.url}/graphql", hold_second_response)
        await page.reload()
        route, response = await held.get()
        assert len(chat.transports) == 1  # that of before
        await route.fulfill(response=response)
        await expect(chat.status).to_have_text("in progress")
        assert (await chat.watch_run_end()).startswith(begun)
        await chat.expect_what_the_api_holds(JOURNAL)


@every_client
async def test_the_page_works_through_vites_proxy_in_its_usual_forms(client: str, tmp_path: Path) -> None:
    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as emulator,
        running_gateway(emulator.url, upstream_api_key=DEMO_KEY, gateway_allowed_origins=LOCALHOST_PAGES) as gateway,
        open_browser() as browser,
    ):
        copy_app(tmp_path, endpoint="/graphql")
        chat = ChatPage(browser.page, emulator)
        await chat.watch()
        with running_vite(tmp_path, usual_proxy_configs(gateway.url)) as servers:
            for form, server in servers.items():
                await browser.page.goto(f"{server}/{client}.html#{JOURNAL}")
                for transport in TRANSPORTS:
                    begun = await chat.ask(transport, f"Does {form} pass on {transport}? Does it?")
                    await chat.reload_in_the_middle(begun)
            await chat.expect_what_the_api_holds(JOURNAL)
        assert browser.console_errors == []
        assert browser.foreign_requests == []
