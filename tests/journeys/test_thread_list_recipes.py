"""The recipes of `schema/README.md` for the list of threads work: each client pages, searches and stays up to date."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.client_recipes import (
    NODE_OPTIONS,
    PACKAGES,
    SHOWN_PAGE,
    Program,
    prepare_client,
    running_program,
    running_proxy,
)
from tests.support.emulator import KEY, Emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import succeed
from tests.support.oidc_server import running_oidc_server

pytestmark = pytest.mark.timeout(300)  # npm installs the packages of a client once

USER = "alice"


async def create_thread(gateway: Gateway, emulator: Emulator, title: str) -> str:
    """Create a thread of the user a second after what was before. Returns its id."""
    emulator.clock.advance(1)
    made = await succeed(gateway, "createThread", "thread { id }", title=title)
    thread_id: str = made["thread"]["id"]
    return thread_id


async def update_thread(gateway: Gateway, thread_id: str, **fields: Any) -> None:
    await succeed(gateway, "updateThread", "thread { id }", threadId=thread_id, **fields)


async def expect_titles(program: Program, *titles: str) -> None:
    await program.wait_until(lambda program: program.printed("titles")[-1:] == [list(titles)])


@pytest.mark.parametrize("client", PACKAGES)
async def test_a_cache_lists_all_pages_searches_and_follows_what_changes(
    client: str, emulator: Emulator, tmp_path: Path
) -> None:
    async with (
        running_oidc_server() as provider,
        running_gateway(
            emulator.url,
            gateway_database_url=f"sqlite:///{tmp_path / 'ledger.db'}",
            gateway_ledger_deadline_seconds=10,  # a busy machine is no fault
            gateway_jwt_issuer=provider.issuer,
            gateway_jwt_audience=provider.audience,
            upstream_api_key=KEY,
        ) as gateway,
        running_proxy(gateway.url) as proxy,
    ):
        provider.redirect_uris.add(SHOWN_PAGE)
        gateway.credential = f"Bearer {provider.issue_token(USER)}"
        one, two, three = [await create_thread(gateway, emulator, title) for title in ("One", "Two", "Three")]
        directory = tmp_path / "page"
        directory.mkdir()
        await prepare_client(directory, client, gateway, proxy, provider)
        async with running_program(directory, *NODE_OPTIONS, f"list_{client}.js") as program:
            await program.wait_until(lambda program: program.printed("following") and program.printed("complete"))
            await expect_titles(program, "Three", "Two", "One")

            await create_thread(gateway, emulator, "Four")
            await expect_titles(program, "Four", "Three", "Two", "One")
            await update_thread(gateway, one, title="The first")
            await expect_titles(program, "Four", "Three", "Two", "The first")
            emulator.clock.advance(1)
            content = [{"text": "Hello."}]
            await succeed(gateway, "createMessage", "message { id }", threadId=one, content=content)
            await expect_titles(program, "The first", "Four", "Three", "Two")

            proxy.drop()
            await update_thread(gateway, two, isArchived=True)  # perhaps before it is back
            await succeed(gateway, "deleteThread", "deletedId", threadId=three)
            await expect_titles(program, "The first", "Four")
            await update_thread(gateway, two, isArchived=False)
            await expect_titles(program, "The first", "Four", "Two")

            await program.send("four")
            await program.wait_until(lambda program: program.printed("found")[-1:] == [["Four"]])
            assert program.printed("warning") == []
