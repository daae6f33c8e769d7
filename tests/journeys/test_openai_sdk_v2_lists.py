"""Tests that the newest official SDK pages through the emulator's lists both ways, and raises its classes of errors."""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import openai
import pytest
from openai import AsyncOpenAI, Omit
from openai.pagination import AsyncCursorPage

from tests.support.emulator import Emulator
from tests.support.full_runs import long_except
from tests.support.openai_sdk import check_object, check_page, client, ignores_its_deprecation

__all__ = ["client"]  # a fixture

pytestmark = ignores_its_deprecation

ItemT = TypeVar("ItemT", bound=openai.BaseModel)
ABSENT = "0" * 24


async def made_messages(client: AsyncOpenAI, emulator: Emulator, count: int) -> tuple[str, list[str]]:
    """Create a thread and return the ids of its messages, oldest first, three per second."""
    thread = check_object(await client.beta.threads.create())
    ids = []
    for number in range(count):
        emulator.clock.advance(1.0 if number % 3 == 0 else 0.0)
        message = await client.beta.threads.messages.create(thread.id, role="user", content=f"Message {number}")
        ids.append(check_object(message).id)
    return thread.id, ids


async def ids_by_page(first: AsyncCursorPage[ItemT]) -> list[list[str]]:
    """Return the ids on each page while the SDK walks on from the first."""
    return [[str(item.to_dict()["id"]) for item in check_page(page)] async for page in first.iter_pages()]


def in_pages(ids: list[str], size: int) -> list[list[str]]:
    return [ids[start : start + size] for start in range(0, len(ids), size)]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("size", long_except([1, 4, 5, 100], [4]))
async def test_the_sdk_walks_messages_page_by_page(
    client: AsyncOpenAI, emulator: Emulator, order: Literal["asc", "desc"], size: int
) -> None:
    thread_id, ids = await made_messages(client, emulator, 10)
    expected = ids if order == "asc" else ids[::-1]
    messages = client.beta.threads.messages
    pages = await ids_by_page(await messages.list(thread_id, order=order, limit=size))
    assert pages == in_pages(expected, size)
    rest = await ids_by_page(await messages.list(thread_id, order=order, limit=size, after=expected[2]))
    assert rest == in_pages(expected[3:], size)
    assert [message.id async for message in messages.list(thread_id, order=order, limit=size)] == expected


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_before_walks_back_to_the_beginning(
    client: AsyncOpenAI, emulator: Emulator, order: Literal["asc", "desc"]
) -> None:
    thread_id, ids = await made_messages(client, emulator, 10)
    expected = ids if order == "asc" else ids[::-1]
    cursor, walked, more = expected[-1], [], True
    while more:
        page = await client.beta.threads.messages.list(thread_id, order=order, limit=4, before=cursor)
        walked.append([message.id for message in check_page(page)])
        cursor, more = walked[-1][0], bool(page.has_more)
    assert walked == [expected[5:9], expected[1:5], expected[:1]]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_between_two_cursors_the_sdk_walks_to_the_later_one(
    client: AsyncOpenAI, emulator: Emulator, order: Literal["asc", "desc"]
) -> None:
    thread_id, ids = await made_messages(client, emulator, 10)
    expected = ids if order == "asc" else ids[::-1]
    first = await client.beta.threads.messages.list(
        thread_id, order=order, limit=2, after=expected[1], before=expected[8]
    )
    assert await ids_by_page(first) == in_pages(expected[2:8], 2)


async def test_runs_steps_and_assistants_are_walked_alike(client: AsyncOpenAI, emulator: Emulator) -> None:
    beta = client.beta
    made = [check_object(await beta.assistants.create(model="gpt-4o", name=f"Number {number}")) for number in range(5)]
    assistants = [assistant.id for assistant in made]
    assert await ids_by_page(await beta.assistants.list(order="asc", limit=2)) == in_pages(assistants, 2)
    assert await ids_by_page(await beta.assistants.list(limit=2)) == in_pages(assistants[::-1], 2)

    thread_id, _ = await made_messages(client, emulator, 1)
    runs = []
    for assistant in made:
        run = await beta.threads.runs.create(thread_id, assistant_id=assistant.id, tools=[{"type": "code_interpreter"}])
        runs.append(check_object(run).id)
        emulator.clock.advance(60)
    assert await ids_by_page(await beta.threads.runs.list(thread_id, order="asc", limit=2)) == in_pages(runs, 2)
    assert await ids_by_page(await beta.threads.runs.list(thread_id, limit=3)) == in_pages(runs[::-1], 3)

    async def steps(order: Literal["asc", "desc"]) -> list[list[str]]:
        return await ids_by_page(await beta.threads.runs.steps.list(runs[0], thread_id=thread_id, order=order, limit=1))

    forwards = await steps("asc")
    assert [len(page) for page in forwards] == [1, 1]
    assert await steps("desc") == forwards[::-1]


Attempt = Callable[[AsyncOpenAI], Awaitable[object]]


@pytest.mark.parametrize(
    ("attempt", "kind", "code", "param", "message"),
    [
        (
            lambda client: client.beta.threads.retrieve(f"thread_{ABSENT}"),
            openai.NotFoundError,
            None,
            None,
            f"No thread found with id 'thread_{ABSENT}'.",
        ),
        (
            lambda client: client.beta.threads.runs.steps.list(f"run_{ABSENT}", thread_id=f"thread_{ABSENT}"),
            openai.NotFoundError,
            None,
            None,
            f"No thread found with id 'thread_{ABSENT}'.",
        ),
        (
            lambda client: client.beta.threads.create_and_run(assistant_id=f"asst_{ABSENT}"),
            openai.NotFoundError,
            None,
            None,
            f"No assistant found with id 'asst_{ABSENT}'.",
        ),
        (
            lambda client: client.beta.threads.retrieve("1234"),
            openai.BadRequestError,
            "invalid_value",
            "thread_id",
            "Invalid 'thread_id': '1234'. Expected an ID that begins with 'thread'.",
        ),
        (
            lambda client: client.beta.assistants.list(limit=101),
            openai.BadRequestError,
            "integer_above_max_value",
            "limit",
            "Invalid 'limit': integer above maximum value. Expected a value <= 100, but got 101 instead.",
        ),
        (
            lambda client: client.beta.threads.create(metadata={"key": "v" * 600}),
            openai.BadRequestError,
            "string_above_max_length",
            "metadata.key",
            (
                "Invalid 'metadata.key': string too long. Expected a string with maximum length 512, "
                "but got a string with length 600 instead."
            ),
        ),
        (
            lambda client: client.beta.threads.create(extra_headers={"OpenAI-Beta": Omit()}),
            openai.BadRequestError,
            "invalid_beta",
            None,
            (
                "You must provide the 'OpenAI-Beta' header to access the Assistants API. Please try again by "
                "setting the header 'OpenAI-Beta: assistants=v2'."
            ),
        ),
        (
            lambda client: client.with_options(api_key="sk-invalid-key").beta.threads.create(),
            openai.AuthenticationError,
            "invalid_api_key",
            None,
            (
                "Incorrect API key provided: sk-..., You can find your API key at "
                "https://platform.openai.com/account/api-keys."
            ),
        ),
    ],
    ids=["no thread", "no run's thread", "no assistant", "prefix", "limit", "metadata", "no version", "key"],
)
async def test_a_refusal_is_raised_as_the_sdks_own_error(
    client: AsyncOpenAI,
    attempt: Attempt,
    kind: type[openai.APIStatusError],
    code: str | None,
    param: str | None,
    message: str,
) -> None:
    with pytest.raises(kind) as raised:
        await attempt(client)
    error = raised.value
    assert type(error) is kind
    assert error.body == {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    assert (error.code, error.param, error.type) == (code, param, "invalid_request_error")
    assert error.request_id is not None
    assert error.request_id.startswith("req_")
