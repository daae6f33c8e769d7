"""Uploads that break off, at every place where they can: nothing of them stays upstream, and nothing waits for long."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from gateway.files import upload_endpoint
from gateway.files.file_form import UploadForm
from gateway.files.incoming_upload import IncomingUpload
from gateway.server.http.operation_runner import OperationTasks
from gateway.upstream.connection_pool import MAX_UNPROVEN_TRANSFERS
from tests.support.file_client import error_of, upload
from tests.support.file_samples import BOUNDARY, part, raw_form
from tests.support.file_upstream import FileUpstream, file_upstream
from tests.support.gateway import Gateway, running_gateway
from tests.support.graphql import GraphQLClient
from tests.support.log_lines import collected_lines
from tests.support.subscription_gateway import until

AUTHORIZED = {"Authorization": "Bearer key"}
FORM = {**AUTHORIZED, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
HEAD = f"--{BOUNDARY}\r\n".encode() + part("file", b"", "a.bin")
END = f"\r\n--{BOUNDARY}--\r\n".encode()
SOME = b"x" * 100_000


@pytest.fixture
async def upstream() -> AsyncIterator[FileUpstream]:
    async with file_upstream() as upstream:
        yield upstream


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


class Sender:
    """A client that sends the pieces of a body one by one, of a length that it does not say."""

    def __init__(
        self, gateway: Gateway, session: aiohttp.ClientSession | None = None, headers: Mapping[str, str] = FORM
    ) -> None:
        self._gateway = GraphQLClient(gateway.url, session or gateway.session)
        self._headers = headers
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.answer = asyncio.create_task(self._send())

    def send(self, *pieces: bytes | None) -> None:
        for piece in pieces:
            self._pieces.put_nowait(piece)

    async def _send(self) -> Any:
        return await self._gateway.send("POST", "/files", data=self._body(), headers=self._headers)

    async def _body(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            yield piece

    async def leave(self) -> None:
        self.answer.cancel()
        await asyncio.gather(self.answer, return_exceptions=True)


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(upstream: FileUpstream) -> None:
    async with running_gateway(upstream.url) as gateway:
        with collected_lines() as lines:
            sender = Sender(gateway)
            sender.send(HEAD, SOME)
            await upstream.began.wait()
            await sender.leave()
            await upstream.uploads[0].is_over.wait()
            await until(lambda: len(lines.operations) == 1 and len(lines.audit) == 1)
        assert lines.operations[0]["outcome"] == "cancelled"
        assert (lines.audit[0]["mutation"], lines.audit[0]["outcome"]) == ("uploadFile", "cancelled")
    assert (upstream.left_over, upstream.uploads[0].is_complete) == (0, False)


async def test_a_file_that_was_made_although_its_client_left_is_deleted(upstream: FileUpstream) -> None:
    upstream.answers.clear()
    async with running_gateway(upstream.url) as gateway:
        sender = Sender(gateway)
        sender.send(HEAD, SOME, END, None)
        await upstream.arrived.wait()
        await sender.leave()
        upstream.answers.set()
        await until(lambda: upstream.deleted == ["file-1"])
    assert upstream.left_over == 0


async def test_a_file_is_deleted_whose_client_left_unseen_by_a_busy_gateway(
    upstream: FileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a client has left is read in turns; here its turn does not come before the answer of the upstream."""
    requests: list[web.Request] = []

    class SeenUpload(IncomingUpload):
        def __init__(self, request: web.Request, form: UploadForm, silence_seconds: float) -> None:
            super().__init__(request, form, silence_seconds)
            requests.append(request)

    monkeypatch.setattr(upload_endpoint, "IncomingUpload", SeenUpload)
    upstream.answers.clear()
    async with running_gateway(upstream.url) as gateway:
        with collected_lines() as lines:
            sender = Sender(gateway)
            sender.send(HEAD, SOME, END, None)
            await upstream.arrived.wait()
            transport = requests[0].transport
            assert transport is not None
            transport.pause_reading()
            await sender.leave()
            upstream.answers.set()
            await until(lambda: len(lines.operations) == 1)
            await until(lambda: upstream.deleted == ["file-1"])
        assert lines.operations[0]["outcome"] == "cancelled"
    assert upstream.left_over == 0


async def test_a_file_is_deleted_whose_client_left_just_when_it_was_made(
    upstream: FileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is cancelled between the end of the operation and its own next step."""
    is_made, run = asyncio.Event(), OperationTasks.run

    async def run_until_cancelled(self: OperationTasks, *arguments: Any, **options: Any) -> None:
        await run(self, *arguments, **options)
        is_made.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(OperationTasks, "run", run_until_cancelled)
    async with running_gateway(upstream.url) as gateway:
        sender = Sender(gateway)
        sender.send(HEAD, SOME, END, None)
        await is_made.wait()
        await sender.leave()
        await until(lambda: upstream.deleted == ["file-1"])
    assert upstream.left_over == 0


async def test_a_gateway_that_stops_removes_what_its_client_cannot_know(
    upstream: FileUpstream, session: aiohttp.ClientSession
) -> None:
    upstream.answers.clear()
    async with running_gateway(upstream.url, gateway_shutdown_seconds=0) as gateway:
        sender = Sender(gateway, session)
        sender.send(HEAD, SOME, END, None)
        await upstream.arrived.wait()
        sender.answer.add_done_callback(lambda _: upstream.answers.set())
    status, code, message = error_of(await sender.answer)
    assert (status, code) == (503, "GATEWAY_STOPPING")
    assert "may have been written" in message
    assert (upstream.deleted, upstream.left_over) == (["file-1"], 0)


async def test_a_gateway_that_stops_ends_uploads_in_the_middle(
    upstream: FileUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_gateway(upstream.url, gateway_shutdown_seconds=0) as gateway:
        sender = Sender(gateway, session)
        sender.send(HEAD, SOME)
        await upstream.began.wait()
    assert error_of(await sender.answer)[:2] == (503, "GATEWAY_STOPPING")
    assert upstream.left_over == 0


@pytest.mark.parametrize(
    ("rest", "status", "expected"),
    [
        ((b"x" * 200_000,), 413, "Expected a file of at most 250000 bytes (GATEWAY_MAX_FILE_BYTES), got more."),
        (
            (f"\r\n--{BOUNDARY}\r\n".encode() + part("file", b"again", "b.bin"),),
            400,
            "Expected one file, in the part 'file', got two.",
        ),
        (
            (f"\r\n--{BOUNDARY}\r\n".encode() + part("other", b"x"),),
            400,
            "Expected the parts 'file', and 'purpose' if any, got \"other\".",
        ),
        ((None,), 400, "Expected a complete form of type multipart/form-data, got one without its end."),
        (
            (f"\r\n--{BOUNDARY}\r\n".encode() + part("purpose", b"no word") + END, None),
            400,
            "Expected a word as 'assistants' in the part 'purpose', got \"no word\".",
        ),
        ((f"\r\n--{BOUNDARY}oops".encode(),), 400, None),
    ],
    ids=["too large", "two files", "another part", "no end", "a bad purpose", "a broken boundary"],
)
async def test_a_form_that_turns_out_to_be_bad_is_refused_and_leaves_nothing(
    upstream: FileUpstream, rest: tuple[bytes | None, ...], status: int, expected: str | None
) -> None:
    async with running_gateway(upstream.url, gateway_max_file_bytes=250_000) as gateway:
        sender = Sender(gateway)
        sender.send(HEAD, SOME)
        await upstream.began.wait()
        sender.send(*rest)
        reply = await sender.answer
        got, code, message = error_of(reply)
        assert (got, code, reply.headers["Connection"]) == (status, "BAD_USER_INPUT", "close")
        assert expected in {None, message}
        await upstream.uploads[0].is_over.wait()
    assert (upstream.left_over, upstream.uploads[0].is_complete) == (0, False)


async def test_a_client_that_falls_silent_is_let_go(upstream: FileUpstream) -> None:
    async with running_gateway(upstream.url, gateway_body_timeout_seconds=0.3) as gateway:
        sender = Sender(gateway)
        sender.send(HEAD, SOME)
        assert error_of(await sender.answer)[:2] == (408, "BAD_USER_INPUT")
        await upstream.uploads[0].is_over.wait()
    assert upstream.left_over == 0


async def test_a_client_that_only_seems_to_move_is_let_go(upstream: FileUpstream) -> None:
    async with running_gateway(upstream.url, gateway_body_timeout_seconds=0.5) as gateway:
        sender = Sender(gateway)
        sender.send(HEAD)
        while not sender.answer.done():  # it is never silent for long
            sender.send(b"x")
            await asyncio.sleep(0.05)
        status, code, message = error_of(await sender.answer)
        assert (status, code) == (408, "BAD_USER_INPUT")
        assert message == "Expected more of the body within 0.5 s, and 1024 bytes a second on average, got less."
    assert upstream.left_over == 0


async def test_a_slow_client_that_moves_is_waited_for(upstream: FileUpstream) -> None:
    async with running_gateway(upstream.url, gateway_body_timeout_seconds=1, upstream_timeout_seconds=0.5) as gateway:
        sender = Sender(gateway)
        sender.send(HEAD)
        for _ in range(8):
            sender.send(b"x" * 1024)
            await asyncio.sleep(0.3)  # longer in all than either deadline, each time shorter than both
        sender.send(END, None)
        assert (await sender.answer).status == 201


async def test_an_upstream_that_takes_nothing_more_is_given_up(upstream: FileUpstream) -> None:
    upstream.takes.clear()
    async with running_gateway(upstream.url, upstream_timeout_seconds=0.5, gateway_max_file_bytes=1 << 30) as gateway:
        sender = Sender(gateway)
        sender.send(HEAD, *[b"x" * (1 << 20)] * 60, END, None)
        status, code, message = error_of(await sender.answer)
        assert (status, code) == (504, "UPSTREAM_TIMEOUT")
        assert "may have taken place" not in message
    upstream.takes.set()
    await upstream.uploads[0].is_over.wait()
    assert upstream.left_over == 0


async def test_an_upstream_that_never_answers_is_given_up_and_the_error_says_that_the_file_may_be_there(
    upstream: FileUpstream,
) -> None:
    upstream.answers.clear()
    async with running_gateway(upstream.url, upstream_timeout_seconds=0.5) as gateway:
        reply = await upload(gateway, SOME)
        status, code, message = error_of(reply)
        assert (status, code) == (504, "UPSTREAM_TIMEOUT")
        assert "may have taken place" in message
        assert reply.json["errors"][0]["extensions"]["retryable"] is False


async def test_a_refusal_of_the_upstream_ends_the_upload_before_its_client_has_sent_all(upstream: FileUpstream) -> None:
    upstream.early_status = 403
    async with running_gateway(upstream.url) as gateway:
        sender = Sender(gateway)
        sender.send(HEAD, SOME)
        assert error_of(await sender.answer) == (403, "FORBIDDEN", "Not today.")


async def test_no_file_means_no_call(upstream: FileUpstream) -> None:
    async with running_gateway(upstream.url) as gateway:
        for form, expected in (
            (raw_form(), "Expected one file, in the part 'file', got none."),
            (raw_form(part("purpose", b"vision")), "Expected one file, in the part 'file', got none."),
            (
                raw_form(part("file", b"", "a.txt")),
                "Expected a file with content in the part 'file', got an empty one.",
            ),
        ):
            form["headers"] |= AUTHORIZED
            assert error_of(await gateway.send("POST", "/files", **form)) == (400, "BAD_USER_INPUT", expected)
    assert upstream.uploads == []


async def test_the_client_sends_no_faster_than_the_upstream_takes(upstream: FileUpstream) -> None:
    upstream.takes.clear()
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        yield HEAD
        for _ in range(200):
            yield b"x" * (1 << 20)
            sent += 1
        yield END

    async with running_gateway(upstream.url, gateway_max_file_bytes=1 << 30) as gateway:
        options: dict[str, Any] = {"data": body(), "headers": FORM}
        sending = asyncio.create_task(gateway.send("POST", "/files", **options))
        await upstream.began.wait()
        before = -1
        while sent != before:  # until the buffers of the operating system are full
            before = sent
            await asyncio.sleep(0.5)
        assert sent < 100
        upstream.takes.set()
        assert (await sending).status == 201
    assert upstream.uploads[0].byte_count > 200 << 20


async def test_made_up_credentials_leave_places_for_those_that_the_upstream_has_accepted(
    upstream: FileUpstream, session: aiohttp.ClientSession
) -> None:
    async with running_gateway(upstream.url) as gateway:
        assert (await upload(gateway, SOME)).status == 201  # from now on the test's own key is known
        senders = []
        for number in range(80):
            sender = Sender(gateway, session, {**FORM, "Authorization": f"Bearer made-up-{number}"})
            sender.send(HEAD, SOME)
            senders.append(sender)
        await until(lambda: len(upstream.uploads) == 1 + MAX_UNPROVEN_TRANSFERS)
        assert (await upload(gateway, SOME)).status == 201
        for sender in senders:
            await sender.leave()


async def test_more_uploads_than_there_are_places_for_wait_or_are_refused(
    upstream: FileUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.upstream.connection_pool.MAX_WAITING_TRANSFERS", 2)
    async with (
        running_gateway(upstream.url) as gateway,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        gateway.session = session
        assert (await upload(gateway, SOME)).status == 201  # a caller whom the upstream has accepted
        upstream.answers.clear()
        sending = [asyncio.create_task(upload(gateway, SOME)) for _ in range(18)]
        done, _ = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        assert [error_of(each.result())[:2] for each in done] == [(429, "TOO_MANY_OPERATIONS")]
        await until(lambda: len(upstream.uploads) == 1 + 16)
        upstream.answers.set()
        assert sorted([reply.status for reply in await asyncio.gather(*sending)]) == [201] * 17 + [429]
