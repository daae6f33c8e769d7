"""Uploads and downloads over an upstream that fails, answers too early or is not there, and of a gateway that stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from gateway.server.app import OPERATION_TASKS
from tests.support.emulator import Emulator
from tests.support.file_client import error_of, target, upload, uploaded
from tests.support.file_samples import BOUNDARY, PNG, part
from tests.support.file_upstream import FileUpstream, file_upstream
from tests.support.gateway import Gateway, running_gateway
from tests.support.log_lines import collected_lines
from tests.support.ports import free_port
from tests.support.subscription_gateway import until

SOME = b"x" * 100_000


@pytest.fixture
async def upstream() -> AsyncIterator[FileUpstream]:
    async with file_upstream() as upstream:
        yield upstream


async def test_an_upstream_that_answers_before_it_has_the_whole_file_is_not_believed(upstream: FileUpstream) -> None:
    upstream.early_status = 200
    released = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield f"--{BOUNDARY}\r\n".encode() + part("file", SOME, "a.bin")
        await released.wait()

    headers = {"Authorization": "Bearer key", "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    async with running_gateway(upstream.url) as gateway:
        reply = await gateway.send("POST", "/files", data=body(), headers=headers)
        released.set()
        assert error_of(reply)[:2] == (502, "UPSTREAM_INVALID_RESPONSE")


async def test_an_upstream_that_is_not_there_is_told(emulator: Emulator) -> None:
    async with running_gateway(emulator.url) as gateway:
        address = target((await uploaded(gateway, PNG))["contentUrl"])
    nowhere = f"http://127.0.0.1:{free_port()}/v1"
    async with running_gateway(nowhere) as gateway:
        assert error_of(await upload(gateway, SOME))[:2] == (502, "UPSTREAM_UNREACHABLE")
        # The address is of another upstream, so it is none here.
        assert error_of(await gateway.send("GET", address))[:2] == (403, "FORBIDDEN")


async def test_a_download_of_an_upstream_that_has_gone_is_told() -> None:
    async with AsyncExitStack() as stack:
        async with file_upstream() as upstream:
            gateway = await stack.enter_async_context(running_gateway(upstream.url))
            address = target((await uploaded(gateway, PNG))["contentUrl"])
        assert error_of(await gateway.send("GET", address))[:2] == (502, "UPSTREAM_UNREACHABLE")


async def test_a_download_that_is_not_answered_in_time_is_told(emulator: Emulator) -> None:
    async with running_gateway(emulator.url, upstream_timeout_seconds=0.3) as gateway:
        address = target((await uploaded(gateway, PNG))["contentUrl"])
        emulator.misbehave("downloadFile:latency=5s")
        assert error_of(await gateway.send("GET", address))[:2] == (504, "UPSTREAM_TIMEOUT")


async def leave_before_the_answer(gateway: Gateway, upstream: FileUpstream) -> None:
    """Send a file, leave once the upstream has it, and let the upstream answer."""
    sending = asyncio.create_task(upload(gateway, SOME))
    await upstream.arrived.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    upstream.answers.set()


async def test_a_file_that_cannot_be_removed_is_told_in_the_log(upstream: FileUpstream) -> None:
    upstream.answers.clear()
    upstream.delete_status = 500
    async with running_gateway(upstream.url) as gateway:
        with collected_lines() as lines:
            await leave_before_the_answer(gateway, upstream)
            await until(lambda: any("stays upstream" in line["event"] for line in lines.all))
    assert upstream.left_over == 1


async def test_a_refusal_after_the_client_has_left_needs_no_removal(upstream: FileUpstream) -> None:
    upstream.answers.clear()
    upstream.upload_status = 400
    async with running_gateway(upstream.url) as gateway:
        with collected_lines() as lines:
            await leave_before_the_answer(gateway, upstream)
            await until(lambda: len(lines.audit) == 1)
    assert (upstream.deleted, upstream.left_over) == ([], 0)


async def test_a_gateway_that_stops_begins_no_transfer(gateway: Gateway) -> None:
    made = await uploaded(gateway, PNG)
    await gateway.app[OPERATION_TASKS].stop(0)
    for reply in (await upload(gateway, PNG), await gateway.send("GET", target(made["contentUrl"]))):
        assert error_of(reply)[:2] == (503, "GATEWAY_STOPPING")
        assert reply.headers["Retry-After"] == "1"
