"""The recipes of `schema/README.md` for files work: each client sends an image and a table, and shows both."""

from pathlib import Path

import aiohttp
import pytest

from gateway.emulator.content.canvas import Canvas
from tests.support.client_recipes import (
    NODE_OPTIONS,
    SHOWN_PAGE,
    prepare_client,
    running_program,
    running_proxy,
)
from tests.support.emulator import Emulator
from tests.support.gateway import running_gateway
from tests.support.mutations import succeed
from tests.support.oidc_server import running_oidc_server
from tests.support.signed_in import sign_in_options

pytestmark = pytest.mark.timeout(300)  # npm installs the packages of a client once

PICTURE = Canvas(40, 30, [(200, 60, 60)]).to_png()
TABLE = b"city,visitors\nNara,13\n"
TABLE_NAME = "Besucher \N{EN DASH} 2026.csv"
CLIENTS = {"fetch": "append", "relay": "relay", "apollo": "apollo"}


async def read(url: str) -> tuple[int, str, bytes]:
    """Read an address as an image or a link of a page does: without any header that says who asks."""
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, response.content_type, await response.read()


@pytest.mark.parametrize("client", CLIENTS)
async def test_a_client_sends_an_image_and_a_table_and_shows_both(
    client: str, emulator: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        running_oidc_server() as provider,
        sign_in_options(provider) as options,
        running_gateway(emulator.url, **options) as gateway,
        running_proxy(gateway.url) as proxy,
    ):
        provider.redirect_uris.add(SHOWN_PAGE)
        gateway.credential = f"Bearer {provider.issue_token('alice')}"
        thread = (await succeed(gateway, "createThread", "thread { id upstreamId }"))["thread"]
        await prepare_client(tmp_path, CLIENTS[client], gateway, proxy, provider)
        (tmp_path / "flag.png").write_bytes(PICTURE)
        monkeypatch.setenv("ENDPOINT", f"{proxy.url}/graphql")
        async with running_program(tmp_path, *NODE_OPTIONS, f"send_{client}.js", thread["id"]) as program:
            await program.wait_until(lambda program: program.printed("downloads"))
            ((image_name, image_url),) = program.printed("images")[0]
            ((table_name, table_url),) = program.printed("downloads")[0]
            assert (image_name, await read(image_url)) == ("flag.png", (200, "image/png", PICTURE))
            assert (table_name, await read(table_url)) == (TABLE_NAME, (200, "application/octet-stream", TABLE))
            if client == "fetch":
                await program.wait_until(lambda program: program.printed("refused"))
                assert await read(program.printed("new")[0]) == (200, "image/png", PICTURE)
                assert "empty" in program.printed("refused")[0]
            assert program.printed("warning") == []
    (message,) = (await emulator.get(f"/threads/{thread['upstreamId']}/messages"))["data"]
    assert [part["type"] for part in message["content"]] == ["text", "image_file"]
    assert [attachment["tools"] for attachment in message["attachments"]] == [[{"type": "code_interpreter"}]]
