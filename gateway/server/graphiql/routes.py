"""Serves the GraphiQL page and its assets with aiohttp."""

import asyncio
import gzip
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gateway.server.graphiql.page import Tab, content_security_policy, load_tabs, render_page

ASSETS_DIRECTORY = Path(__file__).parent / "assets"
ASSETS_PATH = "/graphiql/assets"
CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}


@dataclass(frozen=True)
class Site:
    """The tabs, the asset files, and a version that changes with their bytes."""

    tabs: tuple[Tab, ...]
    assets: Path
    files: frozenset[str]
    version: str

    @property
    def urls(self) -> Mapping[str, str]:
        return {name: f"{ASSETS_PATH}/{self.version}/{name}" for name in self.files}


def locate_queries() -> Path:
    """Locate the example operations: in the installed package, else in the source tree."""
    package = Path(__file__).parents[2]
    installed = package / "_queries"
    return installed if installed.is_dir() else package.parent / "queries"


def load_site(*, queries: Path, assets: Path = ASSETS_DIRECTORY) -> Site:
    """Read the tabs and the assets' manifest, which names the npm package that the files come from.

    Raises:
        ValueError: An example file cannot be used by GraphiQL.
    """
    manifest = json.loads((assets / "manifest.json").read_bytes())
    return Site(load_tabs(queries), assets, frozenset(manifest["files"]), manifest["sha512"][:16])


def read_asset(assets: Path, name: str) -> bytes:
    """Read an asset file, which is held compressed."""
    return gzip.decompress((assets / f"{name}.gz").read_bytes())


def graphiql_routes(site: Site) -> list[web.RouteDef]:
    """Make the routes of the asset files. Their URLs hold the version, so that browsers may cache them for good."""

    async def asset(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in site.files or request.match_info["version"] != site.version:
            raise web.HTTPNotFound
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Type": f"{CONTENT_TYPES[Path(name).suffix]}; charset=utf-8",
            "ETag": f'"{site.version}"',
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
        }
        if any(etag.value == site.version for etag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        if "gzip" not in request.headers.get("Accept-Encoding", "").lower():
            return web.Response(body=await asyncio.to_thread(read_asset, site.assets, name), headers=headers)
        packed = await asyncio.to_thread((site.assets / f"{name}.gz").read_bytes)
        return web.Response(body=packed, headers={**headers, "Content-Encoding": "gzip"})

    return [web.get(f"{ASSETS_PATH}/{{version}}/{{name}}", asset)]


def graphiql_response(request: web.Request, site: Site) -> web.Response:
    """Render the page for a GET whose `Accept` prefers `text/html`.

    Each response has its own nonce for the page's script. The page sends its operations to the request's path.
    """
    nonce = secrets.token_urlsafe(16)
    text = render_page(tabs=site.tabs, endpoint=request.path, nonce=nonce, assets=site.urls)
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": content_security_policy(nonce),
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=headers)
