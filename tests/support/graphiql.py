"""GraphiQL as a user operates it: its tabs, its run button, its result pane."""

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any

from playwright.async_api import Locator, Page, expect

# GraphiQL reads the operation's name from the editor a moment after a tab is chosen. A user is slower than that.
TOO_EARLY = re.compile(r"Cannot\sinfer\soperation|Unknown\sop|to\sname\san\soperation")


# GraphiQL writes this some time after the last change, so it has read the operation's name by then.
_HAS_STORED_ITS_ACTIVE_TAB = """index => Object.entries(localStorage).some(
    ([key, value]) => key.endsWith("graphiql:tabState") && JSON.parse(value).activeTabIndex === index
)"""


async def open_graphiql(page: Page, url: str) -> None:
    await page.goto(url)
    await expect(page.get_by_role("button", name="Execute query (Ctrl-Enter)")).to_be_visible()


async def tab_titles(page: Page) -> list[str]:
    return await page.locator(".graphiql-tab-button").all_inner_texts()


async def choose_tab(page: Page, title: str) -> None:
    """Open a tab by one click, and wait until its text is in the editor and GraphiQL has taken it over."""
    index = (await tab_titles(page)).index(title)
    await page.locator(".graphiql-tab-button", has_text=re.compile(f"^{re.escape(title)}$")).click()
    await expect(page.locator(".graphiql-query-editor")).to_contain_text(title)
    await page.wait_for_function(_HAS_STORED_ITS_ACTIVE_TAB, arg=index)


async def run(page: Page, expected: str, *, operation: str | None = None) -> str:
    """Press the run button. Returns the text of the result pane once it contains `expected`.

    `operation` chooses from the menu of a tab with several operations.
    """
    result = page.locator(".result-window")
    # Monaco draws spaces as no-break spaces.
    pattern = re.compile(re.escape(expected).replace(r"\ ", r"\s"))
    for _ in range(3):
        await _press(page, operation)
        with contextlib.suppress(AssertionError):
            await expect(result).to_contain_text(pattern)
            break
        if not TOO_EARLY.search(await result_text(result)):
            break
    await expect(result).to_contain_text(pattern)
    return await result_text(result)


async def set_headers(page: Page, headers: Mapping[str, str]) -> None:
    await _fill(page, "Headers", "request-headers.json", headers)


async def set_variables(page: Page, variables: Mapping[str, Any]) -> None:
    await _fill(page, "Variables", "variables.json", variables)


async def result_text(result: Locator) -> str:
    return (await result.inner_text()).replace("\N{NO-BREAK SPACE}", " ")


async def _press(page: Page, operation: str | None) -> None:
    button = page.locator(".graphiql-execute-button")
    if operation is not None:
        # The button has a menu as soon as GraphiQL has read the tab's document.
        await expect(button).to_have_attribute("aria-haspopup", "menu")
    await button.click()
    if operation is not None:
        await page.get_by_role("menuitem", name=operation, exact=True).click()


async def _fill(page: Page, title: str, file_name: str, value: object) -> None:
    """Type into one of the small editors of the open tab."""
    await page.get_by_role("button", name=title, exact=True).click()
    await page.locator(f".monaco-editor[data-uri$='{file_name}']").click()
    # If typed key by key, Monaco would close brackets and quotes by itself.
    await page.keyboard.insert_text(json.dumps(value))
