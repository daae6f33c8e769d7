import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from gateway.server.graphiql.routes import ASSETS_DIRECTORY, Site, locate_queries, read_asset


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


async def get(url: str, path: str, **headers: str) -> Answer:
    address = URL(url + path, encoded=True)
    async with aiohttp.ClientSession() as session, session.get(address, headers=headers) as response:
        return Answer(response.status, response.headers, await response.text())


async def test_every_asset_of_the_page_is_served_as_immutable(url: str) -> None:
    page = await get(url, "/graphql", Accept="text/html")
    paths = re.findall(r'"(/graphiql/assets/[^"]+)"', page.text)
    assert len(paths) == 5
    for path in paths:
        asset = await get(url, path)
        assert asset.status == 200
        assert asset.headers["Content-Type"] in {"text/javascript; charset=utf-8", "text/css; charset=utf-8"}
        assert asset.headers["Content-Encoding"] == "gzip"
        assert "immutable" in asset.headers["Cache-Control"]
        again = await get(url, path, **{"If-None-Match": asset.headers["ETag"]})
        assert again.status == 304


@pytest.mark.parametrize("path", ["{version}/manifest.json", "{version}/..%2froutes.py", "0000/graphiql.js"])
async def test_nothing_else_is_served(url: str, site: Site, path: str) -> None:
    answer = await get(url, f"/graphiql/assets/{path.format(version=site.version)}")
    assert answer.status == 404


async def test_each_page_has_its_own_nonce_and_is_not_stored(url: str) -> None:
    nonces = set()
    for _ in range(2):
        page = await get(url, "/graphql", Accept="text/html")
        (policy_nonce,) = re.findall(r"'nonce-([^']+)'", page.headers["Content-Security-Policy"])
        assert set(re.findall(r'nonce="([^"]+)"', page.text)) == {policy_nonce}
        assert page.headers["Cache-Control"] == "no-store"
        nonces.add(policy_nonce)
    assert len(nonces) == 2


async def test_a_client_that_cannot_unpack_gets_the_plain_file(url: str, site: Site) -> None:
    answer = await get(url, f"/graphiql/assets/{site.version}/graphiql.js", **{"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in answer.headers
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert answer.text.encode() == read_asset(ASSETS_DIRECTORY, "graphiql.js")


def test_the_files_are_those_of_the_manifest(site: Site) -> None:
    listed = json.loads((ASSETS_DIRECTORY / "manifest.json").read_bytes())["files"]
    assert {name: hashlib.sha256(read_asset(ASSETS_DIRECTORY, name)).hexdigest() for name in site.files} == listed
    names = {f"{name}.gz" for name in listed} | {"manifest.json", "LICENSE.txt"}
    assert {path.name for path in ASSETS_DIRECTORY.iterdir()} == names


def test_the_source_tree_holds_the_examples() -> None:
    assert locate_queries() == Path(__file__).parents[4] / "queries"
