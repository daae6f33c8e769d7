"""The page in a real browser, over a tiny schema."""

import re

import pytest
from playwright.async_api import expect

from tests.support.browser import open_browser
from tests.support.graphiql import choose_tab, open_graphiql, run, tab_titles

pytestmark = pytest.mark.browser


async def test_examples_are_tabs_and_run(url: str) -> None:
    async with open_browser() as browser:
        await open_graphiql(browser.page, f"{url}/graphql")
        assert await tab_titles(browser.page) == ["Greet", "CountUp"]
        assert '"Hello, Ada"' in await run(browser.page, "Hello, Ada")

        await choose_tab(browser.page, "CountUp")
        counted = await run(browser.page, '"subscription": "complete"')
        assert re.findall(r'"count": (\d)', counted) == ["3", "2", "1"]
        await browser.save_screenshot("graphiql-tiny")

        assert browser.console_errors == []
        assert browser.foreign_requests == []


async def test_a_reload_keeps_the_open_tab_and_adds_none(url: str) -> None:
    async with open_browser() as browser:
        await open_graphiql(browser.page, f"{url}/graphql")
        await choose_tab(browser.page, "CountUp")
        # GraphiQL writes its tabs half a second after the last change.
        await browser.page.wait_for_function("""() =>
            Object.entries(localStorage).some(([key, value]) =>
                key.startsWith("threads-gateway/") && key.endsWith("graphiql:tabState")
                && JSON.parse(value).activeTabIndex === 1)
        """)
        await open_graphiql(browser.page, browser.page.url)

        assert await tab_titles(browser.page) == ["Greet", "CountUp"]
        await expect(browser.page.locator(".graphiql-tab-active")).to_contain_text("CountUp")
        assert browser.page.url.endswith("/graphql")
