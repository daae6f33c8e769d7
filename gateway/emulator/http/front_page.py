"""The emulator's own pages: a front page and the request counts. They need no key."""

from collections import Counter
from dataclasses import asdict
from html import escape

from aiohttp import web

from gateway.emulator.http.api_endpoint import API_PREFIX, json_response
from gateway.emulator.http.request_counts import COUNTS, RequestCounts
from gateway.emulator.model.model_runs import MODEL_RUNS

REQUESTS_PATH = "/_emulator/requests"


async def show_front_page(request: web.Request) -> web.Response:
    """Return the front page, for a person with a browser."""
    address = f"{request.scheme}://{request.host}{API_PREFIX}"
    page = front_page(address, request.app[COUNTS], asks_model=MODEL_RUNS in request.app)
    return web.Response(text=page, content_type="text/html")


async def show_requests(request: web.Request) -> web.Response:
    """Return the request counts as JSON."""
    counts = request.app[COUNTS]
    return json_response(
        {
            "total": counts.total,
            "by_operation": dict(counts.by_operation),
            "by_fault": dict(counts.by_fault),
            "log": [asdict(logged) for logged in counts.log],
        }
    )


async def reset_requests(request: web.Request) -> web.Response:
    """Reset the request counts, and return them."""
    request.app[COUNTS].reset()
    return await show_requests(request)


def front_page(address: str, counts: RequestCounts, *, asks_model: bool = False) -> str:
    """Return the HTML of the front page."""
    answers = "its answers come from a model" if asks_model else "it answers from scripts; no model is asked"
    table = _table("operation", counts.by_operation) or "<p>None yet.</p>"
    faults = _table("fault", counts.by_fault)
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Threads API emulator</title></head>
<body>
<h1>Threads API emulator</h1>
<p>A server of the Threads (Assistants) REST API, versions 1 and 2, for development and tests;
{answers}. Any key is taken, and each key sees its own data only.</p>
<p>The API is at <code>{escape(address)}</code>. Try:</p>
<pre>curl {escape(address)}/assistants -H 'Authorization: Bearer demo-key' -H 'OpenAI-Beta: assistants=v2'</pre>
<h2>{counts.total} requests so far</h2>
{table}{faults}
<p>As JSON: <a href="{REQUESTS_PATH}">{REQUESTS_PATH}</a>; DELETE there starts the count again.</p>
</body>
</html>
"""


def _table(heading: str, counts: Counter[str]) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{count}</td></tr>" for name, count in counts.most_common())
    return f"<table><tr><th>{heading}</th><th>requests</th></tr>{rows}</table>" if rows else ""
