"""Users of the single-page app sign in at a provider, work, keep their tokens fresh, and sign out."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, Response, expect

from gateway.compose import DEMO_KEY
from tests.support.chat_page import ChatPage, SocketRecord
from tests.support.emulator import Emulator
from tests.support.full_runs import long_except
from tests.support.signing_keys import read_claims
from tests.support.single_page_app_users import running_world
from tests.support.subscription_gateway import until

# The first run installs the packages and builds the app.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CLIENTS, TRANSPORTS = ("relay", "apollo", "urql"), ("websocket", "event-stream")
QUESTION = "What is new in this release? And what was new before?"
SHORT_SECONDS, EARLY_SECONDS = 6, 3
every_client = pytest.mark.parametrize("client", long_except(CLIENTS, ["relay"]))

# A page of the user tries to follow a run over a socket of its own. Returns the messages until the subscription ends.
FOLLOW = """([url, token, runId]) => new Promise((resolve) => {
    const socket = new WebSocket(url.replace("http", "ws"), "graphql-transport-ws"), messages = [];
    const query = "subscription ($runId: ID!) { runEvents(runId: $runId) { __typename } }";
    const send = (message) => socket.send(JSON.stringify(message));
    socket.onopen = () => send({ type: "connection_init", payload: { Authorization: token } });
    socket.onmessage = ({ data }) => {
        const message = JSON.parse(data);
        const payload = { query, variables: { runId } };
        if (message.type === "connection_ack") send({ id: "1", type: "subscribe", payload });
        else messages.push(message);
        if (message.type === "error" || message.type === "complete") socket.close();
    };
    socket.onclose = () => resolve(messages);
})"""


def is_answer_about(id_: str) -> Callable[[Response], bool]:
    """Return the condition that a response is to an operation with this id in its variables."""
    return lambda response: f'"{id_}"' in (response.request.post_data or "")


def told_expiries(socket: SocketRecord) -> list[int]:
    """Return when the tokens end that the page sent over a socket."""
    payloads = socket.sent_payloads("connection_init") + socket.sent_payloads("ping")
    return [read_claims(payload["Authorization"].removeprefix("Bearer "))["exp"] for payload in payloads]


def expect_each_word_once(chat: ChatPage, whole: str) -> None:
    """Hold that the pieces of the newest answer came once each, whichever socket they came over."""
    text = ""
    for piece in [piece for socket in chat.sockets for piece in socket.events("TextDelta")]:
        assert piece["offset"] == len(text)
        text += piece["value"]
    assert text == whole


async def shown_thread_id(emulator: Emulator, page: Page) -> str:
    """Return the id of the thread that a page shows, which the upstream has under the gateway's own key."""
    thread_id = page.url.partition("#")[2]
    assert (await emulator.get(f"/threads/{thread_id}", key=DEMO_KEY))["id"] == thread_id
    return thread_id


@every_client
async def test_a_user_works_and_signs_out_and_another_sees_nothing_of_it(client: str, tmp_path: Path) -> None:
    async with running_world(client, tmp_path) as world:
        page, browser = world.browser.page, world.browser
        await page.goto(world.page_url)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading")).to_have_text("Who are you?")
        await browser.save_screenshot(f"sign-in-{client}-provider")
        chat = await world.open_page(page, "alice")
        begun = await chat.ask("websocket", QUESTION)
        await browser.save_screenshot(f"sign-in-{client}-alice")
        await page.reload()  # forgets the token; the provider still knows the user
        await page.get_by_role("button", name="Sign in").click()
        await expect(chat.newest_text).to_contain_text(begun)
        whole = await chat.watch_run_end()
        thread_id = await shown_thread_id(world.emulator, page)
        found = await world.data(
            "query ($id: ID!) { thread(id: $id) { id runs(last: 1) { nodes { id } } } }", "alice", id=thread_id
        )
        (run,) = found["thread"]["runs"]["nodes"]

        other = await browser.open_profile()
        other_chat = await world.open_page(other.page, "bob")
        await expect(other.page.get_by_role("link")).to_have_text(["New conversation"])
        for id_ in (found["thread"]["id"], thread_id):
            calls = world.emulator.counts.total
            async with other.page.expect_response(is_answer_about(id_)) as answered:
                await other.page.goto(f"{world.page_url}#{id_}")
            answer = await answered.value
            await expect(other.page.get_by_role("alert")).to_have_text("There is no such conversation.")
            assert await answer.json() == {"data": {"thread": None}}
            assert world.emulator.counts.total == calls
        await other.save_screenshot(f"sign-in-{client}-bob")
        authorization = await answer.request.header_value("authorization")
        messages = await other.page.evaluate(FOLLOW, [f"{world.gateway.url}/graphql", authorization, run["id"]])
        (refusal,) = messages
        assert (refusal["type"], refusal["payload"][0]["extensions"]["code"]) == ("error", "NOT_FOUND")
        assert world.emulator.counts.total == calls
        await expect(other_chat.messages).to_have_count(0)

        stored = await page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.search])")
        assert "eyJ" not in stored
        assert stored.endswith(',""]')
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        await browser.save_screenshot(f"sign-in-{client}-signed-out")
        await world.sign_in(page, "alice")  # by the provider's page once more
        await page.get_by_role("link", name=QUESTION).click()
        await expect(chat.newest_text).to_have_text(whole)
        assert browser.console_errors == []
        assert browser.foreign_requests == []


@every_client
async def test_a_token_is_renewed_in_the_middle_of_an_answer(client: str, tmp_path: Path) -> None:
    async with running_world(client, tmp_path, token_seconds=SHORT_SECONDS, renewal_seconds=EARLY_SECONDS) as world:
        chat = await world.open_page(world.browser.page, "alice")
        begun = await chat.ask("websocket", QUESTION)
        (socket,) = chat.sockets
        end = told_expiries(socket)[-1]
        await until(lambda: time.time() > end + 1 and told_expiries(socket)[-1] > end)
        whole = await chat.watch_run_end()
        assert whole.startswith(begun)
        expect_each_word_once(chat, whole)
        assert chat.sockets == [socket]
        assert [message["type"] for message in socket.sent if message["type"] != "ping"] == [
            *("connection_init", "subscribe", "subscribe"),  # to the lists, and to the run
        ]
        assert world.browser.console_errors == []


@pytest.mark.parametrize(
    ("client", "transport"),
    long_except(
        [(client, transport) for client in CLIENTS for transport in TRANSPORTS],
        [("relay", transport) for transport in TRANSPORTS],
    ),
)
async def test_an_answer_goes_on_behind_its_last_word_after_its_token_has_ended(
    client: str, transport: str, tmp_path: Path
) -> None:
    async with running_world(client, tmp_path, token_seconds=SHORT_SECONDS, renewal_seconds=1) as world:
        chat = await world.open_page(world.browser.page, "alice")
        begun = await chat.ask(transport, QUESTION)
        subscriptions = len(chat.transports)
        world.provider.unavailable.add("/token")
        if transport == "websocket":
            await until(lambda: 4403 in chat.close_codes)
        else:
            await until(lambda: world.provider.counts["/token"] > 1)
        world.provider.unavailable.clear()
        await until(lambda: len(chat.transports) > subscriptions)
        whole = await chat.watch_run_end()
        assert whole.startswith(begun)
        if transport == "websocket":
            expect_each_word_once(chat, whole)
        first, *others = [variables.get("after") for variables in chat.subscribed_variables()]
        assert first is None
        assert others
        assert None not in others


async def test_a_user_whom_the_provider_forgot_signs_in_again(tmp_path: Path) -> None:
    async with running_world("relay", tmp_path, token_seconds=SHORT_SECONDS, renewal_seconds=1) as world:
        page = world.browser.page
        await world.open_page(page, "alice")
        world.provider.forget("alice")
        await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        await world.sign_in(page, "alice")
