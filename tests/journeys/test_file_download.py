"""Downloads at sealed addresses: whole and in parts, for browsers that send no credential, and for nobody else."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from gateway.files.address_seal import AddressSeal, Holder, SealedContents
from gateway.identity.principal import UpstreamIdentity
from tests.support.emulator import AUTHORIZATION, KEY, Emulator
from tests.support.file_client import error_of, target, upload, uploaded
from tests.support.file_samples import CSV, GIF, PNG
from tests.support.file_upstream import FileUpstream, file_upstream
from tests.support.gateway import URL_SECRET, Gateway, running_gateway
from tests.support.graphql import Reply
from tests.support.log_lines import collected_lines
from tests.support.subscription_gateway import until

LONG = bytes(range(256)) * 1000


@pytest.fixture
async def upstream() -> AsyncIterator[FileUpstream]:
    async with file_upstream() as upstream:
        yield upstream


async def fetch(gateway: Gateway, address: str, method: str = "GET", **headers: str) -> Reply:
    """Load an address as an image or a link does, without a credential."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await gateway.send(method, target(address), headers=named)


async def address_of(gateway: Gateway, content: bytes, filename: str = "a.bin") -> str:
    return str((await uploaded(gateway, content, filename))["contentUrl"])


async def test_an_address_gives_the_whole_content_without_a_credential(gateway: Gateway) -> None:
    address = await address_of(gateway, LONG, "all bytes.bin")
    assert address.startswith(f"{gateway.url}/files/")
    reply = await fetch(gateway, address)
    assert (reply.status, reply.body) == (200, LONG)
    assert reply.headers["Content-Type"] == "application/octet-stream"
    assert reply.headers["Content-Disposition"] == 'attachment; filename="all bytes.bin"'
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in reply.headers["Content-Security-Policy"]
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert reply.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    private, age = reply.headers["Cache-Control"].split(", ")
    assert (private, 150 <= int(age.removeprefix("max-age=")) <= 300) == ("private", True)


async def test_the_length_is_told_if_the_upstream_tells_it(upstream: FileUpstream) -> None:
    upstream.contents["file-1"] = LONG
    async with running_gateway(upstream.url) as gateway:
        reply = await fetch(gateway, await address_of(gateway, PNG))
        assert (reply.headers["Content-Length"], reply.body) == (str(len(LONG)), LONG)


@pytest.mark.parametrize(("content", "media_type"), [(PNG, "image/png"), (GIF, "image/gif")])
async def test_an_image_is_shown_in_place_whatever_its_name(gateway: Gateway, content: bytes, media_type: str) -> None:
    reply = await fetch(gateway, await address_of(gateway, content, "table.csv"))
    assert (reply.headers["Content-Type"], reply.body) == (media_type, content)
    assert reply.headers["Content-Disposition"] == 'inline; filename="table.csv"'


@pytest.mark.parametrize(
    ("wanted", "expected", "content_range"),
    [
        ("bytes=0-99", LONG[:100], "bytes 0-99/256000"),
        ("bytes=100-", LONG[100:], "bytes 100-255999/256000"),
        ("bytes=-50", LONG[-50:], "bytes 255950-255999/256000"),
        ("bytes=0-9,20-29", LONG, None),
        ("lines=1-2", LONG, None),
    ],
)
async def test_one_range_is_passed_on_and_others_give_the_whole(
    gateway: Gateway, wanted: str, expected: bytes, content_range: str | None
) -> None:
    reply = await fetch(gateway, await address_of(gateway, LONG), Range=wanted)
    assert (reply.status, reply.body) == (200 if content_range is None else 206, expected)
    assert reply.headers.get("Content-Range") == content_range


async def test_an_upstream_without_ranges_gives_the_whole(gateway: Gateway, emulator: Emulator) -> None:
    address = await address_of(gateway, LONG)
    emulator.misbehave("downloadFile:unfiltered")
    reply = await fetch(gateway, address, Range="bytes=0-99")
    assert (reply.status, reply.body, "Content-Range" in reply.headers) == (200, LONG, False)


async def test_a_part_that_nobody_asked_for_is_no_content(upstream: FileUpstream) -> None:
    upstream.contents["file-1"], upstream.content_status = LONG, 206
    async with running_gateway(upstream.url) as gateway:
        address = await address_of(gateway, PNG)
        for headers in ({}, {"Content-Range": "bytes 0-9/100"}, {"Content-Range": "bytes 9-0/*"}):
            upstream.content_headers = headers
            assert error_of(await fetch(gateway, address))[:2] == (502, "UPSTREAM_INVALID_RESPONSE")
        upstream.content_headers = {"Content-Range": f"bytes 5-{len(LONG) + 4}/999999"}
        reply = await fetch(gateway, address)
        assert (reply.status, reply.body, reply.headers["Content-Type"]) == (206, LONG, "application/octet-stream")


@pytest.mark.parametrize("header", ["nonsense;;=", 'attachment; filename="a b', "attachment; filename=x y; z", "\xff"])
async def test_a_name_that_the_upstream_writes_badly_costs_nothing_and_is_not_logged(
    upstream: FileUpstream, header: str
) -> None:
    upstream.contents["file-1"], upstream.content_headers = LONG, {"Content-Disposition": header}
    async with running_gateway(upstream.url) as gateway:
        with collected_lines() as lines:
            reply = await fetch(gateway, await address_of(gateway, PNG))
        assert (reply.status, reply.body) == (200, LONG)
        assert reply.headers["Content-Disposition"].startswith('attachment; filename="')
        assert header not in json.dumps(lines.all, ensure_ascii=False)


async def test_a_content_that_the_upstream_compresses_arrives_as_it_was(upstream: FileUpstream) -> None:
    upstream.contents["file-1"] = gzip.compress(LONG)
    upstream.content_headers = {"Content-Encoding": "gzip"}
    async with running_gateway(upstream.url) as gateway:
        reply = await fetch(gateway, await address_of(gateway, PNG))
        assert (reply.body, "Content-Length" in reply.headers, "Content-Encoding" in reply.headers) == (
            LONG,
            False,
            False,
        )
        assert upstream.requests[-1][2]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("dialect", "path"),
    [("azure-openai", "/openai"), ("azure-foundry", "/api/projects/one"), ("openai-v1", "/v1"), ("lenient", "/v1")],
)
async def test_every_dialect_has_files(emulator: Emulator, dialect: str, path: str) -> None:
    async with running_gateway(emulator.root_url + path, upstream_dialect=dialect) as gateway:
        assert (await fetch(gateway, await address_of(gateway, PNG))).body == PNG


async def test_a_range_beyond_the_end_is_refused_with_the_length(gateway: Gateway) -> None:
    reply = await fetch(gateway, await address_of(gateway, LONG), Range="bytes=256000-")
    assert error_of(reply)[:2] == (416, "BAD_USER_INPUT")
    assert reply.headers["Content-Range"] == "bytes */256000"


async def test_a_download_goes_on_where_it_was_broken_off_only_if_it_is_the_same_file(gateway: Gateway) -> None:
    address = await address_of(gateway, LONG)
    entity_tag = (await fetch(gateway, address, "HEAD")).headers["ETag"]
    assert (await fetch(gateway, address, Range="bytes=5-", If_Range=entity_tag)).status == 206
    assert (await fetch(gateway, address, Range="bytes=5-", If_Range='"another"')).status == 200


async def test_a_browser_that_has_the_content_gets_it_not_again(gateway: Gateway, emulator: Emulator) -> None:
    address = await address_of(gateway, PNG)
    first = await fetch(gateway, address)
    emulator.counts.reset()
    again = await fetch(gateway, address, If_None_Match=first.headers["ETag"])
    assert (again.status, again.body, emulator.counts.total) == (304, b"", 0)


async def test_head_has_the_headers_of_get(gateway: Gateway) -> None:
    address = await address_of(gateway, PNG, "a.png")
    whole, head = await fetch(gateway, address), await fetch(gateway, address, "HEAD")
    assert (head.status, head.body) == (200, b"")
    changing = {"Date", "X-Request-ID", "Cache-Control", "Transfer-Encoding"}
    kept = {name: value for name, value in whole.headers.items() if name not in changing}
    assert {name: value for name, value in head.headers.items() if name not in changing} == kept


async def test_other_methods_are_refused(gateway: Gateway) -> None:
    reply = await fetch(gateway, await address_of(gateway, PNG), "POST")
    assert (error_of(reply)[0], reply.headers["Allow"]) == (405, "GET, HEAD")


async def test_an_address_serves_one_file_until_its_end_and_cannot_be_changed(
    gateway: Gateway, emulator: Emulator
) -> None:
    address = URL(await address_of(gateway, PNG))
    other = await uploaded(gateway, CSV, "other.csv")
    moved = address.with_path(f"/files/{other['upstreamId']}/content", keep_query=True)
    token = address.query["token"]
    flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
    seal = AddressSeal(URL_SECRET.encode(), UpstreamIdentity(emulator.url, dialect="openai-v2"))
    file_id = address.parts[2]
    ended = seal.seal(file_id, SealedContents(Holder(credential=AUTHORIZATION), 1_000_000))
    user_made = seal.seal(file_id, SealedContents(Holder(uses_own_key=True), 9_000_000_000))
    emulator.counts.reset()
    for wrong in (
        moved,
        address.with_query(token=flipped),
        address.with_query({}),
        address.with_query([("token", token), ("token", token)]),
        address.with_query(token="é"),
        address.with_query(token="A" * 20_000),
        address.with_query(token=user_made),  # of a key that this gateway does not have
    ):
        status, code, message = error_of(await fetch(gateway, str(wrong)))
        assert (status, code) == (403, "FORBIDDEN"), wrong
        assert "ask for `contentUrl` again" in message
    late = error_of(await fetch(gateway, str(address.with_query(token=ended))))
    assert late[:2] == (410, "NOT_FOUND")
    assert late[2] == "Expected an address that has not ended, got one that has: ask for `contentUrl` again."
    assert emulator.counts.total == 0


async def test_the_credential_in_an_address_cannot_be_read(gateway: Gateway) -> None:
    assert KEY not in await address_of(gateway, PNG)


async def test_gateways_with_one_secret_open_each_others_addresses_and_others_do_not(emulator: Emulator) -> None:
    async with (
        running_gateway(emulator.url) as first,
        running_gateway(emulator.url) as second,
        running_gateway(emulator.url, gateway_url_secret="another secret, 0123456789abcdefghij") as third,
    ):
        address = await address_of(first, PNG)
        assert (await fetch(second, address)).status == 200
        assert error_of(await fetch(third, address))[0] == 403


async def test_an_address_begins_with_the_public_url_if_there_is_one(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_public_url="https://api.example.com/threads/") as gateway:
        assert (await address_of(gateway, PNG)).startswith("https://api.example.com/threads/files/")


async def test_an_address_in_the_name_of_the_gateways_own_key_is_for_this_machine(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_api_key=KEY) as gateway:
        headers = {"GraphQL-Require-Preflight": "1"}
        made = await upload(gateway, PNG, headers=headers)
        address = made.json["contentUrl"]
        image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        assert (await gateway.send("GET", target(address), headers=image)).status == 200
        for foreign in ({"Host": "elsewhere.example"}, {"X-Forwarded-For": "192.0.2.1"}):
            assert error_of(await gateway.send("GET", target(address), headers=foreign))[0] == 403


async def test_a_deleted_file_and_a_refused_content_are_told_clearly(gateway: Gateway, emulator: Emulator) -> None:
    made = await uploaded(gateway, CSV, "a.csv")
    emulator.misbehave("downloadFile:upload-only")
    status, code, message = error_of(await fetch(gateway, made["contentUrl"]))
    assert (status, code) == (400, "UPSTREAM_REFUSED")
    assert "Not allowed to download files of purpose" in message
    emulator.misbehave("")
    await emulator.delete(f"/files/{made['upstreamId']}")
    status, code, message = error_of(await fetch(gateway, made["contentUrl"]))
    assert (status, code) == (404, "NOT_FOUND")


async def test_pages_of_allowed_origins_may_read_a_content_and_its_headers(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, gateway_allowed_origins="https://app.example") as gateway:
        address = await address_of(gateway, CSV, "a.csv")
        allowed = await fetch(gateway, address, Origin="https://app.example")
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://app.example"
        assert "Content-Disposition" in allowed.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Origin" not in (await fetch(gateway, address, Origin="https://b.example")).headers


async def test_a_download_takes_one_call_of_the_rate_limit(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_api_key=KEY, gateway_rate_limit_calls=2) as gateway:
        made = await upload(gateway, PNG, headers={"GraphQL-Require-Preflight": "1"})
        assert (await fetch(gateway, made.json["contentUrl"])).status == 200
        assert error_of(await fetch(gateway, made.json["contentUrl"]))[:2] == (429, "RATE_LIMITED")


async def test_no_log_holds_an_address(gateway: Gateway) -> None:
    with collected_lines() as lines:
        address = URL(await address_of(gateway, PNG))
        await fetch(gateway, str(address))
        await fetch(gateway, str(address.with_path("/files/file-other/content", keep_query=True)))
    downloads = [line for line in lines.operations if line["kind"] == "download"]
    assert [(line["outcome"], line["upstream_calls"]) for line in downloads] == [("ok", 1), ("refused", 0)]
    assert address.query["token"] not in json.dumps(lines.all)


async def test_a_content_that_breaks_off_breaks_the_download_off(gateway: Gateway, emulator: Emulator) -> None:
    address = await address_of(gateway, b"x" * 1_000_000)
    emulator.misbehave("downloadFile:cut:events=4")
    with collected_lines() as lines, pytest.raises(aiohttp.ClientError):
        await fetch(gateway, address)
    assert (lines.operations[-1]["outcome"], lines.operations[-1]["codes"]) == ("errors", ["UPSTREAM_INVALID_RESPONSE"])


async def test_an_upstream_that_falls_silent_breaks_the_download_off(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_stream_idle_seconds=0.3) as gateway:
        address = await address_of(gateway, b"x" * 1_000_000)
        emulator.misbehave("downloadFile:silent:events=4")
        with collected_lines() as lines, pytest.raises(aiohttp.ClientError):
            await fetch(gateway, address)
        assert lines.operations[-1]["codes"] == ["UPSTREAM_TIMEOUT"]


async def connect(gateway: Gateway, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=1 << 12)
    writer.write(f"GET {target(address)} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
    return reader, writer


async def test_a_client_that_reads_nothing_holds_the_upstream_back_and_is_let_go(upstream: FileUpstream) -> None:
    upstream.content_bytes = 500 << 20
    async with running_gateway(upstream.url, gateway_stalled_client_seconds=1) as gateway:
        address = await address_of(gateway, PNG)
        with collected_lines() as lines:
            reader, writer = await connect(gateway, address)
            await reader.readuntil(b"\r\n\r\n")
            await until(lambda: len(lines.operations) == 1)
            assert lines.operations[0]["outcome"] == "cancelled"
            writer.close()
        assert upstream.sent_bytes < 100 << 20


async def test_a_client_that_leaves_ends_the_call(upstream: FileUpstream) -> None:
    upstream.content_bytes = 500 << 20
    async with running_gateway(upstream.url) as gateway:
        address = await address_of(gateway, PNG)
        reader, writer = await connect(gateway, address)
        await reader.readexactly(1000)
        writer.transport.abort()
    assert upstream.sent_bytes < 100 << 20
