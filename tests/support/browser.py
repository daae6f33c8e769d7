"""Starts Debian's headless Chromium, limited to this machine's loopback addresses, and collects its errors."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import ConsoleMessage, Page, Request, async_playwright, expect

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / ".cache" / "screenshots"
PICTURES = ROOT / ".pictures"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]

# The bound is about the machine: expectations end as soon as they hold.
expect.set_options(timeout=20_000)


@dataclass
class Browser:
    """A page of a fresh profile, with its console errors and the hosts of its requests."""

    page: Page
    console_errors: list[str] = field(default_factory=list)
    foreign_requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))
        self.page.on("request", self._on_request)
        self.page.on("websocket", lambda socket: self._note_url(socket.url))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.console_errors.append(f"{message.text} ({message.location})")

    def _on_request(self, request: Request) -> None:
        self._note_url(request.url)

    def _note_url(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"data", "blob", "about"} and parts.hostname != "127.0.0.1":
            self.foreign_requests.append(url)

    async def open_profile(self) -> "Browser":
        """Open a page of another fresh profile of the same browser."""
        chromium = self.page.context.browser
        assert chromium is not None
        other = Browser(await chromium.new_page(viewport=self.page.viewport_size))
        other.watch()
        return other

    async def save_screenshot(self, name: str) -> Path:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        await self.page.screenshot(path=path)
        return path

    async def save_picture(self, name: str) -> None:
        """Save a screenshot, and make it the documentation's picture of this name if the environment asks for it."""
        screenshot = await self.save_screenshot(name)
        if os.environ.get("THREADS_GATEWAY_UPDATE_PICTURES") == "1":
            PICTURES.mkdir(exist_ok=True)
            shutil.copyfile(screenshot, PICTURES / screenshot.name)


def find_chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Open a browser for one test. Skips the test if Chromium is not installed."""
    executable = find_chromium()
    if executable is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=executable, args=FLAGS) as chromium,
    ):
        browser = Browser(await chromium.new_page(viewport={"width": 1400, "height": 900}))
        browser.watch()
        yield browser
