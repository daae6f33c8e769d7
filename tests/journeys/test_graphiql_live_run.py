"""A user starts a run in GraphiQL and watches it there. If the gateway has no key, the user sets a header."""

import re

import pytest
from playwright.async_api import expect

from gateway.compose import DEMO_KEY
from tests.support.browser import open_browser
from tests.support.emulator import running_emulator
from tests.support.gateway import running_gateway
from tests.support.graphiql import choose_tab, open_graphiql, result_text, run, set_headers, set_variables

pytestmark = pytest.mark.browser


# A clock that the test moves, so that a slow machine does not miss the words.
IN_THE_MIDDLE_SECONDS, LONG_ENOUGH_SECONDS = 2, 60


async def test_a_run_that_is_started_in_graphiql_is_watched_there_word_by_word() -> None:
    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as emulator,
        running_gateway(emulator.url, upstream_api_key=DEMO_KEY) as gateway,
        open_browser() as browser,
    ):
        page, result = browser.page, browser.page.locator(".result-window")
        await open_graphiql(page, f"{gateway.url}/graphql")
        await choose_tab(page, "Chat")
        assert '"QUEUED"' in await run(page, '"QUEUED"', operation="Chat")
        await browser.save_screenshot("graphiql-run-started")

        # Nothing was copied: the page knows the run that this document started.
        assert '"RunSnapshot"' in await run(page, '"newestFirst"', operation="ChatEvents")
        emulator.clock.advance(IN_THE_MIDDLE_SECONDS)
        await expect(result).to_contain_text("TextDelta")
        assert '"subscription": "open"' in await result_text(result)
        await browser.save_picture("graphiql-run")  # the first screen of README.md

        emulator.clock.advance(LONG_ENOUGH_SECONDS)
        await expect(result).to_contain_text(re.compile(r'"subscription":\s"complete"'))
        assert '"status": "COMPLETED"' in await result_text(result)
        await browser.save_screenshot("graphiql-run-over")

        assert browser.console_errors == []
        assert browser.foreign_requests == []


async def test_a_run_of_the_demo_comes_to_its_end_in_graphiql(demo_gateway: str) -> None:
    async with open_browser() as browser:
        page = browser.page
        await open_graphiql(page, f"{demo_gateway}/graphql")
        await choose_tab(page, "Chat")
        await run(page, '"QUEUED"', operation="Chat")
        assert '"COMPLETED"' in await run(page, '"subscription": "complete"', operation="ChatEvents")
        assert browser.console_errors == []


async def test_a_subscription_can_be_stopped(demo_gateway: str) -> None:
    async with open_browser() as browser:
        page = browser.page
        await open_graphiql(page, f"{demo_gateway}/graphql")
        await choose_tab(page, "PlanTrip")
        async with page.expect_websocket() as opened:
            assert "REQUIRES_ACTION" in await run(page, "REQUIRES_ACTION", operation="ToolCalls")
        socket = await opened.value
        await page.get_by_role("button", name="Stop query (Ctrl-Enter)").click()
        await expect(page.get_by_role("button", name="Execute query (Ctrl-Enter)")).to_be_visible()
        if not socket.is_closed():
            await socket.wait_for_event("close")
        await browser.save_screenshot("graphiql-tool-calls")
        assert browser.console_errors == []


async def test_a_run_that_the_variables_name_is_followed_or_refused_in_words(demo_gateway: str) -> None:
    async with open_browser() as browser:
        page = browser.page
        await open_graphiql(page, f"{demo_gateway}/graphql")
        await choose_tab(page, "Chat")
        await run(page, '"QUEUED"', operation="Chat")
        await set_variables(page, {"run": "nonsense"})
        refused = await run(page, '"subscription": "refused"', operation="ChatEvents")
        assert '"BAD_USER_INPUT"' in refused
        await browser.save_screenshot("graphiql-bad-run")


async def test_a_header_of_the_editor_opens_the_socket_of_a_gateway_without_a_key() -> None:
    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as emulator,
        running_gateway(emulator.url) as gateway,
        open_browser() as browser,
    ):
        page = browser.page
        await open_graphiql(page, f"{gateway.url}/graphql")
        await choose_tab(page, "Resume")
        assert "UPSTREAM_API_KEY" in await run(page, "closed: 4401 Unauthorized")
        await browser.save_screenshot("graphiql-refused")

        await set_headers(page, {"Authorization": f"Bearer {DEMO_KEY}"})
        assert '"RunSnapshot"' in await run(page, '"subscription": "complete"')
        assert browser.foreign_requests == []
