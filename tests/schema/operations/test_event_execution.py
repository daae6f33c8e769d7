"""An event is executed like any operation, with its own loaders and masked errors, independent of the subscriber."""

import gc
import logging
import weakref
from typing import Any

import orjson
import pytest
from graphql.execution import Executor

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import RunKey, ThreadKey, to_global_id
from schema.contract.run_events import SnapshotChange, StatusChange
from schema.engine.context import Context
from tests.schema.builders import SCHEMA, conversation
from tests.schema.subscription_helpers import RUN, THREAD_KEY, begin_subscription, render_event
from tests.support.fake_run_events import FakeRunEvents, run_event
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.wire_samples import run, thread

EVENT = run_event(StatusChange(run()))
METADATA = f'subscription {{ runStatus(runId: "{RUN}") {{ status run {{ thread {{ metadata }} }} }} }}'


class BrokenThreadsApi(FakeThreadsApi):
    async def get(self, kind: object, keys: Any) -> Any:
        raise RuntimeError("broken with a secret")


async def test_each_event_loads_its_data_anew() -> None:
    subscribed, api = await begin_subscription(FakeRunEvents(), METADATA), conversation()
    for topic in ("tea", "coffee"):
        api.threads[THREAD_KEY] = thread(metadata={"topic": topic})
        answer = await render_event(subscribed, EVENT, api)
        assert answer == {
            "data": {"runStatus": {"status": "COMPLETED", "run": {"thread": {"metadata": {"topic": topic}}}}}
        }


async def test_an_error_of_a_field_is_returned_with_the_data_and_its_path() -> None:
    api = conversation()
    api.fail[THREAD_KEY] = GatewayError(ErrorCode.RATE_LIMITED, "Slow down.", retry_after_ms=500)
    answer = await render_event(await begin_subscription(FakeRunEvents(), METADATA), EVENT, api)
    (error,) = answer["errors"]
    assert answer["data"] == {"runStatus": {"status": "COMPLETED", "run": {"thread": None}}}
    assert (error["message"], error["path"]) == ("Slow down.", ["runStatus", "run", "thread"])
    assert error["extensions"] == {"code": "RATE_LIMITED", "retryable": True, "retryAfterMs": 500}
    assert error["locations"]


async def test_an_unexpected_error_is_masked_and_logged_under_its_id(caplog: pytest.LogCaptureFixture) -> None:
    answer = await render_event(await begin_subscription(FakeRunEvents(), METADATA), EVENT, BrokenThreadsApi())
    (error,) = answer["errors"]
    assert "secret" not in str(answer)
    assert error["extensions"]["code"] == "INTERNAL"
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert error["extensions"]["errorId"] in record.message


async def test_an_event_that_cannot_be_converted_is_an_error_result(caplog: pytest.LogCaptureFixture) -> None:
    subscribed = await begin_subscription(
        FakeRunEvents(), 'subscription { threadEvents(threadId: "thread_1") { __typename } }'
    )
    answer = await render_event(subscribed, run_event(SnapshotChange(run(), [], [])))
    assert answer["data"] is None
    assert [error["extensions"]["code"] for error in answer["errors"]] == ["INTERNAL"]
    assert len(caplog.records) == 1


async def test_a_result_reports_stale_answers_and_on_request_its_cost() -> None:
    subscribed, api = await begin_subscription(FakeRunEvents(), METADATA), conversation()
    api.cost.stale_answers = 1
    context = Context(api, reports_cost=True)
    answer = await subscribed.render(EVENT, context)
    await context.aclose()
    assert answer["extensions"]["staleAnswers"] == 1
    assert (answer["extensions"]["cost"]["upstreamCalls"], answer["extensions"]["cost"]["predictedCalls"]) == (1, 1)


async def test_renderings_leave_no_loaders_in_memory() -> None:
    subscribed, api = await begin_subscription(FakeRunEvents(), METADATA), conversation()
    contexts = []
    for _ in range(3):
        context = Context(api)
        await subscribed.render(EVENT, context)
        await context.aclose()
        contexts.append(weakref.ref(context.loaders))
        del context
    gc.collect()
    assert [reference() for reference in contexts] == [None] * 3


async def test_a_selection_holds_nothing_of_its_first_subscriber() -> None:
    api = FakeThreadsApi(threads={ThreadKey("mine"): conversation().threads[THREAD_KEY]})
    mine = weakref.ref(api)
    subscribed = await begin_subscription(FakeRunEvents(), METADATA, api=api)
    del api
    gc.collect()
    assert mine() is None
    assert (await render_event(subscribed, EVENT, conversation()))["data"]["runStatus"]["status"] == "COMPLETED"


async def test_every_event_is_executed_by_the_plans_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[object] = []
    kind: Any = SCHEMA.execution_context_class
    execute_operation = kind.execute_operation

    def recorded(executor: Any, **options: Any) -> Any:
        used.append(executor.plans)
        return execute_operation(executor, **options)

    monkeypatch.setattr(kind, "execute_operation", recorded)
    subscribed = await begin_subscription(FakeRunEvents(), METADATA)
    for _ in range(2):
        await render_event(subscribed, EVENT, conversation())
    assert used == [SCHEMA.documents.parse(METADATA).plans] * 2


async def test_a_selection_is_dropped_with_its_last_subscriber() -> None:
    events = FakeRunEvents()
    document = METADATA.replace("status", "unique: status")
    subscribers = [await begin_subscription(events, document) for _ in range(3)]
    key = subscribers[0].selection_key
    del subscribers[1:]
    gc.collect()
    assert key in SCHEMA.event_selections
    subscribers.clear()
    gc.collect()
    assert key not in SCHEMA.event_selections


async def test_selections_that_differ_in_their_variables_hold_one_text_and_no_executor() -> None:
    text = b'"subscription Small($id: ID!) { runStatus(runId: $id) { status } }"'
    events, ids = FakeRunEvents(), [to_global_id(RunKey("thread_1", run_id)) for run_id in ("run_1", "run_2")]
    first, second = [await begin_subscription(events, orjson.loads(text), {"id": id_}) for id_ in ids]
    assert first.selection_key != second.selection_key
    assert first.selection_key.text is second.selection_key.text
    gc.collect()
    executors = [part for part in gc.get_objects() if isinstance(part, Executor)]
    assert [part for part in executors if part.operation.name and part.operation.name.value == "Small"] == []
