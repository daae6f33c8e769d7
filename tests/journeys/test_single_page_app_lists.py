"""The single-page app lists its user's conversations and what waits for them, on all pages of the user at once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.support.chat_page import LONG_ENOUGH_SECONDS, ChatPage
from tests.support.full_runs import long_except
from tests.support.single_page_app_users import SignInWorld, running_world
from tests.support.subscription_gateway import until

# The first run installs the packages and builds the app.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

PARCEL, INVOICE = "Where is my parcel?", "Is the invoice paid?"
PAGE = 20
CREATE = (
    "mutation ($input: CreateThreadInput!) { createThread(input: $input) { thread { id } userErrors { message } } }"
)
UPDATE = "mutation ($input: UpdateThreadInput!) { updateThread(input: $input) { userErrors { message } } }"
DELETE = "mutation ($input: DeleteThreadInput!) { deleteThread(input: $input) { userErrors { message } } }"
WAITING = "{ viewer { waitingRuns { nodes { id status } } } }"
CANCEL = "mutation ($input: CancelRunInput!) { cancelRun(input: $input) { userErrors { message } } }"
every_client = pytest.mark.parametrize("client", long_except(("relay", "apollo", "urql"), ["relay"]))


class ListPage:
    """The sidebar of a page as a user operates it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.list = page.get_by_role("list", name="Conversations")
        self.links = self.list.get_by_role("link")
        self.inbox = page.get_by_role("link", name="Waiting for you")

    async def expect_titles(self, *titles: str) -> None:
        await expect(self.links).to_have_text(list(titles))

    async def press(self, title: str, button: str) -> None:
        """Press a button of a conversation, which shows as the mouse comes."""
        item = self.list.get_by_role("listitem").filter(has_text=title)
        await item.hover()
        await item.get_by_role("button", name=button).click()

    async def rename(self, title: str, new_title: str) -> None:
        await self.press(title, "Rename")
        await self.page.get_by_label("Title").fill(new_title)
        await self.page.get_by_label("Title").press("Enter")


async def start_conversation(chat: ChatPage, text: str, assistant: str = "Release writer") -> None:
    """Start a conversation with an assistant, a second after what was before."""
    chat.emulator.clock.advance(1)
    await chat.page.get_by_role("link", name="New conversation").click()
    await chat.page.get_by_label(assistant).check()
    await chat.send(text)


async def create_threads(world: SignInWorld, titles: list[str]) -> list[str]:
    """Create threads of Alice with these titles, one each second. Returns their ids."""
    ids = []
    for title in titles:
        world.emulator.clock.advance(1)
        made = await world.data(CREATE, "alice", input={"title": title})
        ids.append(made["createThread"]["thread"]["id"])
    return ids


@every_client
async def test_all_pages_of_a_user_move_along_and_no_other_users(client: str, tmp_path: Path) -> None:
    async with running_world(client, tmp_path) as world:
        browser = world.browser
        chat = await world.open_page(browser.page, "alice")
        second_browser, others_browser = await browser.open_profile(), await browser.open_profile()
        await world.open_page(second_browser.page, "alice")
        others_chat = await world.open_page(others_browser.page, "bob")
        first, second = ListPage(browser.page), ListPage(second_browser.page)
        await expect(second.list).to_have_text("None yet.")

        await start_conversation(chat, PARCEL)
        await second.expect_titles(PARCEL)
        await chat.watch_run_end()
        await start_conversation(chat, INVOICE)
        await chat.watch_run_end()
        for page in (first, second):
            await page.expect_titles(INVOICE, PARCEL)

        await second.rename(PARCEL, "The lost parcel")
        await first.links.filter(has_text="The lost parcel").click()
        await expect(browser.page.get_by_role("heading", name="The lost parcel")).to_be_visible()
        world.emulator.clock.advance(1)
        await chat.send("And now?")
        await chat.watch_run_end()
        for page in (first, second):
            await page.expect_titles("The lost parcel", INVOICE)
        await second.page.get_by_role("link", name=INVOICE).hover()
        await second_browser.save_screenshot(f"lists-{client}-second-page")

        await second.press("The lost parcel", "Archive")
        for page in (first, second):
            await page.expect_titles(INVOICE)
        await expect(browser.page.get_by_text("Archived.")).to_be_visible()
        await browser.save_screenshot(f"lists-{client}-archived")
        await browser.page.get_by_role("button", name="Put it back").click()
        for page in (first, second):
            await page.expect_titles("The lost parcel", INVOICE)

        found = await world.data("{ viewer { threads { nodes { id } } } }", "alice")
        ids = [node["id"] for node in found["viewer"]["threads"]["nodes"]]
        await world.data(DELETE, "alice", input={"threadId": ids[1]})
        for page in (first, second):
            await page.expect_titles("The lost parcel")

        await expect(ListPage(others_browser.page).list).to_have_text("None yet.")
        received = [message for socket in others_chat.sockets for message in socket.received if "payload" in message]
        told = {message["payload"]["data"]["viewerEvents"]["__typename"] for message in received}
        assert told == {"Lagged"}, "that the list is followed"
        for one in (browser, second_browser, others_browser):
            assert one.console_errors == []


@every_client
async def test_a_long_list_comes_page_by_page_and_is_searched(client: str, tmp_path: Path) -> None:
    async with running_world(client, tmp_path) as world:
        titles = [f"Note {number}" for number in range(2 * PAGE + 5)]
        ids = await create_threads(world, titles)
        await world.data(UPDATE, "alice", input={"threadId": ids[3], "title": "About zebras"})
        titles[3] = "About zebras"
        newest_first = titles[::-1]
        await world.open_page(world.browser.page, "alice")
        page, more = ListPage(world.browser.page), world.browser.page.get_by_role("button", name="More")
        await page.expect_titles(*newest_first[:PAGE])

        await more.click()
        await page.expect_titles(*newest_first[: 2 * PAGE])
        await world.browser.save_screenshot(f"lists-{client}-long")
        await create_threads(world, ["The newest"])
        await page.expect_titles("The newest", *newest_first[: 2 * PAGE])
        await more.click()
        await page.expect_titles("The newest", *newest_first)
        await expect(more).to_have_count(0)

        search = world.browser.page.get_by_label("Search")
        await search.fill("zebras")
        await page.expect_titles("About zebras")
        await world.browser.save_screenshot(f"lists-{client}-search")
        await page.rename("About zebras", "About zebras and lions")
        await page.expect_titles("About zebras and lions")
        await search.fill("giraffes")
        await expect(page.list).to_have_text("Nothing found.")
        await search.fill("")
        await expect(page.links.first).to_have_text("The newest")
        await page.press("The newest", "Archive")
        await expect(page.links.first).to_have_text(titles[-1])
        assert world.browser.console_errors == []


@every_client
async def test_runs_of_all_conversations_are_answered_in_one_place(client: str, tmp_path: Path) -> None:
    async with running_world(client, tmp_path) as world:
        browser = world.browser
        chat = await world.open_page(browser.page, "alice")
        second_browser = await browser.open_profile()
        await world.open_page(second_browser.page, "alice")
        page, second = ListPage(browser.page), ListPage(second_browser.page)
        for number, text in enumerate(("A Saturday in Nara, please.", "A Sunday in Osaka, please.")):
            await start_conversation(chat, text, "Travel concierge")
            world.emulator.clock.advance(LONG_ENOUGH_SECONDS)
            for shown in (page, second):
                await expect(shown.inbox).to_have_text(f"Waiting for you {number + 1}")

        await second.inbox.click()
        questions = second.page.get_by_role("article")
        await expect(questions).to_have_count(2)
        nara = questions.filter(has_text="A Saturday in Nara")
        await nara.get_by_label("get_weather").fill("sunny, 21 °C")
        await nara.get_by_label("find_trains").fill("9:14 from Kyoto")
        await second_browser.save_screenshot(f"lists-{client}-inbox")
        await nara.get_by_role("button", name="Submit outputs").click()
        await expect(questions).to_have_count(1)
        for shown in (page, second):
            await expect(shown.inbox).to_have_text("Waiting for you 1")

        await second.page.reload()
        await second.page.get_by_role("button", name="Sign in").click()
        await expect(questions).to_have_count(1)
        (run,) = (await world.data(WAITING, "alice"))["viewer"]["waitingRuns"]["nodes"]
        await world.data(CANCEL, "alice", input={"runId": run["id"]})  # elsewhere
        world.emulator.clock.advance(LONG_ENOUGH_SECONDS)
        for shown in (page, second):
            await expect(shown.inbox).to_have_count(0)
        await expect(second.page.get_by_text("Nothing waits for you.")).to_be_visible()
        assert browser.console_errors + second_browser.console_errors == []


@every_client
async def test_the_lists_are_read_again_after_events_were_lost(client: str, tmp_path: Path) -> None:
    sockets: asyncio.Queue[WebSocketRoute] = asyncio.Queue()
    subscriptions: list[str] = []

    def drop_events(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()

        def on_page_message(text: str | bytes) -> None:
            message: dict[str, Any] = json.loads(text)
            if message["type"] == "subscribe":
                subscriptions.append(message["id"])
            server.send(text)

        def on_server_message(text: str | bytes) -> None:
            if json.loads(text)["type"] != "next":
                socket.send(text)

        socket.on_message(on_page_message)
        server.on_message(on_server_message)
        sockets.put_nowait(socket)

    async with running_world(client, tmp_path) as world:
        await create_threads(world, ["There already"])
        await world.browser.page.route_web_socket(f"{world.gateway.url.replace('http', 'ws')}/graphql", drop_events)
        await world.open_page(world.browser.page, "alice")
        page = ListPage(world.browser.page)
        await page.expect_titles("There already")
        await create_threads(world, ["Not told"])
        await until(lambda: bool(subscriptions))
        lagged = {"viewerEvents": {"__typename": "Lagged", "cursor": "a-cursor"}}
        message = {"type": "next", "id": subscriptions[0], "payload": {"data": lagged}}
        (await sockets.get()).send(json.dumps(message))
        await page.expect_titles("Not told", "There already")
        assert world.browser.console_errors == []
