"""An operation is admitted before its first call, by the calls that are predicted and the runs that it starts."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from schema.contract.rate_limits import RateLimitedError
from schema.contract.run_events import FaultChange, LaggedChange, StatusChange
from schema.engine.context import Context
from tests.schema.builders import SCHEMA, conversation
from tests.schema.subscription_helpers import RUN, begin_subscription
from tests.support.fake_run_events import FakeRunEvents, run_event
from tests.support.fake_viewer_api import FakeViewerApi
from tests.support.wire_samples import run

TWO_CALLS = '{ thread(id: "thread_1") { metadata messages { nodes { text } } } }'
START = 'createThreadAndRun(input: {assistantId: "asst_1"}) { run { status } }'


@dataclass
class RecordingAdmission:
    """Admits all or nothing, and records what it was asked."""

    max_calls: int | None = 100
    max_runs: int | None = 3
    refuses: bool = False
    asked: list[tuple[int, int]] = field(default_factory=list)

    async def admit(self, *, calls: int, runs: int) -> None:
        self.asked.append((calls, runs))
        if self.refuses:
            raise RateLimitedError("This gateway lets a caller have 1.", retry_after_ms=5)


async def operate(admission: RecordingAdmission, document: str, viewer: FakeViewerApi | None = None) -> tuple[Any, int]:
    """Execute a document. Returns its result, and how many calls it made."""
    api = conversation()
    context = Context(api, viewer=viewer)
    context.admission = admission
    try:
        return await SCHEMA.execute(document, context_value=context), len(api.calls)
    finally:
        await context.aclose()


@pytest.mark.parametrize(
    ("document", "asked"),
    [
        ("{ __typename }", (0, 0)),
        (TWO_CALLS, (2, 0)),
        (f"mutation {{ a: {START} ...F }} fragment F on Mutation {{ b: {START} }}", (2, 2)),
        (f"mutation {{ a: {START} ... @skip(if: true) {{ b: {START} }} }}", (1, 1)),
        ('mutation { deleteThread(input: {threadId: "thread_1"}) { deletedId } }', (1, 0)),
    ],
)
async def test_it_is_asked_once_with_the_predicted_calls_and_runs(document: str, asked: tuple[int, int]) -> None:
    admission = RecordingAdmission()
    result, calls = await operate(admission, document)
    assert result.errors is None
    assert admission.asked == [asked]
    assert calls <= asked[0]


async def test_a_refusal_is_raised_before_any_call() -> None:
    admission = RecordingAdmission(refuses=True)
    with pytest.raises(RateLimitedError):
        await operate(admission, TWO_CALLS)
    assert admission.asked == [(2, 0)]


@pytest.mark.parametrize(
    ("document", "extensions"),
    [
        (TWO_CALLS, {"predictedCalls": 2, "limit": 1}),
        (f"mutation {{ a: {START} b: {START} }}", {"predictedCalls": 2, "limit": 1}),
    ],
)
async def test_more_than_a_whole_limit_is_too_expensive(document: str, extensions: dict[str, int]) -> None:
    admission = RecordingAdmission(max_calls=1)
    result, calls = await operate(admission, document)
    (error,) = result.errors
    assert error.extensions == {"code": "TOO_EXPENSIVE", "retryable": False, **extensions}
    assert (calls, admission.asked) == (0, [])


async def test_without_a_limit_of_calls_none_are_predicted_and_runs_still_are() -> None:
    admission = RecordingAdmission(max_calls=None, max_runs=1)
    result, _ = await operate(admission, TWO_CALLS)
    assert (result.errors, admission.asked) == (None, [(0, 0)])
    result, calls = await operate(admission, f"mutation {{ a: {START} b: {START} }}")
    (error,) = result.errors
    assert error.message == "The operation starts 2 runs; expected at most 1. Start them one after the other."
    assert calls == 0


@pytest.mark.parametrize(
    ("document", "calls"),
    [
        ("{ viewer { id subject rateLimit { callsLimit } } }", 0),
        ("{ viewer { usage { totalTokens } } }", 1),
        ("{ viewer { waitingRuns { nodes { id } } } }", 1),
        ("{ viewer { ...F } } fragment F on Viewer { threads(first: 3) { edges { node { title } } } }", 11),
        ('{ thread(id: "thread_1") { createdAt ... on Node { ... on Thread { usage { totalTokens } } } } }', 2),
        ('{ thread(id: "thread_1") { createdAt runs(first: 1) { nodes { usage { totalTokens } } } } }', 2),
        ('mutation { updateThread(input: {threadId: "thread_1", title: "x"}) { userErrors { code } } }', 2),
    ],
)
async def test_what_the_viewer_asks_first_is_predicted_where_records_are_read(document: str, calls: int) -> None:
    plain, asking = RecordingAdmission(), RecordingAdmission()
    for admission, viewer in ((plain, FakeViewerApi()), (asking, FakeViewerApi(own_calls=1, list_calls=10))):
        for _ in range(2):  # the second time from what is known of the document
            await operate(admission, document, viewer)
    assert asking.asked == [(calls, 0)] * 2
    assert plain.asked[0] == plain.asked[1] <= asking.asked[0]


async def test_what_the_viewer_asks_first_is_predicted_for_events_too() -> None:
    shown = "... on RunStatusChange { run { thread { title } } }"
    document = f'subscription {{ runEvents(runId: "{RUN}") {{ {shown} }} }}'
    started = await begin_subscription(FakeRunEvents(), document)
    for own_calls in (0, 1):
        context = Context(conversation(), viewer=FakeViewerApi(own_calls=own_calls))
        assert started.predict_calls(run_event(StatusChange(run())), context) == own_calls
        await context.aclose()


async def test_a_faulty_document_is_not_asked_for() -> None:
    admission = RecordingAdmission()
    result, _ = await operate(admission, "{ nonsense }")
    assert result.errors
    assert admission.asked == []


async def test_the_calls_of_an_event_are_those_of_its_type() -> None:
    document = f"""
        subscription {{
          runEvents(runId: "{RUN}") {{
            __typename
            ... on RunStatusChange {{ run {{ thread {{ metadata messages(first: 2) {{ nodes {{ id }} }} }} }} }}
          }}
        }}"""
    started = await begin_subscription(FakeRunEvents(), document)
    assert started.predict_calls(run_event(StatusChange(run()))) == 2
    assert started.predict_calls(run_event(LaggedChange(skipped=1))) == 0
    assert started.predict_calls(run_event(FaultChange("INTERNAL", "x", final=False))) == 0
    free = await begin_subscription(FakeRunEvents(), f'subscription {{ runStatus(runId: "{RUN}") {{ status }} }}')
    assert free.predict_calls(run_event(StatusChange(run()))) == 0
