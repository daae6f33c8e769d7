"""Users of the single-page app send images and tables, see them, and download what a run made of them."""

import asyncio
import functools
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from playwright.async_api import FilePayload, Locator, Page, Route, expect

from gateway import compose_files
from gateway.compose import DEMO_KEY
from gateway.emulator.clock import ManualClock
from gateway.emulator.content.canvas import Canvas
from gateway.files.file_addresses import FileAddresses
from tests.support.chat_page import LONG_ENOUGH_SECONDS
from tests.support.full_runs import long_except
from tests.support.single_page_app_users import SignInWorld, running_world
from tests.support.subscription_gateway import until

# The first run installs the packages and builds the app.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

every_client = pytest.mark.parametrize("client", long_except(("relay", "apollo", "urql"), ["relay"]))

LONG_SECONDS = 1000
TABLE = "city,visitors\nKyoto,53\nNara,13\nOsaka,94\n京都,7\n"
RANKED = "city,visitors\nOsaka,94\nKyoto,53\nNara,13\n京都,7\n"
READ = """query ($id: ID!) { file(id: $id) { id filename contentUrl } node(id: $id) { id } }"""


def a_picture() -> bytes:
    canvas = Canvas(240, 160, [(250, 220, 130), (200, 60, 60)])
    canvas.fill_ellipse(120, 80, 70, 60, 1)
    return canvas.to_png()


def to_payload(name: str, content: bytes, media_type: str = "application/octet-stream") -> FilePayload:
    return {"name": name, "mimeType": media_type, "buffer": content}


PICTURE = to_payload("flag.png", a_picture(), "image/png")
VISITORS = to_payload("visitors in 2026.csv", TABLE.encode(), "text/csv")


@dataclass(frozen=True)
class ShownFile:
    """A file as the graph shows it to its owner."""

    id: str
    upstream_id: str
    url: str


async def choose(page: Page, *payloads: FilePayload) -> None:
    """Choose files, and wait until they have been sent."""
    await page.get_by_label("Attach files").set_input_files(list(payloads))
    uploads = page.get_by_label("Chosen files").get_by_role("listitem")
    await expect(uploads).to_have_count(len(payloads))
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    await expect(page.get_by_role("progressbar")).to_have_count(0)


async def expect_image(image: Locator, width: int, height: int) -> None:
    """Hold that an image was loaded and has this size."""
    await expect(image).to_be_visible()
    await expect(image).to_have_js_property("complete", value=True)
    await expect(image).to_have_js_property("naturalWidth", width)
    await expect(image).to_have_js_property("naturalHeight", height)


async def download(page: Page, link: Locator) -> tuple[str, bytes]:
    """Follow a link, and return the name and the content of what was saved. The page stays."""
    place = page.url
    async with page.expect_download() as started:
        await link.click()
    saved = await started.value
    assert page.url == place
    path = await saved.path()
    return saved.suggested_filename, await asyncio.to_thread(path.read_bytes)


async def files_of_newest_thread(world: SignInWorld, user: str) -> list[ShownFile]:
    """Return the files that the messages of a user's newest thread show, attach or link to, each once."""
    file = "file { id upstreamId contentUrl }"
    found = await world.data(
        f"""query {{ viewer {{ threads(first: 1) {{ nodes {{ messages(last: 10) {{ nodes {{
            content {{
                ... on ImageFileContent {{ {file} }}
                ... on TextContent {{ annotations {{ ... on FilePath {{ {file} }} }} }}
            }}
            attachments {{ {file} }}
        }} }} }} }} }} }}""",
        user,
    )
    (thread,) = found["viewer"]["threads"]["nodes"]
    parts: list[Any] = []
    for message in thread["messages"]["nodes"]:
        annotations = [one for part in message["content"] for one in part.get("annotations", [])]
        parts += [*message["content"], *annotations, *message["attachments"]]
    shown = {part["file"]["id"]: part["file"] for part in parts if part.get("file")}
    return [ShownFile(file["id"], file["upstreamId"], file["contentUrl"]) for file in shown.values()]


async def status_of(url: str) -> tuple[int, str]:
    """Return the status of an address and the text of its answer, read without any credential."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, (await response.read()).decode(errors="replace")


@every_client
async def test_a_user_sends_an_image_and_a_table_and_downloads_what_a_run_made(client: str, tmp_path: Path) -> None:
    async with running_world(client, tmp_path) as world:
        page, browser = world.browser.page, world.browser
        chat = await world.open_page(page, "alice")
        await page.get_by_label("Data analyst").check()
        await choose(page, PICTURE, VISITORS)
        await browser.save_screenshot(f"files-{client}-chosen")
        await chat.send("Which city has the most visitors?")
        sent, answer = chat.messages.first, chat.messages.last
        await expect_image(sent.get_by_role("img", name="flag.png"), 240, 160)
        await expect(sent.get_by_role("link", name="visitors in 2026.csv")).to_be_visible()
        world.emulator.clock.advance(LONG_ENOUGH_SECONDS)
        await expect(chat.status).to_have_text("completed")
        await expect(chat.newest_text).to_contain_text("The largest visitors is 94 (city Osaka).")
        await expect(chat.newest_text).to_contain_text("You can download the result.")
        await expect_image(answer.get_by_role("img", name="chart.png"), 480, 300)
        await browser.save_screenshot(f"files-{client}-answered")
        assert await download(page, answer.get_by_role("link", name="result.csv")) == ("result.csv", RANKED.encode())
        assert await download(page, sent.get_by_role("link")) == (VISITORS["name"], VISITORS["buffer"])

        await page.reload()  # forgets the token; the provider still knows the user
        await page.get_by_role("button", name="Sign in").click()
        await expect_image(chat.messages.first.get_by_role("img"), 240, 160)
        await expect_image(chat.messages.last.get_by_role("img"), 480, 300)
        assert (await download(page, chat.messages.last.get_by_role("link")))[1] == RANKED.encode()
        assert browser.console_errors == []
        assert browser.foreign_requests == []

        await expect_nothing_for_bob(client, world, await files_of_newest_thread(world, "alice"))


async def expect_nothing_for_bob(client: str, world: SignInWorld, files: list[ShownFile]) -> None:
    """Hold that a second user gets nothing by any id or address of these files, and that no call asks for them."""
    assert len(files) == 4
    other = await world.browser.open_profile()
    chat = await world.open_page(other.page, "bob")
    await choose(other.page, to_payload("mine.png", a_picture(), "image/png"))
    await chat.send("What is this?")
    await expect_image(chat.messages.last.get_by_role("img"), 240, 160)
    await other.save_screenshot(f"files-{client}-bob")
    (own,) = await files_of_newest_thread(world, "bob")
    authorization = {"Authorization": f"Bearer {world.provider.issue_token('bob')}"}
    for file in files:
        calls = world.emulator.counts.total
        for file_id in (file.id, file.upstream_id):
            answer = await world.gateway.execute(READ, {"id": file_id}, headers=authorization)
            assert answer["data"] == {"file": None, "node": None}
        refused = await try_to_use(world, file.id, authorization)
        assert refused["code"] == "NOT_FOUND"
        address = urlsplit(file.url)
        for url in (
            address._replace(query="").geturl(),
            address._replace(query=urlsplit(own.url).query).geturl(),
        ):
            status, text = await status_of(url)
            assert status in {403, 404}
            assert file.upstream_id not in text
        assert world.emulator.counts.total == calls
    assert (await status_of(own.url))[0] == 200


async def try_to_use(world: SignInWorld, file_id: str, headers: dict[str, str]) -> Any:
    """Return the refusal of a message with another user's image."""
    start = (
        "mutation ($input: CreateThreadInput!) { createThread(input: $input) { thread { id } userErrors { code } } }"
    )
    message = {"content": [{"imageFile": {"fileId": file_id}}]}
    answer = await world.gateway.execute(start, {"input": {"messages": [message]}}, headers=headers)
    (refusal,) = answer["data"]["createThread"]["userErrors"]
    return refusal


async def test_a_page_that_was_read_long_ago_shows_its_files_by_new_addresses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(time.time())
    monkeypatch.setattr(compose_files, "FileAddresses", functools.partial(FileAddresses, now_seconds=clock.now))
    ended: list[str] = []

    async def end_first_address(route: Route) -> None:
        if ended:
            await route.continue_()
        else:
            ended.append(route.request.url)
            clock.advance(LONG_SECONDS)
            await route.continue_()

    # No address outlives the token that it was made for.
    async with running_world("relay", tmp_path, token_seconds=10 * LONG_SECONDS) as world:
        page = world.browser.page
        chat = await world.open_page(page, "alice")
        await choose(page, PICTURE, VISITORS)
        await page.route("**/content?*", end_first_address)
        await chat.send("Do you see the flag?")
        image = chat.messages.first.get_by_role("img")
        await expect_image(image, 240, 160)
        assert await image.get_attribute("src") not in ended
        assert (await status_of(ended[0]))[0] == 410
        clock.advance(LONG_SECONDS)
        _, content = await download(page, chat.messages.first.get_by_role("link"))
        assert content == VISITORS["buffer"]


async def test_a_page_stays_where_the_upstream_keeps_a_content_to_itself(tmp_path: Path) -> None:
    async with running_world("relay", tmp_path) as world:
        page = world.browser.page
        chat = await world.open_page(page, "alice")
        world.emulator.misbehave("downloadFile:upload-only")
        await page.get_by_label("Data analyst").check()
        await choose(page, PICTURE, VISITORS)
        await chat.send("Which city has the most visitors?")
        await expect_image(chat.messages.first.get_by_role("img"), 240, 160)
        await chat.messages.first.get_by_role("link").click()
        await expect(chat.messages.first.get_by_role("alert")).to_have_text("This file cannot be downloaded.")
        await world.browser.save_screenshot("files-refused")
        world.emulator.clock.advance(LONG_ENOUGH_SECONDS)
        await expect(chat.status).to_have_text("completed")
        _, made = await download(page, chat.messages.last.get_by_role("link"))
        assert made == RANKED.encode()


async def test_a_user_sees_how_far_an_upload_is_and_takes_it_back(tmp_path: Path) -> None:
    async with running_world("relay", tmp_path) as world:
        page = world.browser.page
        await world.open_page(page, "alice")
        network = await page.context.new_cdp_session(page)
        slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 500_000}
        await network.send("Network.enable")
        await network.send("Network.emulateNetworkConditions", slow)
        content = random.Random(1).randbytes(1_500_000)
        remove = page.get_by_role("button", name="Remove large.bin")
        await page.get_by_label("Attach files").set_input_files(to_payload("large.bin", content))
        await page.wait_for_function("document.querySelector('progress')?.value > 0.2")
        async with page.expect_event("requestfailed"):
            await remove.click()
        await expect(page.get_by_label("Chosen files")).to_have_count(0)
        await page.get_by_label("Attach files").set_input_files(to_payload("large.bin", content))
        await page.wait_for_function("document.querySelector('progress')?.value > 0.2")
        await world.browser.save_screenshot("files-progress")
        assert await page.get_by_role("progressbar").evaluate("bar => bar.value < 1")
        await expect(page.get_by_role("button", name="Send")).to_be_disabled()
        await expect(page.get_by_role("progressbar")).to_have_count(0)
        stored = (await world.emulator.get("/files?purpose=assistants", key=DEMO_KEY))["data"]
        assert [one["bytes"] for one in stored if one["filename"] == "large.bin"] == [len(content)]
        await remove.click()
        await expect(page.get_by_label("Chosen files")).to_have_count(0)
        await until(lambda: world.emulator.counts.by_operation["deleteFile"] == 1)
        stored = (await world.emulator.get("/files?purpose=assistants", key=DEMO_KEY))["data"]
        assert [one for one in stored if one["filename"] == "large.bin"] == []
        assert world.browser.console_errors == []
