import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from gateway.emulator.model.chunks import Chunk
from gateway.emulator.model.failures import ModelFailedError
from gateway.emulator.model.model_client import ModelClient, ModelOptions
from tests.gateway.emulator.model.chat_server import ChatServer, completion, finish, frame, words


@pytest.fixture
async def client(model: ChatServer) -> AsyncIterator[ModelClient]:
    async with ModelClient(ModelOptions(model.url, max_reply_bytes=2000)) as client:
        yield client


async def reply(client: ModelClient) -> list[Chunk]:
    async with aclosing(client.stream_reply({"model": "m"})) as pieces:
        return [chunk async for chunks in pieces for chunk in chunks]


async def failure(client: ModelClient) -> str:
    with pytest.raises(ModelFailedError) as failed:
        await reply(client)
    assert failed.value.__cause__ is None
    return str(failed.value)


@pytest.mark.parametrize(
    ("suffix", "path"), [("", "/v1/chat/completions"), ("/?version=1", "/v1/chat/completions?version=1")]
)
@pytest.mark.parametrize("key", [None, "sk-secret"])
async def test_the_request_goes_below_the_base_url_with_the_key_if_any(
    model: ChatServer, suffix: str, path: str, key: str | None
) -> None:
    model.will_stream(*words("Hi"))
    async with ModelClient(ModelOptions(model.url + suffix, key=key)) as client:
        assert await reply(client) == [Chunk("Hi")]
    (request,) = model.requests
    assert (request.path, request.body) == (path, {"model": "m"})
    assert request.headers.get("Authorization") == (key and f"Bearer {key}")


async def test_a_server_that_does_not_stream_is_supported(model: ChatServer, client: ModelClient) -> None:
    model.will_answer(completion({"content": "Hi"}))
    assert await reply(client) == [Chunk("Hi", finish_reason="stop")]


async def test_a_stream_may_end_without_its_last_event(model: ChatServer, client: ModelClient) -> None:
    model.will_stream(*words("Hi"), finish(), end="open")
    assert await reply(client) == [Chunk("Hi"), Chunk(finish_reason="stop")]


async def test_a_redirect_is_not_followed(model: ChatServer, client: ModelClient) -> None:
    model.will_answer({}, 307, Location=f"{model.url}/elsewhere")
    assert "status 307" in await failure(client)
    assert len(model.requests) == 1


async def test_the_body_of_a_refusal_is_not_shown(model: ChatServer, client: ModelClient) -> None:
    model.will_answer({"error": {"message": "Incorrect API key provided: sk-secret"}}, 401)
    assert await failure(client) == "The model refused the emulator's own key (status 401)."


async def test_an_unreachable_server_is_reported() -> None:
    async with ModelClient(ModelOptions("http://127.0.0.1:1/v1")) as client:
        assert await failure(client) == "The model could not be reached."


@pytest.mark.parametrize("pieces", [[], words("Hel"), [frame(words("Hel")[0])[:-7]]])
async def test_a_broken_connection_is_reported(model: ChatServer, client: ModelClient, pieces: list[bytes]) -> None:
    model.will_stream(*pieces, end="cut")
    assert await failure(client) == "The model's answer broke off."
    model.will_stream(*pieces, end="open")
    assert await failure(client) == "The model's answer broke off."


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"choices": ['])
async def test_an_unreadable_whole_answer_is_reported(model: ChatServer, client: ModelClient, body: bytes) -> None:
    model.will_answer(body)
    assert await failure(client) == "The model's answer could not be read."


async def test_the_chunks_before_a_failure_are_yielded_at_once(model: ChatServer, client: ModelClient) -> None:
    never = asyncio.Event()
    model.will_stream(b"".join([*map(frame, words("Hel", "lo")), b"data: {\n\n"]), never)
    async with aclosing(client.stream_reply({"model": "m"})) as pieces:
        assert await anext(pieces) == (Chunk("Hel"), Chunk("lo"))
        with pytest.raises(ModelFailedError, match="could not be read"):
            await anext(pieces)


async def test_a_too_large_answer_is_refused(model: ChatServer, client: ModelClient) -> None:
    expected = "The model's answer is too large: expected at most 2000 bytes."
    model.will_stream(b": " + b"x" * 2001)
    assert await failure(client) == expected
    model.will_answer(completion({"content": "x" * 2001}))
    assert await failure(client) == expected


async def test_a_client_must_be_entered_before_a_request() -> None:
    client = ModelClient(ModelOptions("http://127.0.0.1:1/v1"))
    with pytest.raises(RuntimeError, match="expected the model's server to be entered"):
        await reply(client)
    await client.__aexit__(None, None, None)


def test_the_options_do_not_show_the_key() -> None:
    assert "sk-secret" not in repr(ModelOptions("http://127.0.0.1/v1", key="sk-secret"))
