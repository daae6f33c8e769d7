"""A user opens the gateway in a browser, on a wide and on a narrow screen, sees the examples and runs them."""

import pytest
from playwright.async_api import expect

from gateway.server.graphiql.page import load_tabs
from gateway.server.graphiql.routes import locate_queries
from tests.support.browser import open_browser
from tests.support.gateway import Gateway
from tests.support.graphiql import choose_tab, open_graphiql, run, tab_titles

pytestmark = pytest.mark.browser


async def test_the_first_examples_are_the_viewers_threads_and_a_chat_and_run_in_graphiql(demo_gateway: str) -> None:
    examples = load_tabs(locate_queries())
    async with open_browser() as browser:
        await open_graphiql(browser.page, f"{demo_gateway}/graphql")

        assert await tab_titles(browser.page) == [example.name for example in examples]
        assert [example.name for example in examples[:2]] == ["MyThreads", "Chat"]
        answer = await run(browser.page, '"threads"')
        assert '"errors"' not in answer
        await choose_tab(browser.page, "Chat")
        answer = await run(browser.page, '"data"', operation="Chat")
        assert '"errors"' not in answer

        await browser.save_screenshot("graphiql")
        assert browser.console_errors == []
        assert browser.foreign_requests == []


async def test_a_tab_opens_at_the_first_click_of_a_fresh_profile(demo_gateway: str) -> None:
    async with open_browser() as browser:
        page = browser.page
        await open_graphiql(page, f"{demo_gateway}/graphql")
        await page.evaluate("document.fonts.ready")
        # The fonts have moved every tab by now, and GraphiQL has left a transform on each.
        await page.wait_for_function("document.querySelector('.graphiql-tab').style.transform.includes('translateX')")
        for title in ("Conversation", "ThreadEvents", "Chat"):
            await choose_tab(page, title)


async def test_all_tabs_are_in_sight_on_a_screen_of_1280_pixels(demo_gateway: str) -> None:
    async with open_browser() as browser:
        page = browser.page
        await page.set_viewport_size({"width": 1280, "height": 800})
        await open_graphiql(page, f"{demo_gateway}/graphql")
        for tab in await page.locator(".graphiql-tab-button").all():
            await expect(tab).to_be_in_viewport(ratio=1)
        assert await page.evaluate("document.documentElement.scrollHeight - innerHeight") <= 0
        await browser.save_screenshot("graphiql-1280")


async def test_the_page_can_be_used_on_a_screen_of_390_pixels(demo_gateway: str) -> None:
    async with open_browser() as browser:
        page = browser.page
        await page.set_viewport_size({"width": 390, "height": 800})
        await open_graphiql(page, f"{demo_gateway}/graphql")
        await choose_tab(page, "Assistants")  # out of sight until the row of tabs is scrolled
        assert '"errors"' not in await run(page, '"data"')
        for pane in (".graphiql-query-editor", ".result-window"):
            await expect(page.locator(pane)).to_be_in_viewport(ratio=0.95)
            box = await page.locator(pane).bounding_box()
            assert box is not None
            assert box["width"] > 300
            assert box["height"] > 150
        await page.get_by_role("button", name="Show Documentation Explorer").click()
        await expect(page.locator(".graphiql-doc-explorer-header")).to_be_in_viewport(ratio=1)
        await browser.save_screenshot("graphiql-390")


async def test_the_documentation_is_there_without_a_credential(gateway: Gateway) -> None:
    async with open_browser() as browser:
        page = browser.page
        await open_graphiql(page, f"{gateway.url}/graphql")
        await page.get_by_role("button", name="Show Documentation Explorer").click()
        await page.locator(".graphiql-doc-explorer").get_by_text("Query", exact=True).click()
        await expect(page.locator(".graphiql-doc-explorer")).to_contain_text("threadsByIds")
        assert browser.console_errors == []
