"""The recipes of `schema/README.md` work: each file is taken from the page and run with the real client."""

import asyncio
import importlib.util
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schema.contract.keys import RunKey
from tests.support.client_recipes import (
    GRAPHQL,
    NODE_OPTIONS,
    PACKAGES,
    SHOWN_PAGE,
    SHOWN_SERVICE,
    DroppingProxy,
    Program,
    prepare_client,
    run_program,
    running_program,
    running_proxy,
    shown_packages,
    write_recipes,
)
from tests.support.emulator import Emulator
from tests.support.emulator_runs import (
    LONG_SECONDS,
    PIECE_SECONDS,
    QUEUED_SECONDS,
    RUN_EVENTS,
    STEP_SECONDS,
    StartedRun,
)
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import assistant, succeed
from tests.support.oidc_server import OidcServer, running_oidc_server
from tests.support.signed_in import sign_in_options
from tests.support.subscription_clients import SubscriptionReader, open_socket
from tests.support.subscription_gateway import until

pytestmark = pytest.mark.timeout(300)  # npm installs the packages of a client once

CODEGEN = (*shown_packages("@graphql-codegen/cli", "@graphql-codegen/client-preset"), GRAPHQL, "typescript@5.9.3")
USER, (SERVICE, SERVICE_SECRET) = "alice", SHOWN_SERVICE
SHORT_SECONDS = 4
QUESTIONS = ["Is it cold?", "Is it warm?", "Is it wet?", "Is it dry?", "Is it windy?", "What is the weather?"]


@dataclass
class FollowedRun:
    """A run on a user's thread with questions, a proxy before the gateway, and a reader whose connection stays."""

    emulator: Emulator
    provider: OidcServer
    gateway_options: dict[str, Any]
    gateway: Gateway
    proxy: DroppingProxy
    run: StartedRun
    witness: SubscriptionReader

    async def write_pieces(self, pieces: int) -> str:
        """Let the run write more of its answer. Returns the text so far."""
        count = len(self.witness.of_type("TextDelta")) + pieces
        self.emulator.clock.advance(pieces * PIECE_SECONDS)
        await self.witness.wait_for_event("TextDelta", count)
        return "".join(event["value"] for event in self.witness.of_type("TextDelta"))

    async def begin_answer(self) -> str:
        """Let the run begin its answer. Returns the text so far."""
        self.emulator.clock.advance(QUEUED_SECONDS + STEP_SECONDS)
        await self.witness.wait_for_event("MessageCreated")
        return await self.write_pieces(5)

    async def end_answer(self) -> str:
        """Let the run end. Returns the whole text."""
        self.emulator.clock.advance(LONG_SECONDS)
        await self.witness.wait_for_completion()
        (finished,) = self.witness.of_type("MessageFinished")
        text: str = finished["message"]["text"]
        return text

    async def cursor_of_second_message(self) -> str:
        query = "query ($id: ID!) { thread(id: $id) { messages(first: 2) { pageInfo { endCursor } } } }"
        data = await self.gateway.data(query, {"id": self.run.thread_id})
        cursor: str = data["thread"]["messages"]["pageInfo"]["endCursor"]
        return cursor


@asynccontextmanager
async def following_run(emulator: Emulator, owner: str, *, token_seconds: int = 300) -> AsyncIterator[FollowedRun]:
    """Start a run for a user, and follow it. It is queued."""
    assistant_id = await assistant(emulator)
    async with running_oidc_server(token_seconds=token_seconds) as provider, sign_in_options(provider) as options:
        provider.redirect_uris.add(SHOWN_PAGE)
        provider.services[SERVICE] = SERVICE_SECRET
        token = provider.issue_token(owner, exp=int(time.time()) + 3_600)
        async with running_gateway(emulator.url, **options) as gateway, running_proxy(gateway.url) as proxy:
            gateway.credential = f"Bearer {token}"
            messages = [{"content": [{"text": text}]} for text in QUESTIONS]
            made = await succeed(gateway, "createThread", "thread { upstreamId }", messages=messages)
            thread_id = made["thread"]["upstreamId"]
            made = await succeed(
                gateway, "createRun", "run { upstreamId }", threadId=thread_id, assistantId=assistant_id
            )
            run = StartedRun(RunKey(thread_id, made["run"]["upstreamId"]))
            async with open_socket(gateway, key=token) as socket:
                witness = await socket.subscribe(RUN_EVENTS, run=run.id)
                yield FollowedRun(emulator, provider, options, gateway, proxy, run, witness)


@pytest.fixture
async def followed(emulator: Emulator, request: pytest.FixtureRequest) -> AsyncIterator[FollowedRun]:
    """A run of the user that the recipes sign in. A test's parameter is how long the tokens last."""
    async with following_run(emulator, USER, token_seconds=getattr(request, "param", 300)) as followed:
        yield followed


@asynccontextmanager
async def running_client(followed: FollowedRun, client: str, directory: Path) -> AsyncIterator[Program]:
    """Run the page's recipe for a client, and let its socket print what comes."""
    await prepare_client(directory, client, followed.gateway, followed.proxy, followed.provider)
    ids = (followed.run.thread_id, followed.run.id, await followed.cursor_of_second_message())
    async with running_program(directory, *NODE_OPTIONS, f"use_{client}.js", *ids) as program:
        await program.wait_for("connected")
        yield program


def shows(*texts: str, begun: str | None = None) -> Callable[[Program], bool]:
    """Return the condition that a program shows these texts, and below them one that begins with `begun`."""

    def condition(program: Program) -> bool:
        last = (program.printed("texts") or [[]])[-1]
        if begun is None:
            return bool(last == [*texts])
        return bool(last[:-1] == [*texts] and last[-1].startswith(begun))

    return condition


def has_connected_again(program: Program) -> bool:
    return len(program.printed("connected")) == 2


def cursors(program: Program) -> list[str]:
    """Return the cursors of the events in the order in which they came."""
    return [event["data"]["runEvents"]["cursor"] for event in program.printed("event")]


def answers(program: Program) -> list[str]:
    """Return the texts that were shown below the last question, in the order in which they were shown."""
    shown = [texts for texts in program.printed("texts") if QUESTIONS[-1] in texts[:-1]]
    return [texts[texts.index(QUESTIONS[-1]) + 1] for texts in shown]


@pytest.mark.parametrize(
    ("client", "replay"),
    long_except([(client, replay) for client in PACKAGES for replay in (False, True)], [(c, False) for c in PACKAGES]),
)
async def test_a_cache_shows_pages_both_ways_and_each_letter_once_after_a_dropped_connection(
    client: str, replay: bool, followed: FollowedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAY", "1" if replay else "")
    async with running_client(followed, client, tmp_path) as program:
        await program.wait_until(shows(*QUESTIONS))
        await program.wait_until(shows(*QUESTIONS, begun=await followed.begin_answer()))
        followed.proxy.drop()
        await followed.write_pieces(5)  # perhaps before it is back
        await program.wait_until(has_connected_again)
        answer = await followed.end_answer()
        events = [event["cursor"] for event in followed.witness.events]
        await program.wait_until(lambda program: cursors(program)[-1:] == events[-1:])
        await program.wait_until(shows(*QUESTIONS, answer))
        await program.send("Thanks.")
        await program.wait_for("written")
        await program.wait_until(shows(*QUESTIONS, answer, "Thanks."))
        assert program.printed("found") == ([] if client == "relay" else [followed.run.id])
        assert program.printed("warning") == []
    shown = answers(program)
    assert all(answer.startswith(text) for text in shown)
    if replay:
        assert cursors(program)[-len(events) :] == events
        assert len(cursors(program)) > len(events)
    else:
        assert cursors(program) == events
        assert sorted(shown, key=len) == shown


@pytest.mark.full
@pytest.mark.parametrize("client", PACKAGES)
async def test_a_cache_takes_a_snapshot_with_messages(client: str, followed: FollowedRun, tmp_path: Path) -> None:
    answer = await followed.end_answer()
    # Another gateway has no log of the run.
    async with (
        running_gateway(followed.emulator.url, **followed.gateway_options) as other,
        running_proxy(other.url) as proxy,
    ):
        followed.proxy = proxy
        async with running_client(followed, client, tmp_path) as program:
            await program.wait_until(lambda program: program.printed("event"))
            await program.send("Thanks.")
            await program.wait_for("written")
            assert program.printed("warning") == []
    (snapshot, *_) = program.printed("event")
    (message,) = snapshot["data"]["runEvents"]["messages"]
    assert [part["text"] for part in message["content"]] == [answer]


async def test_pieces_go_on_behind_the_text_of_a_snapshot(tmp_path: Path) -> None:
    write_recipes(tmp_path, "http://unused")
    script = """
        import { changedText } from './texts.js';
        const content = [{}, { text: 'It is' }];
        changedText({ __typename: 'RunSnapshot', messages: [{ id: '1', content }] });
        for (const [index, offset, value] of [[1, 5, ' cold.'], [2, 0, 'And'], [2, 3, ' wet.'], [2, 0, 'And']]) {
          console.log(changedText({ __typename: 'TextDelta', messageId: '1', index, offset, value }).text);
        }
    """
    printed = await run_program(tmp_path, "--input-type=module", "--eval", script)
    assert printed == "It is cold.\nIt is cold.\nAnd\nIt is cold.\nAnd wet.\nIt is cold.\nAnd\n"


@pytest.mark.parametrize(
    ("variables", "doubled"),
    long_except([({}, False), ({"REPLAY": "1"}, False), ({"REPLAY": "1", "NAIVE": "1"}, True)], [({}, False)]),
    ids=["after", "afresh on a snapshot", "neither"],
)
async def test_appended_text_doubles_only_without_a_cursor_and_without_starting_afresh(
    variables: dict[str, str],
    doubled: bool,
    followed: FollowedRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("REPLAY", "NAIVE"):
        monkeypatch.setenv(name, variables.get(name, ""))
    async with running_client(followed, "append", tmp_path) as program:
        begun = await followed.begin_answer()
        await program.wait_until(shows(begun))
        followed.proxy.drop()
        await program.wait_until(has_connected_again)
        whole = await followed.write_pieces(5)
        await program.wait_until(shows((begun if doubled else "") + whole))
        answer = await followed.end_answer()
        await program.wait_until(shows(answer))  # the finished message mends it
        await program.wait_for("complete")


short_tokens = pytest.mark.parametrize("followed", [SHORT_SECONDS], indirect=True, ids=["short"])


@short_tokens
async def test_a_socket_goes_on_under_a_renewed_token(followed: FollowedRun, tmp_path: Path) -> None:
    async with running_client(followed, "append", tmp_path) as program:
        first_end = time.time() + SHORT_SECONDS
        await program.wait_until(shows(await followed.begin_answer()))
        await until(lambda: time.time() > first_end + 1)
        answer = await followed.end_answer()
        await program.wait_for("complete")
    assert program.printed("connected") == [True]
    assert program.printed("texts")[-1] == [answer]
    assert cursors(program) == [event["cursor"] for event in followed.witness.events]
    assert followed.provider.counts["/token"] > 1


@short_tokens
async def test_a_socket_comes_back_with_a_new_token_behind_the_last_event(
    followed: FollowedRun, tmp_path: Path
) -> None:
    async with running_client(followed, "append", tmp_path) as program:
        followed.provider.unavailable.add("/token")
        await program.wait_until(shows(await followed.begin_answer()))
        await program.wait_for("closed", 4403)
        await program.wait_until(lambda program: len(program.printed("closed")) > 2)
        assert program.printed("connected") == [True]  # not by a token that has ended
        await followed.write_pieces(5)
        followed.provider.unavailable.clear()
        await program.wait_until(has_connected_again)
        await followed.end_answer()
        await program.wait_for("complete")
        assert program.printed("warning") == []
    assert cursors(program) == [event["cursor"] for event in followed.witness.events]


async def test_graphql_codegen_writes_types_that_the_compiler_accepts(gateway: Gateway, tmp_path: Path) -> None:
    await asyncio.to_thread(write_recipes, tmp_path, gateway.url, CODEGEN)
    (tmp_path / "src").mkdir()
    (tmp_path / "use_types.ts").rename(tmp_path / "src" / "use_types.ts")
    await run_program(tmp_path, "node_modules/@graphql-codegen/cli/cjs/bin.js", "--config", "codegen.js")
    options = ["--noEmit", "--strict", "--module", "preserve", "--target", "esnext", "--skipLibCheck"]
    await run_program(tmp_path, "node_modules/typescript/bin/tsc", *options, "src/use_types.ts")


@asynccontextmanager
async def printing_answer(
    followed: FollowedRun, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[asyncio.Task[None], io.StringIO]]:
    """Run the page's recipe for Python. Yields its task and what it prints."""
    write_recipes(directory, followed.proxy.url, issuer=followed.provider.issuer)
    recipe = load_module(directory / "follow.py")
    monkeypatch.setattr(recipe, "RETRY_SECONDS", 0.01)
    printed = io.StringIO()
    monkeypatch.setattr("sys.stdout", printed)
    task = asyncio.create_task(recipe.print_answer(followed.run.id))
    yield task, printed
    await task


async def test_python_follows_a_run_behind_the_last_event_after_a_dropped_connection(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following_run(emulator, SERVICE) as followed:
        async with printing_answer(followed, tmp_path, monkeypatch) as (_, printed):
            begun = await followed.begin_answer()
            await until(lambda: printed.getvalue() == begun)
            followed.proxy.drop()
            await followed.write_pieces(5)  # perhaps before it is back
            answer = await followed.end_answer()
        assert printed.getvalue() == answer


async def test_python_renews_its_token_and_comes_back_after_one_has_ended(
    emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with following_run(emulator, SERVICE, token_seconds=SHORT_SECONDS) as followed:
        async with printing_answer(followed, tmp_path, monkeypatch) as (_, printed):
            begun = await followed.begin_answer()
            await until(lambda: printed.getvalue() == begun)
            first_end = time.time() + SHORT_SECONDS
            await until(lambda: time.time() > first_end + 1)
            written = await followed.write_pieces(5)
            await until(lambda: printed.getvalue() == written)
            assert followed.proxy.connections == 1
            followed.provider.unavailable.add("/token")
            fetches = followed.provider.counts["/token"]
            await until(lambda: followed.provider.counts["/token"] > fetches + 3)  # the socket has ended
            await followed.write_pieces(5)
            followed.provider.unavailable.clear()
            answer = await followed.end_answer()
        assert printed.getvalue() == answer
        assert followed.proxy.connections > 1


def load_module(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
