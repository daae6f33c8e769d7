"""GraphiQL as a person uses it: its tabs, its run button, its result pane."""

import re

from playwright.async_api import Locator, Page, expect

# GraphiQL reads the operation's name from the editor a moment after a tab is chosen; a person is slower than that.
TOO_EARLY = "Cannot infer operation"


async def open_graphiql(page: Page, url: str) -> None:
    await page.goto(url)
    await expect(page.get_by_role("button", name="Execute query (Ctrl-Enter)")).to_be_visible(timeout=30_000)


async def tab_titles(page: Page) -> list[str]:
    return await page.locator(".graphiql-tab-button").all_inner_texts()


async def choose_tab(page: Page, title: str) -> None:
    await page.locator(".graphiql-tab-button", has_text=title).click()


async def run(page: Page, expected: str) -> str:
    """Presses the run button; the result pane's text once `expected` appears in it."""
    result = page.locator(".result-window")
    # Monaco draws spaces as no-break spaces.
    pattern = re.compile(re.escape(expected).replace(r"\ ", r"\s"))
    await page.locator(".graphiql-execute-button").click()
    try:
        await expect(result).to_contain_text(pattern)
    except AssertionError:
        if TOO_EARLY in await _text_of(result):
            await page.locator(".graphiql-execute-button").click()
        await expect(result).to_contain_text(pattern, timeout=20_000)
    return await _text_of(result)


async def _text_of(result: Locator) -> str:
    return (await result.inner_text()).replace("\N{NO-BREAK SPACE}", " ")
