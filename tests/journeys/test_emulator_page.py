"""Tests the emulator's own page in a browser: counts that move, the threads of a key, and switches for faults."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest
from playwright.async_api import expect

from gateway.emulator.app import create_app
from gateway.emulator.clock import ManualClock
from gateway.server.app import listening
from tests.support.browser import open_browser

pytestmark = pytest.mark.browser
HEADERS = {"Authorization": "Bearer demo-key", "OpenAI-Beta": "assistants=v2"}


@dataclass
class DemoEmulator:
    url: str
    session: aiohttp.ClientSession

    async def status(self, method: str, path: str, **options: object) -> int:
        async with self.session.request(method, f"{self.url}/v1{path}", headers=HEADERS, **options) as response:  # type: ignore[arg-type]
            return response.status


@pytest.fixture
async def emulator() -> AsyncIterator[DemoEmulator]:
    app = create_app(clock=ManualClock(), seed_keys=["demo-key"], fault_control=True)
    async with listening(app, "127.0.0.1", 0) as url, aiohttp.ClientSession() as session:
        yield DemoEmulator(url, session)


async def test_the_page_shows_counts_and_threads_and_switches_faults(emulator: DemoEmulator) -> None:
    async with open_browser() as browser:
        page = browser.page
        await page.goto(emulator.url)
        await expect(page.locator("#total")).to_have_text("0")
        for _ in range(3):
            assert await emulator.status("GET", "/assistants") == 200
        assert await emulator.status("POST", "/threads", json={"metadata": {"title": "<b>Herons</b>"}}) == 200
        await expect(page.locator("#total")).to_have_text("4")
        await expect(page.get_by_role("row", name="listAssistants 3")).to_be_visible()

        await page.get_by_label("API key").fill("demo-key")
        await expect(page.locator("#thread-count")).to_have_text("7 threads, 6 conversations")
        await expect(page.locator(".thread").first).to_contain_text("<b>Herons</b>, 0 messages")
        await expect(page.locator(".badge.requires_action")).to_have_count(1)
        conversation = page.locator(".thread", has_text="conv_demoRefundPending0000001")
        await expect(conversation).to_contain_text("Refund for order 1052, 2 items")
        await expect(conversation.locator(".run")).to_have_text("completedresp_demoRefundPending0005001")

        switch = page.get_by_role("switch", name="Reads answer 503")
        await switch.check()
        await expect(page.get_by_role("row", name="GET:503 0 / 0")).to_be_visible()
        assert await emulator.status("GET", "/assistants") == 503
        await page.get_by_role("switch", name="Writes answer 503").check()
        await expect(page.get_by_role("row", name="POST:503 0 / 0")).to_be_visible()
        await expect(page.get_by_role("row", name="503 1", exact=True)).to_be_visible()
        await browser.save_screenshot("emulator")
        await switch.uncheck()
        await expect(page.get_by_role("row", name="GET:503")).to_have_count(0)
        assert await emulator.status("GET", "/assistants") == 200
        await page.get_by_role("button", name="All off").click()
        await expect(page.get_by_role("switch", name="Writes answer 503")).not_to_be_checked()

        await page.get_by_role("button", name="Start again at 0").click()
        await expect(page.locator("#total")).to_have_text("0")
        await page.set_viewport_size({"width": 390, "height": 844})
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        await page.emulate_media(color_scheme="dark")
        await page.screenshot(path=(await browser.save_screenshot("emulator-narrow")), full_page=True)
        assert browser.console_errors == []
        assert browser.foreign_requests == []
