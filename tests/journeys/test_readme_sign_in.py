"""README.md's way to signed-in users works as it stands there, and no more is kept of a person than it says."""

import asyncio
import contextlib
import json
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.emulator import KEY, Emulator
from tests.support.gateway import running_command, url_in
from tests.support.graphql import GraphQLClient
from tests.support.oidc_server import OidcServer, running_oidc_server
from tests.support.pages import PAGES

SHOWN_SETTINGS, SHOWN_CLAIMS = [
    block.text for block in PAGES["README.md"].blocks if block.language == "sh" and "GATEWAY_JWT_" in block.text
]
SECRET_TEXT, NAME, ADDRESS = "the password is swordfish", "Alice Liddell", "alice@wonderland.example"
MESSAGE = f"Please remember this for me, and show it to nobody, whoever asks you: {SECRET_TEXT}"
"""The title of the thread is its beginning."""

CREATE = """mutation ($text: String!) {
  createThread(input: { messages: [{ content: [{ text: $text }] }] }) { thread { id upstreamId } }
}"""
READ = "query ($id: ID!) { thread(id: $id) { messages { nodes { text } } } }"


def assignments(text: str) -> dict[str, str]:
    """Return the variables that a shell command sets."""
    words = shlex.split(text.replace("\\\n", " "))
    return dict(word.split("=", 1) for word in words if "=" in word and word.partition("=")[0].isupper())


def database_bytes(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.glob("ledger.db*"))


class User(GraphQLClient):
    """A signed-in user at a gateway."""

    async def read(self, thread_id: str) -> list[str] | None:
        """Return the texts of a thread, or None if it is not there."""
        thread = (await self.data(READ, {"id": thread_id}))["thread"]
        return None if thread is None else [message["text"] for message in thread["messages"]["nodes"]]


@asynccontextmanager
async def serving(emulator: Emulator, provider: OidcServer, directory: Path) -> AsyncIterator[tuple[str, Path]]:
    """Run the shown command, with addresses and secrets of the test. Yields the base URL and the log."""
    variables = {
        **assignments(SHOWN_SETTINGS),
        **assignments(SHOWN_CLAIMS),
        "GATEWAY_JWT_ISSUER": provider.issuer,
        "GATEWAY_DATABASE_URL": f"sqlite:///{directory}/ledger.db",
        "UPSTREAM_API_KEY": KEY,
        "UPSTREAM_URL": emulator.url,
    }
    with contextlib.ExitStack() as stack:
        log = directory / "log"
        command = running_command("serve", "--port", "0", log=log, **variables)
        _, printed = await asyncio.to_thread(stack.enter_context, command)
        yield url_in(printed, "GraphQL"), log


async def test_the_shown_settings_give_each_user_their_own_threads(emulator: Emulator, tmp_path: Path) -> None:
    tenant = {"tenant": "acme"}
    async with (
        running_oidc_server(audience=assignments(SHOWN_SETTINGS)["GATEWAY_JWT_AUDIENCE"]) as provider,
        serving(emulator, provider, tmp_path) as (url, log),
        aiohttp.ClientSession() as session,
    ):

        def user(subject: str, **claims: Any) -> User:
            token = provider.issue_token(subject, **{**tenant, **claims})
            return User(url, session, credential=f"Bearer {token}")

        alice = user("alice", name=NAME, email=ADDRESS)
        made = (await alice.data(CREATE, {"text": MESSAGE}))["createThread"]["thread"]
        assert await alice.read(made["id"]) == [MESSAGE]
        assert await user("bob").read(made["id"]) is None
        assert await user("alice", tenant="another").read(made["id"]) is None
        assert await user("bob", realm_access={"roles": ["admin"]}).read(made["id"]) is None
        assert await user("bob", realm_access={"roles": ["threads-admin"]}).read(made["id"]) == [MESSAGE]
        for headers in ({}, {"Authorization": f"Bearer {KEY}"}):
            assert (await alice.post({"query": "{ assistants { nodes { id } } }"}, headers=headers)).status == 401
        thread_id = made["upstreamId"]
        assert (await emulator.get(f"/threads/{thread_id}"))["id"] == thread_id
    kept = database_bytes(tmp_path)
    words = ("alice", "acme", thread_id, "Please remember this for me", "swordfish", SECRET_TEXT, NAME, ADDRESS)
    assert [word for word in words if word.encode() in kept] == list(words[:5])
    logged = log.read_text()
    assert [word for word in (SECRET_TEXT, NAME, ADDRESS, KEY, "eyJ") if word in logged] == []
    lines = [line for line in logged.splitlines() if "alice" in line]
    assert {json.loads(line)["logger"] for line in lines} == {"gateway.audit"}
