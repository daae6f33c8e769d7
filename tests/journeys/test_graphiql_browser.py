"""A user opens the gateway in a browser, sees the examples and runs the first."""

import pytest

from gateway.server.graphiql.page import load_tabs
from gateway.server.graphiql.routes import locate_queries
from tests.support.browser import open_browser
from tests.support.graphiql import open_graphiql, run, tab_titles


@pytest.mark.browser
async def test_the_first_example_runs_in_graphiql(demo_gateway: str) -> None:
    examples = load_tabs(locate_queries())
    async with open_browser() as browser:
        await open_graphiql(browser.page, f"{demo_gateway}/graphql")

        assert await tab_titles(browser.page) == [example.name for example in examples]
        answer = await run(browser.page, '"data"')
        assert '"errors"' not in answer

        await browser.save_screenshot("graphiql")
        assert browser.console_errors == []
        assert browser.foreign_requests == []
