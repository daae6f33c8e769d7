"""The clients of the soak: people who chat over both transports, read, and send files; and clients that come and go."""

import asyncio
import itertools
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from tests.support.file_samples import form
from tests.support.subscription_gateway import SUBPROTOCOL

ANSWER_SECONDS = 40.0
"""The longest wait for a response. The gateway's own limit of a query is 30 s."""

RUN_SECONDS = 90.0
"""The longest time in which a run is followed to its end, reconnecting."""

PAUSE_SECONDS = 0.5
RECONNECT_SECONDS = 0.3

ASK = """mutation Ask($assistant: ID!, $text: String!) {
  createThreadAndRun(input: {assistantId: $assistant, thread: {messages: [{content: [{text: $text}]}]}}) {
    thread { id upstreamId } run { id } userErrors { code message } } }"""
READ = "query Read($id: ID!) { thread(id: $id) { messages(first: 20) { nodes { id role text } } } }"
LIST = "query List { viewer { threads(first: 20) { nodes { id createdAt } } } }"
EVENTS = """subscription Events($run: ID!, $after: String) { runEvents(runId: $run, after: $after) {
  __typename ... on RunLogEvent { cursor }
  ... on RunSnapshot { run { status } messages { id text } }
  ... on RunStatusChange { status }
  ... on TextDelta { messageId offset value }
  ... on MessageFinished { message { id text } } } }"""
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "EXPIRED", "INCOMPLETE"}


@dataclass
class Counts:
    """The requests, responses and texts of all clients, counted."""

    sent: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Responses that are errors, by the kind of request and the code."""
    unanswered: list[str] = field(default_factory=list)
    asked: set[str] = field(default_factory=set)
    """The texts of all questions, answered or not."""
    acknowledged: dict[str, str] = field(default_factory=dict)
    """The upstream's thread id of each question that the gateway has said to be stored."""
    followed: int = 0
    unfinished: list[str] = field(default_factory=list)
    wrong_texts: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Acknowledged questions whose threads the gateway does not find."""
    broken_files: list[str] = field(default_factory=list)
    reconnects: int = 0


class FollowedRun:
    """The texts of a run's messages, from its events."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.cursor: str | None = None
        self.status = ""
        self.wrong_pieces: list[str] = []

    def apply(self, event: Mapping[str, Any]) -> None:
        self.cursor = event["cursor"]
        match event["__typename"]:
            case "RunSnapshot":
                self.status = event["run"]["status"]
                self.texts = {message["id"]: message["text"] for message in event["messages"]}
            case "RunStatusChange":
                self.status = event["status"]
            case "TextDelta":
                text = self.texts.get(event["messageId"], "").encode("utf-16-le")[: 2 * event["offset"]]
                self.texts[event["messageId"]] = text.decode("utf-16-le") + event["value"]
            case "MessageFinished":
                # A run that is polled has no pieces of text, only the whole, and one whose stream broke has the first.
                message = event["message"]
                if not message["text"].startswith(pieces := self.texts.get(message["id"], "")):
                    self.wrong_pieces.append(f"pieces {pieces}, finished as {message['text']}")
                self.texts[message["id"]] = message["text"]


class Person:
    """One signed-in user with a connection pool. Chats, reads, and sends and loads files, one after the other."""

    def __init__(self, url: str, number: int, authorization: str, assistant_id: str, counts: Counts) -> None:
        self._url = url
        self._number = number
        self._headers = {"Authorization": authorization}
        self._assistant_id = assistant_id
        self._counts = counts

    async def live(self, stop: asyncio.Event) -> None:
        """Do all of it in turns until the end."""
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        async with aiohttp.ClientSession(headers=self._headers, timeout=timeout) as session:
            for number in itertools.count(self._number):
                if stop.is_set():
                    return
                await self._chat(session, over_socket=number % 2 == 0)
                await self._ask(session, "list", LIST, {})
                await self._exchange_file(session)
                await asyncio.sleep(PAUSE_SECONDS)

    async def come_and_go(self, stop: asyncio.Event) -> None:
        """Open connections of each kind and leave in the middle, until the end."""
        while not stop.is_set():
            try:
                async with aiohttp.ClientSession(headers=self._headers) as session:
                    async with asyncio.timeout(secrets.randbelow(300) / 1000):
                        body = {"query": LIST + f" # {secrets.token_hex(4)}"}
                        await session.post(f"{self._url}/graphql", json=body)
                        async with session.ws_connect(f"{self._url}/graphql", protocols=[SUBPROTOCOL]) as socket:
                            await socket.send_json({"type": "connection_init"})
                            await socket.receive()
                            await asyncio.sleep(1)
            except (TimeoutError, aiohttp.ClientError):
                self._counts.sent["left"] += 1
            await asyncio.sleep(PAUSE_SECONDS / 5)

    async def _ask(
        self, session: aiohttp.ClientSession, kind: str, query: str, variables: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Send an operation. Returns its data if it has no errors, and else None."""
        self._counts.sent[kind] += 1
        try:
            body = {"query": query, "variables": variables}
            async with session.post(f"{self._url}/graphql", json=body) as response:
                answer = await response.json()
        except (TimeoutError, aiohttp.ClientError) as error:
            self._counts.unanswered.append(f"{kind}: {error!r}")
            return None
        errors = answer.get("errors") or ()
        for each in errors:
            self._counts.refused[f"{kind} {each['extensions']['code']}"] += 1
        data: dict[str, Any] | None = None if errors else answer["data"]
        return data

    async def _chat(self, session: aiohttp.ClientSession, *, over_socket: bool) -> None:
        question = f"question {secrets.token_hex(8)}"
        self._counts.asked.add(question)
        data = await self._ask(session, "ask", ASK, {"assistant": self._assistant_id, "text": question})
        if data is None:
            return
        made = data["createThreadAndRun"]
        if made["thread"] is None:
            self._counts.refused[f"ask {made['userErrors'][0]['code']}"] += 1
            return
        self._counts.acknowledged[question] = made["thread"]["upstreamId"]
        await self._follow(session, made["thread"]["id"], made["run"]["id"], question, over_socket=over_socket)

    async def _follow(
        self, session: aiohttp.ClientSession, thread_id: str, run_id: str, question: str, *, over_socket: bool
    ) -> None:
        """Follow a run to its end, and compare its texts with the messages that are read afterwards."""
        run, connect = FollowedRun(), self._socket_events if over_socket else self._stream_events
        self._counts.followed += 1
        try:
            async with asyncio.timeout(RUN_SECONDS):
                while run.status not in ENDED:
                    try:
                        async for event in connect(session, {"run": run_id, "after": run.cursor}):
                            run.apply(event)
                    except (aiohttp.ClientError, ConnectionError):
                        pass
                    except ExpiredError:
                        run = FollowedRun()
                    if run.status not in ENDED:
                        self._counts.reconnects += 1
                        await asyncio.sleep(RECONNECT_SECONDS)
        except TimeoutError:
            self._counts.unfinished.append(f"{question} is {run.status or 'unknown'} after {RUN_SECONDS:g} s")
            return
        data = await self._ask(session, "read", READ, {"id": thread_id})
        if data is None:
            return
        if data["thread"] is None:
            self._counts.missing.append(f"{question} in {self._counts.acknowledged[question]}")
            return
        messages = data["thread"]["messages"]["nodes"]
        stored = {message["id"]: message["text"] for message in messages if message["role"] == "ASSISTANT"}
        self._counts.wrong_texts.extend(run.wrong_pieces)
        if run.status == "COMPLETED" and run.texts != stored:
            self._counts.wrong_texts.append(f"{question}: followed {run.texts}, stored {stored}")
        if messages[0]["text"] != question:
            self._counts.wrong_texts.append(f"{question}: stored as {messages[0]['text']}")

    async def _socket_events(
        self, session: aiohttp.ClientSession, variables: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        self._counts.sent["socket"] += 1
        async with session.ws_connect(f"{self._url}/graphql", protocols=[SUBPROTOCOL]) as socket:
            await socket.send_json({"type": "connection_init"})
            payload = {"query": EVENTS, "variables": variables}
            await socket.send_json({"id": "1", "type": "subscribe", "payload": payload})
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return
                content = json.loads(message.data)
                if content["type"] == "next":
                    for event in self._events(content["payload"]):
                        yield event
                elif content["type"] == "ping":
                    await socket.send_json({"type": "pong"})
                elif content["type"] == "error":
                    self._on_errors(content["payload"])
                    return
                elif content["type"] == "complete":
                    return

    async def _stream_events(
        self, session: aiohttp.ClientSession, variables: Mapping[str, Any]
    ) -> AsyncIterator[dict[str, Any]]:
        self._counts.sent["event stream"] += 1
        body = {"query": EVENTS, "variables": variables}
        headers = {"Accept": "text/event-stream"}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=ANSWER_SECONDS)
        async with session.post(f"{self._url}/graphql", json=body, headers=headers, timeout=timeout) as response:
            async for line in response.content:
                if line.startswith(b"data:") and (text := line[5:].strip()):
                    for event in self._events(json.loads(text)):
                        yield event

    def _events(self, payload: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._on_errors(payload.get("errors") or ())
        data = payload.get("data")
        return [data["runEvents"]] if data and data["runEvents"] else []

    def _on_errors(self, errors: Any) -> None:
        for error in errors:
            code = error["extensions"]["code"]
            self._counts.refused[f"events {code}"] += 1
            if code == "CURSOR_EXPIRED":
                raise ExpiredError

    async def _exchange_file(self, session: aiohttp.ClientSession) -> None:
        """Send a small file and load it again."""
        content = secrets.token_bytes(2_000)
        self._counts.sent["upload"] += 1
        try:
            async with session.post(f"{self._url}/files", data=form(content, "soak.bin")) as response:
                made = await response.json()
            if response.status != 201:
                self._counts.refused[f"upload {made['errors'][0]['extensions']['code']}"] += 1
                return
            address = urlsplit(made["contentUrl"])
            self._counts.sent["download"] += 1
            async with session.get(f"{self._url}{address.path}?{address.query}") as response:
                loaded = await response.read()
            if response.status != 200:
                self._counts.refused[f"download {response.status}"] += 1
            elif loaded != content:
                self._counts.broken_files.append(f"{made['id']}: {len(loaded)} bytes")
        except (TimeoutError, aiohttp.ClientError) as error:
            self._counts.unanswered.append(f"file: {error!r}")


class ExpiredError(Exception):
    """The cursor is too old: the run is followed from its beginning."""
