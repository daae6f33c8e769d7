"""Renders the GraphiQL page. Pure, except for `load_tabs`, which reads the examples."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from graphql import GraphQLError, OperationDefinitionNode, parse

TITLE = "Threads gateway"
_SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
_STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Tab:
    """One example. `name` is the operation's name, which GraphiQL shows as title; `variables` is JSON text."""

    name: str
    query: str
    variables: str | None = None


def load_tabs(directory: Path) -> tuple[Tab, ...]:
    """Load the `*.graphql` files of a directory in the order of their names.

    The variables of `name.graphql` stand in `name.variables.json`, if that exists.

    Raises:
        ValueError: A file is no GraphQL document, or its variables are no JSON object.
    """
    return tuple(_load_tab(path) for path in sorted(directory.glob("*.graphql")))


def _load_tab(path: Path) -> Tab:
    query = path.read_text(encoding="utf-8")
    try:
        document = parse(query)
    except GraphQLError as error:
        raise ValueError(f"expected a GraphQL document in {path}, got: {error.message}") from error
    names = (
        definition.name.value
        for definition in document.definitions
        if isinstance(definition, OperationDefinitionNode) and definition.name
    )
    return Tab(next(names, path.stem), query, _load_variables(path.with_suffix(".variables.json")))


def _load_variables(path: Path) -> str | None:
    if not path.exists():
        return None
    text = path.read_text(encoding="utf-8")
    try:
        is_object = isinstance(json.loads(text), dict)
    except ValueError as error:
        raise ValueError(f"expected a JSON object in {path}, got: {error}") from error
    if not is_object:
        raise ValueError(f"expected a JSON object in {path}, got {text.strip()[:40]!r}")
    return text


def content_security_policy(nonce: str) -> str:
    """Allow this origin and the page's own script. Monaco, the editor, needs inline styles and fonts in data URLs."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "font-src 'self' data:",
            "connect-src 'self'",
            "worker-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )


def render_page(*, tabs: Sequence[Tab], endpoint: str, nonce: str, assets: Mapping[str, str]) -> str:
    """Render the page with all tabs, the first one open.

    `assets` maps the names of the asset files to their URLs. A browser stores its edited tabs in its local storage,
    separate from other GraphiQL pages of the origin, until the examples change.
    """
    options = {
        "title": TITLE,
        "logo": "",
        "shouldPersistHeaders": False,
        "defaultTabs": [{"query": tab.query, "variables": tab.variables} for tab in tabs],
    }
    workers = {
        "editorWorkerService": assets["editor.worker.js"],
        "graphql": assets["graphql.worker.js"],
        "json": assets["json.worker.js"],
    }
    storage_prefix = f"threads-gateway/{_digest(tabs)}/"
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{escape(assets["graphiql.css"])}">
<style>
{_STYLE}</style>
</head>
<body class="no-focus-outline">
<noscript>GraphiQL needs JavaScript.</noscript>
<div id="root"></div>
<script nonce="{escape(nonce)}">
const endpoint = {_script_json(endpoint)};
const options = {_script_json(options)};
const workers = {_script_json(workers)};
const prefix = {_script_json(storage_prefix)};
{_SCRIPT}</script>
<script src="{escape(assets["graphiql.js"])}"></script>
<script nonce="{escape(nonce)}">
YogaGraphiQL.renderYogaGraphiQL(document.getElementById("root"), options);
</script>
</body>
</html>
"""


def _digest(tabs: Sequence[Tab]) -> str:
    return hashlib.sha256(repr(tuple(tabs)).encode()).hexdigest()[:16]


def _script_json(value: object) -> str:
    """Encode JSON that cannot end the script element around it."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e")
