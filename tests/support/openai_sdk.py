"""The official SDK against the emulator, and what it parsed held against its own models.

The SDK does the latter not itself: it takes whatever came.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import openai
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.pagination import AsyncCursorPage
from pydantic import ValidationError

from tests.support.emulator import KEY, Emulator

ModelT = TypeVar("ModelT", bound=openai.BaseModel)

# The SDK marks all of this API so, in two ways.
ignores_its_deprecation = pytest.mark.filterwarnings(
    "ignore:The Assistants API is deprecated:DeprecationWarning", "ignore:deprecated$:DeprecationWarning"
)

# What the real service does too, though its specification, and so the SDK's models, say otherwise.
KNOWN_FAULTS = {
    # A message read over REST has no status; inside events it has one. Source: recorded traffic of both.
    "Message.status: missing",
    # A run without instructions shows null. Source: recorded traffic.
    "Run.instructions: string_type",
    # The list of error codes is open. Source: `tool_user_error`, in a test of Azure's SDK that quotes a real run.
    "Run.last_error.code: literal_error",
    "RunStep.last_error.code: literal_error",
}


@asynccontextmanager
async def openai_client(emulator: Emulator, *, key: str = KEY) -> AsyncIterator[AsyncOpenAI]:
    """The SDK without retries, and without any proxy that the environment names."""
    http_client = DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(api_key=key, base_url=emulator.url, max_retries=0, http_client=http_client) as client:
        yield client


def check_object(model: ModelT) -> ModelT:
    """The object itself; fails the test where it lacks a required field or one is of another type."""
    unknown = model_mismatches(model) - KNOWN_FAULTS
    assert unknown == set(), f"{sorted(unknown)} in {model.to_dict()}"
    return model


def check_page(page: AsyncCursorPage[ModelT]) -> list[ModelT]:
    """The objects of a page, each checked; fails the test where the page misnames its first or last."""
    sent: Mapping[str, Any] = page.to_dict()
    ids = [item["id"] for item in sent["data"]]
    ends = (ids[0], ids[-1]) if ids else (None, None)
    assert (sent["object"], sent["first_id"], sent["last_id"]) == ("list", *ends)
    assert isinstance(sent["has_more"], bool)
    return [check_object(item) for item in page.data]


def model_mismatches(model: openai.BaseModel) -> set[str]:
    """In what an object differs from its model: class, field and kind of fault."""
    kind = type(model)
    try:
        kind.model_validate(model.to_dict())
    except ValidationError as error:
        return {
            f"{kind.__name__}.{'.'.join(part for part in fault['loc'] if isinstance(part, str))}: {fault['type']}"
            for fault in error.errors()
        }
    return set()
