import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer, make_mocked_request
from yarl import URL

from gateway.server.graphiql.routes import Site, graphiql_response, load_site, locate_queries


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


async def get(server: TestServer, path: str, **headers: str) -> Answer:
    url = URL(f"http://127.0.0.1:{server.port}{path}", encoded=True)
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as response:
        return Answer(response.status, response.headers, await response.text())


async def test_every_asset_of_the_page_is_served_as_immutable(server: TestServer) -> None:
    page = await get(server, "/graphql", Accept="text/html")
    urls = re.findall(r'"(/graphiql/assets/[^"]+)"', page.text)
    assert len(urls) == 5
    for url in urls:
        asset = await get(server, url)
        assert asset.status == 200
        assert asset.headers["Content-Type"] in {"text/javascript; charset=utf-8", "text/css; charset=utf-8"}
        assert asset.headers["Content-Encoding"] == "gzip"
        assert "immutable" in asset.headers["Cache-Control"]
        again = await get(server, url, **{"If-None-Match": asset.headers["ETag"]})
        assert again.status == 304


@pytest.mark.parametrize("path", ["{version}/manifest.json", "{version}/..%2froutes.py", "0000/graphiql.js"])
async def test_nothing_else_is_served(server: TestServer, site: Site, path: str) -> None:
    answer = await get(server, f"/graphiql/assets/{path.format(version=site.version)}")
    assert answer.status == 404


async def test_each_page_has_its_own_nonce_and_is_not_stored(server: TestServer) -> None:
    nonces = set()
    for _ in range(2):
        page = await get(server, "/graphql", Accept="text/html")
        (policy_nonce,) = re.findall(r"'nonce-([^']+)'", page.headers["Content-Security-Policy"])
        assert set(re.findall(r'nonce="([^"]+)"', page.text)) == {policy_nonce}
        assert page.headers["Cache-Control"] == "no-store"
        nonces.add(policy_nonce)
    assert len(nonces) == 2


def test_a_gateway_built_without_assets_says_so(queries: Path, tmp_path: Path) -> None:
    site = load_site(queries=queries, assets=tmp_path / "absent")
    response = graphiql_response(make_mocked_request("GET", "/graphql"), site)
    assert response.status == 503
    assert "npm registry" in (response.text or "")
    assert [tab.name for tab in site.tabs] == ["Greet", "CountUp"]


def test_the_source_tree_holds_the_examples() -> None:
    assert locate_queries() == Path(__file__).parents[4] / "queries"
