"""A response above the limit is given up while it is executed, whoever executes it, and none of it is sent."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.cost import ExecutionBounds
from schema.contract.keys import MessageKey, ThreadKey
from schema.contract.run_events import SnapshotChange
from schema.engine.answer_size import AnswerSize, AnswerTooLargeError, leaf_bytes, object_bytes
from schema.engine.context import Context
from tests.schema.builders import SCHEMA, conversation
from tests.schema.subscription_helpers import RUN, begin_subscription
from tests.support.fake_run_events import FakeRunEvents, run_event
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import message, run, thread

ALIASES = " ".join(f"t{number}: text" for number in range(80))
METADATA = " ".join(f"m{number}: metadata" for number in range(80))
THREAD = '{ thread(id: "thread_1") { %s } }'
PAGE = THREAD % f"messages(first: 100) {{ nodes {{ id {ALIASES} }} }}"


def long_texts(text: str, *, messages: int = 3) -> FakeThreadsApi:
    """Make `thread_1` with messages of the same text."""
    content = [{"type": "text", "text": {"value": text, "annotations": []}}]
    return FakeThreadsApi(
        threads={ThreadKey("thread_1"): thread(metadata={"long": text})},
        messages={
            MessageKey("thread_1", f"msg_{number}"): message(f"msg_{number}", created_at=number, content=content)
            for number in range(messages)
        },
    )


async def execute_within(max_bytes: int, api: Any, document: str) -> Any:
    context = Context(api, bounds=ExecutionBounds(max_answer_bytes=max_bytes))
    try:
        return await SCHEMA.execute(document, context_value=context), context.answer_size.byte_count
    finally:
        await context.aclose()


def assert_too_large(result: Any, max_bytes: int) -> None:
    (error,) = result.errors
    assert (result.data, error.path) == (None, None)
    assert f"expected at most {max_bytes} bytes" in error.message
    assert error.extensions == {"code": "ANSWER_TOO_LARGE", "retryable": False}


@pytest.mark.parametrize(
    "document",
    [
        PAGE,
        THREAD % f"messages {{ edges {{ node {{ content {{ ... on TextContent {{ {ALIASES} }} }} }} }} }}",
        THREAD % METADATA,
        # graphql-core executes an operation with a field that fails.
        THREAD % f"messages(first: 0) {{ nodes {{ id }} }} m: messages {{ nodes {{ {ALIASES} }} }}",
    ],
)
@pytest.mark.parametrize("text", ["x" * 1_000, "\u0436" * 500, "\U0001f600" * 250])
async def test_a_long_text_under_many_aliases_is_refused(document: str, text: str) -> None:
    result, byte_count = await execute_within(50_000, long_texts(text), document)
    assert_too_large(result, 50_000)
    assert byte_count < 50_000 + 2 * 80 * 1_100


async def test_work_ends_soon_after_the_limit() -> None:
    result, byte_count = await execute_within(10_000, long_texts("x" * 100, messages=100), PAGE)
    assert_too_large(result, 10_000)
    assert byte_count < 30_000


async def test_errors_of_fields_count() -> None:
    refused = " ".join(f"m{number}: messages(first: 0) {{ pageInfo {{ endCursor }} }}" for number in range(90))
    result, _ = await execute_within(10_000, long_texts("x"), THREAD % refused)
    assert_too_large(result, 10_000)


async def test_introspection_counts() -> None:
    result, _ = await execute_within(10_000, long_texts("x"), "{ __schema { types { name description } } }")
    assert_too_large(result, 10_000)


@pytest.mark.parametrize("text", ["x" * 300, "\u0436" * 300])
async def test_the_counted_bytes_are_about_those_of_the_response(text: str) -> None:
    for document in (PAGE, THREAD % "id metadata messages { nodes { role text createdAt } }"):
        result, byte_count = await execute_within(1 << 20, long_texts(text), document)
        assert result.errors is None
        assert 0.8 < byte_count / len(orjson.dumps(result.data)) < 1.2


async def test_a_response_may_have_exactly_the_limit() -> None:
    _, byte_count = await execute_within(1 << 20, conversation(), PAGE)
    for limit, refused in ((byte_count, False), (byte_count - 1, True)):
        result, _ = await execute_within(limit, conversation(), PAGE)
        assert bool(result.errors) is refused


async def test_a_failed_field_does_not_count_its_object_twice() -> None:
    document = THREAD % "messages(first: 0) { nodes { id } } m: messages { nodes { text } }"
    good = document.replace("messages(first: 0)", "messages(first: 1)")
    _, expected = await execute_within(1 << 20, long_texts("x" * 5_000), good)
    result, byte_count = await execute_within(1 << 20, long_texts("x" * 5_000), document)
    assert result.errors
    assert byte_count < expected + 1_000


async def test_an_event_is_held_to_the_limit() -> None:
    document = f'subscription {{ runEvents(runId: "{RUN}") {{ ... on RunSnapshot {{ messages {{ {ALIASES} }} }} }} }}'
    subscribed = await begin_subscription(FakeRunEvents(), document)
    api = long_texts("x" * 1_000)
    event = run_event(SnapshotChange(run(), [], list(api.messages.values())))
    for limit, code in ((1 << 20, None), (50_000, "ANSWER_TOO_LARGE")):
        context = Context(api, bounds=ExecutionBounds(max_answer_bytes=limit))
        response = await subscribed.render(event, context)
        await context.aclose()
        assert (response["data"] is None) is (code is not None)
        assert [error["extensions"]["code"] for error in response.get("errors", [])] == ([code] if code else [])


def test_a_size_is_exceeded_by_one_byte() -> None:
    size = AnswerSize(10)
    size.add(10)
    for _ in range(2):
        with pytest.raises(AnswerTooLargeError, match="at most 10 bytes"):
            size.add(1)


JSON = st.recursive(
    st.none() | st.booleans() | st.text(st.characters(codec="utf-8", exclude_characters='"\\\x7f', min_codepoint=32)),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "bc"]), inner),
)


@given(JSON)
def test_free_json_is_counted_about_as_long_as_it_is(value: Any) -> None:
    encoded = len(orjson.dumps(value))
    assert encoded / 8 - 4 <= leaf_bytes(value) <= 2 * encoded + 2


def test_an_object_counts_its_names_its_punctuation_and_one_byte_for_each_value() -> None:
    assert object_bytes({}) == len("{}")
    assert object_bytes({"a": 1}) == len('{"a":1}')
    assert object_bytes({"a": 1, "bc": 2}) == len('{"a":1,"bc":2}') - 1  # commas are not counted
