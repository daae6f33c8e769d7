"""The emulator's own pages: a front page, the request counts, and what a key has. Only the last need a key."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from html import escape
from pathlib import Path

from aiohttp import web

from gateway.emulator.bodies.api_errors import ApiError
from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.bodies.reply_responses import response_status
from gateway.emulator.http.api_endpoint import SERVICES, ApiServices, json_response
from gateway.emulator.http.request_counts import COUNTS, LOG_LENGTH
from gateway.emulator.objects import JsonObject, Thread
from gateway.emulator.response_objects import Conversation
from gateway.emulator.state.run_timelines import apply_due_events

REQUESTS_PATH = "/_emulator/requests"
THREADS_PATH = "/_emulator/threads"
_SHOWN_THREADS = ListQuery(limit=20)
_SHOWN_RUNS = ListQuery(limit=5)
_PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def add_front_page(app: web.Application, *, fault_control: bool) -> None:
    """Add the routes of the emulator's own pages."""

    async def show_front_page(request: web.Request) -> web.Response:
        services, nonce = request.app[SERVICES], secrets.token_urlsafe(16)
        page = front_page(
            f"{request.scheme}://{request.host}",
            nonce=nonce,
            total=request.app[COUNTS].total,
            asks_model=services.model_runs is not None,
            takes_any_key=services.keys.takes_any,
            fault_control=fault_control,
        )
        headers = {"Content-Security-Policy": content_security_policy(nonce), "Cache-Control": "no-store"}
        return web.Response(text=page, content_type="text/html", headers=headers)

    app.router.add_route("GET", "/", show_front_page)
    app.router.add_route("GET", REQUESTS_PATH, show_requests)
    app.router.add_route("DELETE", REQUESTS_PATH, reset_requests)
    app.router.add_route("GET", THREADS_PATH, show_threads)


async def show_requests(request: web.Request) -> web.Response:
    """Return the request counts as JSON, with as many of the last requests as the parameter `log` says."""
    counts, newest = request.app[COUNTS], request.query.get("log", "")
    length = min(int(newest), LOG_LENGTH) if newest.isdecimal() and newest.isascii() and len(newest) < 9 else LOG_LENGTH
    return json_response(
        {
            "total": counts.total,
            "by_operation": dict(counts.by_operation),
            "by_fault": dict(counts.by_fault),
            "log": [asdict(logged) for logged in counts.log[max(0, len(counts.log) - length) :]],
        }
    )


async def reset_requests(request: web.Request) -> web.Response:
    """Reset the request counts, and return them."""
    request.app[COUNTS].reset()
    return await show_requests(request)


async def show_threads(request: web.Request) -> web.Response:
    """Return the newest threads of the request's key with their newest runs, and its conversations, as JSON."""
    services = request.app[SERVICES]
    try:
        partition = services.keys.partition_from_headers(request.headers)
    except ApiError as error:
        return json_response(error.body(), error.status)
    store = services.store
    with store.transaction():
        threads, _ = store.threads.page(partition, None, _SHOWN_THREADS)
        shown = [_thread_overview(services, partition, thread) for thread in threads]
        total = store.threads.count(partition, None)
        conversations, _ = store.conversations.page(partition, None, _SHOWN_THREADS)
        shown_too = [_conversation_overview(services, partition, conversation) for conversation in conversations]
        total_too = store.conversations.count(partition, None)
    return json_response(
        {"total": total, "threads": shown, "total_conversations": total_too, "conversations": shown_too}
    )


def front_page(
    address: str, *, nonce: str, total: int, asks_model: bool, takes_any_key: bool, fault_control: bool
) -> str:
    """Return the HTML of the front page. Its script keeps it up to date."""
    values: Mapping[str, str] = {
        "nonce": escape(nonce),
        "answers": "its answers come from a model" if asks_model else "it answers from scripts; no model is asked",
        "keys": "Any key is taken" if takes_any_key else "Only the keys of EMULATOR_KEYS are taken",
        "total": str(total),
        "faults": (
            "Each switch is a fault rule, which takes effect at once."
            if fault_control
            else "Started with --emulator-fault-control true, this page has switches for faults."
        ),
        "fault_control": json.dumps(fault_control),
        "script": _SCRIPT,
        # The last one, since a client writes it: it cannot name another value.
        "address": escape(address),
    }
    page = _PAGE
    for name, value in values.items():
        page = page.replace(f"{{{name}}}", value)
    return page


def content_security_policy(nonce: str) -> str:
    """Allow only the page's own script and style, and requests to this origin."""
    own = f"'nonce-{nonce}'"
    return (
        f"default-src 'none'; script-src {own}; style-src {own}; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _thread_overview(services: ApiServices, partition: str, thread: Thread) -> JsonObject:
    store = services.store
    apply_due_events(store, partition, thread.id, services.clock.now())
    runs, has_more = store.runs.page(partition, thread.id, _SHOWN_RUNS)
    return {
        "id": thread.id,
        "title": thread.metadata.get("title"),
        "messages": store.messages.count(partition, thread.id),
        "runs": [{"id": run.id, "status": run.status} for run in runs],
        "more_runs": has_more,
    }


def _conversation_overview(services: ApiServices, partition: str, conversation: Conversation) -> JsonObject:
    store = services.store
    apply_due_events(store, partition, conversation.id, services.clock.now())
    responses, has_more = store.responses.page(partition, None, _SHOWN_RUNS, run_id=conversation.id)
    return {
        "id": conversation.id,
        "title": conversation.metadata.get("title"),
        "items": store.items.count(partition, conversation.id),
        "responses": [{"id": response.id, "status": response_status(response)} for response in responses],
        "more_responses": has_more,
    }
