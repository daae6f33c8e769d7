"""The official SDK against the emulator, and a check of its parsed objects against its own models.

The SDK does not check that itself: it accepts any response.
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

# The SDK marks this whole API as deprecated, in two ways.
ignores_its_deprecation = pytest.mark.filterwarnings(
    "ignore:The Assistants API is deprecated:DeprecationWarning", "ignore:deprecated$:DeprecationWarning"
)

# The real service does this too, although its specification, and so the SDK's models, differ.
KNOWN_FAULTS = {
    # A message read over REST has no status; inside events it has one. Source: recorded traffic of
    # https://api.openai.com/v1.
    "Message.status: missing",
    # A run without instructions has null there. Source: recorded traffic of https://api.openai.com/v1.
    "Run.instructions: string_type",
    # The list of error codes is open. Source: `tool_user_error` in a test of
    # https://github.com/Azure/azure-sdk-for-python that quotes a real run.
    "Run.last_error.code: literal_error",
    "RunStep.last_error.code: literal_error",
}


@asynccontextmanager
async def openai_client(emulator: Emulator, *, key: str = KEY) -> AsyncIterator[AsyncOpenAI]:
    """Open the SDK without retries and without any proxy of the environment."""
    http_client = DefaultAsyncHttpxClient(trust_env=False)
    async with AsyncOpenAI(api_key=key, base_url=emulator.url, max_retries=0, http_client=http_client) as client:
        yield client


@pytest.fixture
async def client(emulator: Emulator) -> AsyncIterator[AsyncOpenAI]:
    """The SDK at the `emulator` of the module that imports this."""
    async with openai_client(emulator) as client:
        yield client


def check_object(model: ModelT) -> ModelT:
    """Return the object. Fails the test if a required field is missing or a field has another type."""
    unknown = model_mismatches(model) - KNOWN_FAULTS
    assert unknown == set(), f"{sorted(unknown)} in {model.to_dict()}"
    return model


def check_page(page: AsyncCursorPage[ModelT]) -> list[ModelT]:
    """Check and return the objects of a page. Fails the test if the page's first or last id is wrong."""
    sent: Mapping[str, Any] = page.to_dict()
    ids = [item["id"] for item in sent["data"]]
    ends = (ids[0], ids[-1]) if ids else (None, None)
    assert (sent["object"], sent["first_id"], sent["last_id"]) == ("list", *ends)
    assert isinstance(sent["has_more"], bool)
    return [check_object(item) for item in page.data]


def model_mismatches(model: openai.BaseModel) -> set[str]:
    """Return the differences between an object and its model: class, field and kind of difference."""
    kind = type(model)
    try:
        kind.model_validate(model.to_dict())
    except ValidationError as error:
        return {
            f"{kind.__name__}.{'.'.join(part for part in fault['loc'] if isinstance(part, str))}: {fault['type']}"
            for fault in error.errors()
        }
    return set()
