"""Serves the GraphiQL page and its assets with aiohttp."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from gateway.server.graphiql.page import Tab, content_security_policy, load_tabs, render_missing_page, render_page

ASSETS_DIRECTORY = Path(__file__).parent / "assets"
ASSETS_PATH = "/graphiql/assets"
CONTENT_TYPES = {".css": "text/css", ".js": "text/javascript", ".txt": "text/plain"}


@dataclass(frozen=True)
class Site:
    """The tabs, the asset files, and a version that changes with their bytes.

    `version` is None if the gateway was built without GraphiQL's files.
    """

    tabs: tuple[Tab, ...]
    assets: Path
    files: frozenset[str]
    version: str | None

    @property
    def urls(self) -> Mapping[str, str]:
        return {name: f"{ASSETS_PATH}/{self.version}/{name}" for name in self.files}


def locate_queries() -> Path:
    """Locate the example operations: in the installed package, else in the source tree."""
    package = Path(__file__).parents[2]
    installed = package / "_queries"
    return installed if installed.is_dir() else package.parent / "queries"


def load_site(*, queries: Path, assets: Path = ASSETS_DIRECTORY) -> Site:
    """Read the tabs and the assets' manifest.

    Raises:
        ValueError: An example file cannot be used by GraphiQL.
    """
    try:
        manifest = json.loads((assets / "manifest.json").read_bytes())
    except FileNotFoundError:
        return Site(load_tabs(queries), assets, files=frozenset(), version=None)
    return Site(load_tabs(queries), assets, frozenset(manifest["files"]), manifest["sha512"][:16])


def graphiql_routes(site: Site) -> list[web.RouteDef]:
    """Make the routes of the asset files. Their URLs hold the version, so that browsers may cache them for good."""

    async def asset(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in site.files or request.match_info["version"] != site.version:
            raise web.HTTPNotFound
        headers = {
            "Cache-Control": "public, max-age=31536000, immutable",
            "Content-Type": f"{CONTENT_TYPES[Path(name).suffix]}; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
        }
        return web.FileResponse(site.assets / name, headers=headers)

    return [web.get(f"{ASSETS_PATH}/{{version}}/{{name}}", asset)]


def graphiql_response(request: web.Request, site: Site) -> web.Response:
    """Render the page for a GET whose `Accept` prefers `text/html`.

    Each response has its own nonce for the page's script. The page sends its operations to the request's path.
    """
    nonce = secrets.token_urlsafe(16)
    if site.version is None:
        text, status = render_missing_page(), 503
    else:
        text, status = render_page(tabs=site.tabs, endpoint=request.path, nonce=nonce, assets=site.urls), 200
    headers = {
        "Cache-Control": "no-store",
        "Content-Security-Policy": content_security_policy(nonce),
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=headers)
