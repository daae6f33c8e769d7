"""Tests that contents of files pass the proxy of `docker/` as they come, within the gateway's own limits."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from gateway.config import Settings
from gateway.files.file_form import MAX_FORM_OVERHEAD
from tests.docker.conftest import FleetOver
from tests.support.file_client import error_of, target
from tests.support.file_samples import BOUNDARY, PNG, form, part
from tests.support.file_upstream import FileUpstream, file_upstream
from tests.support.graphql import GraphQLClient
from tests.support.nginx import local_configuration
from tests.support.subscription_gateway import until

pytestmark = pytest.mark.nginx

CREDENTIAL = {"Authorization": "Bearer key"}
LIMIT: int = Settings.model_fields["gateway_max_file_bytes"].default


@pytest.fixture
async def upstream() -> AsyncIterator[FileUpstream]:
    async with file_upstream() as upstream:
        yield upstream


def test_the_largest_file_is_the_gateways_own(tmp_path: Path) -> None:
    text = local_configuration(tmp_path, 1, []).read_text()
    assert f"client_max_body_size {LIMIT + MAX_FORM_OVERHEAD};" in text
    assert f"a file of at most {LIMIT} bytes" in text


async def test_files_pass_the_proxy_in_both_directions(
    fleet_over: FleetOver, upstream: FileUpstream, session: aiohttp.ClientSession
) -> None:
    async with fleet_over(upstream.url) as fleet:
        client = GraphQLClient(fleet.proxy.url, session)
        largest = await client.send("POST", "/files", data=form(b"x" * LIMIT), headers=CREDENTIAL)
        assert largest.status == 201, largest
        too_large = await client.send("POST", "/files", data=form(b"x" * (LIMIT + 1)), headers=CREDENTIAL)
        assert error_of(too_large)[::2] == (
            413,
            f"Expected a file of at most {LIMIT} bytes (GATEWAY_MAX_FILE_BYTES), got more.",
        )
        far_too_large = await client.send("POST", "/files", data=form(b"x" * (LIMIT + 100_000)), headers=CREDENTIAL)
        assert far_too_large.status == 413
        assert far_too_large.json["errors"][0]["message"] == too_large.json["errors"][0]["message"]
        made = largest.json
        assert made["contentUrl"].startswith(f"{fleet.proxy.url}/files/{made['upstreamId']}/content?token=")
        for _ in range(3):  # each gateway opens what another has made
            reply = await client.send("GET", target(made["contentUrl"]))
            assert (reply.status, reply.body[: len(PNG)]) == (200, PNG)
            assert len(reply.body) == len(PNG) + upstream.content_bytes
        refused = await client.send("GET", target(made["contentUrl"])[:-9])
        assert error_of(refused)[0] == 403
        assert len({call.gateways[0] for call in fleet.proxy.calls(6)}) == 3


async def test_a_file_is_on_its_way_to_the_upstream_while_its_client_still_sends(
    fleet_over: FleetOver, upstream: FileUpstream, session: aiohttp.ClientSession
) -> None:
    released = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield f"--{BOUNDARY}\r\n".encode() + part("file", b"x" * 300_000, "a.bin")
        await released.wait()
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    headers = {**CREDENTIAL, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with fleet_over(upstream.url) as fleet:
        client = GraphQLClient(fleet.proxy.url, session)
        sending = asyncio.create_task(client.send("POST", "/files", data=body(), headers=headers))
        await upstream.began.wait()
        await until(lambda: upstream.uploads[0].byte_count > 250_000)
        released.set()
        assert (await sending).status == 201
        left = asyncio.create_task(client.send("POST", "/files", data=form(b"x" * 20_000_000), headers=CREDENTIAL))
        upstream.takes.clear()
        await until(lambda: len(upstream.uploads) == 2)
        left.cancel()
        await asyncio.gather(left, return_exceptions=True)
        upstream.takes.set()
        await upstream.uploads[1].is_over.wait()
        await until(lambda: upstream.left_over == 1)


async def test_no_log_of_the_proxy_holds_an_address(
    fleet_over: FleetOver, upstream: FileUpstream, session: aiohttp.ClientSession
) -> None:
    async with fleet_over(upstream.url) as fleet:
        client = GraphQLClient(fleet.proxy.url, session)
        made = (await client.send("POST", "/files", data=form(PNG), headers=CREDENTIAL)).json
        token = urlsplit(made["contentUrl"]).query
        assert (await client.send("GET", target(made["contentUrl"]))).status == 200
        for process in fleet.processes:
            process.kill()
            await asyncio.to_thread(process.wait)
        gone = await client.send("GET", target(made["contentUrl"]))
        assert (gone.status, gone.json["errors"][0]["message"]) == (502, "No gateway answered.")
        fleet.proxy.calls(3)
        for name in ("access.log", "error.log"):
            text = (fleet.proxy.directory / name).read_text()
            assert token not in text
            assert token.removeprefix("token=")[:40] not in text
