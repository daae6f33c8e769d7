"""The single-page app as a user operates it in a browser, and what it sent and showed meanwhile."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from playwright.async_api import Page, Request, WebSocket, expect

from gateway.compose import DEMO_KEY
from tests.support.emulator import Emulator

# The emulator's clock moves only here. An answer begins 1.4 seconds after its question, and takes a second.
SOME_WORDS_SECONDS, MORE_WORDS_SECONDS, LONG_ENOUGH_SECONDS = 1.6, 0.3, 60.0

# Reports each text that a message of an assistant ever shows.
WATCH_TEXTS = """addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
    for (const message of document.querySelectorAll(".message.assistant"))
        noteText(message.dataset.id, message.querySelector("p").textContent);
}).observe(document, { childList: true, characterData: true, subtree: true }))"""


REPORT_CLOSES = """WebSocket = class extends WebSocket {
    constructor(...options) {
        super(...options);
        this.addEventListener("close", ({ code }) => noteClose(code));
    }
}"""


class SocketRecord:
    """The messages of one WebSocket in both directions."""

    def __init__(self, socket: WebSocket, on_sent: Callable[[dict[str, Any]], None]) -> None:
        self.sent: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self._on_sent = on_sent
        socket.on("framesent", self._on_frame_sent)
        socket.on("framereceived", lambda frame: self.received.append(json.loads(frame)))

    def sent_payloads(self, type_name: str) -> list[Any]:
        """Return the payloads of the sent messages of a type."""
        return [message["payload"] for message in self.sent if message["type"] == type_name]

    def events(self, type_name: str) -> list[dict[str, Any]]:
        """Return the run events of a type that came."""
        payloads = [message["payload"] for message in self.received if message["type"] == "next"]
        events = [payload["data"].get("runEvents") for payload in payloads if payload.get("data")]
        return [event for event in events if event and event["__typename"] == type_name]

    def _on_frame_sent(self, frame: str | bytes) -> None:
        message = json.loads(frame)
        self.sent.append(message)
        self._on_sent(message)


def follows_a_run(operation: Mapping[str, Any]) -> bool:
    """Return whether a sent operation subscribes to the events of a run."""
    return "runEvents(" in operation["query"]


def follows_the_lists(operation: Mapping[str, Any]) -> bool:
    """Return whether a sent operation subscribes to the events of the user's lists."""
    return "viewerEvents(" in operation["query"]


class ChatPage:
    """The app as a user operates it.

    Remembers each text that a message showed, the transport of each subscription to a run, and each WebSocket with its
    close code.
    """

    def __init__(self, page: Page, emulator: Emulator) -> None:
        self.page, self.emulator = page, emulator
        self.messages = page.locator(".message")
        self.newest_text = self.messages.last.locator("p")
        self.status = page.get_by_role("status")
        self.shown_texts: dict[str, list[str]] = {}
        self.transports: list[str] = []
        self.stream_variables: list[dict[str, Any]] = []
        self.sockets: list[SocketRecord] = []
        self.close_codes: list[int] = []

    async def watch(self) -> None:
        await self.page.expose_function("noteText", self._on_text)
        await self.page.expose_function("noteClose", self._on_close)
        await self.page.add_init_script(WATCH_TEXTS)
        await self.page.add_init_script(REPORT_CLOSES)
        self.page.on("websocket", self._on_web_socket)
        self.page.on("request", self._on_request)

    def follows_lists(self) -> bool:
        """Return whether the page has subscribed to the events of the user's lists over a WebSocket."""
        payloads = [payload for socket in self.sockets for payload in socket.sent_payloads("subscribe")]
        return any(map(follows_the_lists, payloads))

    def subscribed_variables(self) -> list[dict[str, Any]]:
        """Return the variables of each subscription to a run: over WebSockets, then over event streams."""
        payloads = [payload for socket in self.sockets for payload in socket.sent_payloads("subscribe")]
        return [payload["variables"] for payload in payloads if follows_a_run(payload)] + self.stream_variables

    def _on_text(self, message_id: str, text: str) -> None:
        self.shown_texts.setdefault(message_id, []).append(text)

    def _on_close(self, code: int) -> None:
        self.close_codes.append(code)

    def _on_web_socket(self, socket: WebSocket) -> None:
        if socket.url.endswith("/graphql"):  # a development server's page has a socket of its own too
            self.sockets.append(SocketRecord(socket, self._on_message_sent))

    def _on_message_sent(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe" and follows_a_run(message["payload"]):
            self.transports.append("websocket")

    def _on_request(self, request: Request) -> None:
        if request.headers.get("accept") == "text/event-stream":
            operation = json.loads(request.post_data or "{}")
            if follows_a_run(operation):
                self.transports.append("event-stream")
                self.stream_variables.append(operation["variables"])

    async def send(self, text: str) -> None:
        await self.page.get_by_label("Message").fill(text)
        await self.page.get_by_role("button", name="Send").click()
        await expect(self.status).to_have_text("queued")

    async def watch_answer_begin(self) -> str:
        """Return the beginning of an answer after it has grown twice."""
        self.emulator.clock.advance(SOME_WORDS_SECONDS)
        await expect(self.newest_text).to_contain_text("Here is")
        some = await self.newest_text.text_content() or ""
        self.emulator.clock.advance(MORE_WORDS_SECONDS)
        await expect(self.newest_text).not_to_have_text(some)
        await expect(self.status).to_have_text("in progress")
        return await self.newest_text.text_content() or ""

    async def watch_run_end(self) -> str:
        """Return the whole answer. No letter was shown twice: all that the page showed is a beginning of it."""
        self.emulator.clock.advance(LONG_ENOUGH_SECONDS)
        await expect(self.status).to_have_text("completed")
        # What was shown so far is read first: the page may still show more, which only the whole has then.
        shown = list(self.shown_texts[await self.messages.last.get_attribute("data-id") or ""])
        whole = await self.newest_text.text_content() or ""
        assert [text for text in shown if not whole.startswith(text)] == []
        return whole

    async def ask(self, transport: str, question: str) -> str:
        """Send a message over this transport. Returns the beginning of its answer."""
        self.transports.clear()
        await self.page.get_by_label("Subscriptions over").select_option(transport)
        await self.page.get_by_label("Release writer").check()
        await self.send(question)
        return await self.watch_answer_begin()

    async def reload_in_the_middle(self, begun: str) -> None:
        """Reload the page while an answer has begun, and watch the answer to its end over the same transport."""
        (transport,) = self.transports
        await self.page.reload()
        await expect(self.status).to_have_text("in progress")
        await expect(self.newest_text).to_contain_text(begun)
        whole = await self.watch_run_end()
        assert whole.startswith(begun)
        assert len(begun) < len(whole)
        assert self.transports == [transport] * 2

    async def expect_what_the_api_holds(self, thread_id: str) -> None:
        """Hold that the newest messages of the page are those of the thread."""
        page = await self.emulator.get(f"/threads/{thread_id}/messages?limit=4", key=DEMO_KEY)
        stored = [message["content"][0]["text"]["value"] for message in reversed(page["data"])]
        assert (await self.messages.locator("p").all_text_contents())[-4:] == stored
