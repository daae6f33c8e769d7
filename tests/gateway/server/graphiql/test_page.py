import json
import re
from pathlib import Path

import pytest

from gateway.server.graphiql.page import Tab, content_security_policy, load_tabs, render_page

ASSETS = {
    name: f"/a/{name}"
    for name in ("editor.worker.js", "graphiql.css", "graphiql.js", "graphql.worker.js", "json.worker.js")
}


def rendered(*tabs: Tab) -> str:
    return render_page(tabs=tabs, endpoint="/graphql", nonce="n0nce", assets=ASSETS)


def options_from_page(page: str) -> dict[str, object]:
    match = re.search(r"^const options = (.*);$", page, re.MULTILINE)
    assert match
    options: dict[str, object] = json.loads(match[1])
    return options


def test_tabs_come_in_the_order_of_file_names_and_are_named_by_their_operations(queries: Path) -> None:
    greet, count = load_tabs(queries)
    assert (greet.name, count.name) == ("Greet", "CountUp")
    assert json.loads(greet.variables or "") == {"name": "Ada"}
    assert count.variables is None


def test_an_unnamed_operation_is_named_by_its_file(tmp_path: Path) -> None:
    (tmp_path / "03-plain.graphql").write_text("{ greeting }")
    assert [tab.name for tab in load_tabs(tmp_path)] == ["03-plain"]


@pytest.mark.parametrize(
    ("query", "variables", "complaint"),
    [
        ("{ greeting", None, "expected a GraphQL document"),
        ("{ greeting }", "[1]", r"expected a JSON object in .*, got '\[1\]'"),
        ("{ greeting }", "{", "expected a JSON object"),
    ],
)
def test_a_broken_example_is_refused(tmp_path: Path, query: str, variables: str | None, complaint: str) -> None:
    (tmp_path / "x.graphql").write_text(query)
    if variables is not None:
        (tmp_path / "x.variables.json").write_text(variables)
    with pytest.raises(ValueError, match=complaint):
        load_tabs(tmp_path)


def test_the_page_holds_every_example_as_a_tab() -> None:
    options = options_from_page(rendered(Tab("A", "query A { a }", '{"x": 1}'), Tab("B", "query B { b }")))
    assert options["defaultTabs"] == [
        {"query": "query A { a }", "variables": '{"x": 1}'},
        {"query": "query B { b }", "variables": None},
    ]
    assert options["shouldPersistHeaders"] is False


def test_the_pages_own_fetcher_knows_the_endpoint() -> None:
    page = rendered(Tab("A", "{ a }"))
    assert 'const endpoint = "/graphql";' in page
    assert "options.fetcher = " in page
    # With an endpoint beside a fetcher, GraphiQL logs an error in the console.
    assert "endpoint" not in options_from_page(page)


def test_an_example_cannot_end_the_script_that_holds_it() -> None:
    hostile = "# </script><script>alert(1)</script>\u2028{ a }"
    page = rendered(Tab("A", hostile))
    assert hostile not in page
    assert page.count("<script") == 3
    assert options_from_page(page)["defaultTabs"] == [{"query": hostile, "variables": None}]


def test_browsers_keep_their_tabs_until_the_examples_change() -> None:
    def prefix(page: str) -> str:
        match = re.search(r'const prefix = "(.*)";', page)
        assert match
        return match[1]

    first = prefix(rendered(Tab("A", "{ a }")))
    assert first == prefix(rendered(Tab("A", "{ a }")))
    assert first != prefix(rendered(Tab("A", "{ b }")))


def test_the_page_names_no_other_origin() -> None:
    assert "//" not in re.sub(r"^//.*$", "", rendered(Tab("A", "{ a }")), flags=re.MULTILINE)


def test_the_policy_permits_only_this_origin_and_the_nonce() -> None:
    policy = content_security_policy("n0nce")
    assert "script-src 'self' 'nonce-n0nce'" in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "unsafe-eval" not in policy
