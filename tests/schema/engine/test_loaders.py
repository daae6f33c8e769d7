import asyncio
import gc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import AssistantKey, MessageKey, RunKey, RunStepKey
from schema.contract.kinds import (
    ASSISTANTS,
    MESSAGES,
    RUN_STEPS,
    RUNS,
    THREADS,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
)
from schema.contract.paging import Window
from schema.contract.ports import Results
from schema.contract.wire import Page
from schema.engine.batches import BatchRunner
from schema.engine.loaders import Loaders, PortLoader, longest_page_keys
from tests.schema.builders import THREAD, GatedThreadsApi, conversation, run_ready_tasks
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.full_runs import examples
from tests.support.wire_samples import thread


class Echo:
    """A port function that returns each key in upper case and an error for `bad`, once its gate is open."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.cancelled = 0

    async def __call__(self, keys: Sequence[str]) -> Results[str]:
        self.batches.append(list(keys))
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return [_not_found(key) if key == "bad" else key.upper() for key in keys]


def _not_found(key: str) -> GatewayError:
    return GatewayError(ErrorCode.NOT_FOUND, f"no {key}")


def make_loader(fetch: Echo, deadline_seconds: float = 60) -> tuple[PortLoader[str, str], BatchRunner]:
    batches = BatchRunner(deadline_seconds)
    return PortLoader(fetch, batches), batches


async def test_loads_of_one_tick_are_one_batch_with_each_key_once() -> None:
    echo = Echo()
    loader, _ = make_loader(echo)
    assert await asyncio.gather(*map(loader.load, ["a", "b", "a", "c"])) == ["A", "B", "A", "C"]
    assert echo.batches == [["a", "b", "c"]]


async def test_an_error_affects_only_its_own_key() -> None:
    echo = Echo()
    loader, _ = make_loader(echo)
    a, bad, b = await asyncio.gather(*map(loader.load, ["a", "bad", "b"]), return_exceptions=True)
    assert (a, b) == ("A", "B")
    assert isinstance(bad, GatewayError)


async def test_values_and_errors_are_memoised() -> None:
    echo = Echo()
    loader, _ = make_loader(echo)
    for _ in range(2):
        assert await loader.load("a") == "A"
        with pytest.raises(GatewayError, match="no bad"):
            await loader.load("bad")
    assert echo.batches == [["a"], ["bad"]]


async def test_a_primed_value_is_not_loaded_and_replaces_no_other() -> None:
    echo = Echo()
    loader, _ = make_loader(echo)
    loader.prime("a", "primed")
    loader.prime("a", "too late")
    assert await loader.load("a") == "primed"
    assert echo.batches == []


async def test_peek_returns_only_loaded_values() -> None:
    echo = Echo()
    echo.gate.clear()
    loader, _ = make_loader(echo)
    assert loader.peek("a") is None
    loader.start_load("a")
    loader.start_load("bad")
    await run_ready_tasks()
    assert loader.peek("a") is None
    echo.gate.set()
    await run_ready_tasks()
    assert (loader.peek("a"), loader.peek("bad")) == ("A", None)


async def test_a_started_load_is_shared_with_later_callers() -> None:
    echo = Echo()
    loader, _ = make_loader(echo)
    loader.start_load("a")
    await run_ready_tasks()
    assert await loader.load("a") == "A"
    assert echo.batches == [["a"]]


async def test_the_failure_of_a_load_without_waiters_logs_no_warning() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    loader, _ = make_loader(Echo())
    loader.start_load("bad")
    await run_ready_tasks()
    del loader
    gc.collect()
    await run_ready_tasks()
    assert reported == []


async def test_a_load_that_fails_after_its_waiters_were_cancelled_logs_no_warning() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    echo = Echo()
    echo.gate.clear()
    loader, batches = make_loader(echo)
    waiting = [asyncio.ensure_future(loader.load(key)) for key in ("a", "bad")]
    await run_ready_tasks()
    for future in waiting:
        future.cancel()
    await run_ready_tasks()
    await batches.aclose()
    await run_ready_tasks()
    del loader, waiting, future
    gc.collect()
    await run_ready_tasks()
    assert reported == []


async def test_cancelling_one_waiter_does_not_cancel_the_others() -> None:
    echo = Echo()
    echo.gate.clear()
    loader, _ = make_loader(echo)
    impatient, patient = (asyncio.ensure_future(loader.load("a")) for _ in range(2))
    await run_ready_tasks()
    impatient.cancel()
    await run_ready_tasks()
    echo.gate.set()
    assert await patient == "A"
    assert impatient.cancelled()
    assert (echo.batches, echo.cancelled) == ([["a"]], 0)


async def test_a_batch_that_misses_its_deadline_is_a_timeout_for_each_key() -> None:
    echo = Echo()
    echo.gate.clear()
    loader, _ = make_loader(echo, deadline_seconds=0)
    failures = await asyncio.gather(loader.load("a"), loader.load("b"), return_exceptions=True)
    assert [failure.extensions for failure in failures if isinstance(failure, GatewayError)] == [
        {"code": "UPSTREAM_TIMEOUT", "retryable": True}
    ] * 2
    assert echo.cancelled == 1


async def test_a_batch_that_raises_fails_each_key() -> None:
    async def broken(keys: Sequence[str]) -> Results[str]:
        raise LookupError("broken")

    loader: PortLoader[str, str] = PortLoader(broken, BatchRunner(60))
    failures = await asyncio.gather(loader.load("a"), loader.load("b"), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["broken", "broken"]


async def test_closing_ends_loads_in_flight_and_their_waiters() -> None:
    echo = Echo()
    echo.gate.clear()
    loader, batches = make_loader(echo)
    waiting = asyncio.ensure_future(loader.load("a"))
    loader.start_load("b")
    await run_ready_tasks()
    await batches.aclose()
    with pytest.raises(GatewayError, match="ended before this was loaded"):
        await waiting
    assert echo.cancelled == 1


async def test_nothing_is_fetched_after_closing() -> None:
    echo = Echo()
    loader, batches = make_loader(echo)
    queued = asyncio.ensure_future(loader.load("a"))
    await batches.aclose()
    with pytest.raises(GatewayError, match="ended before this was loaded"):
        await queued
    with pytest.raises(GatewayError, match="ended before this was loaded"):
        await loader.load("b")
    await batches.aclose()
    assert echo.batches == []


async def test_the_loaders_of_one_operation_end_together() -> None:
    api = GatedThreadsApi(conversation())
    loaders = Loaders(api)
    loaders.objects(THREADS).start_load(THREAD)
    loaders.pages(RUNS).start_load(RunPageKey("thread_1", Window(1, "asc")))
    await run_ready_tasks()
    assert len(api.calls) == 2
    await loaders.aclose()
    for waiting in (loaders.objects(THREADS).load(THREAD), loaders.objects(RUNS).load(RunKey("thread_1", "run_1"))):
        with pytest.raises(GatewayError, match="ended before this was loaded"):
            await waiting


def message_page(limit: int, after: str | None = None) -> MessagePageKey:
    return MessagePageKey("thread_1", None, Window(limit, "asc", after))


async def test_pages_from_one_position_are_one_call_for_the_longest() -> None:
    api = conversation(messages=5)
    loaders = Loaders(api)
    pages = await asyncio.gather(*(loaders.pages(MESSAGES).load(message_page(limit)) for limit in (2, 5, 4)))
    assert [[item.id[-1] for item in page.data] for page in pages] == [list("12"), list("12345"), list("1234")]
    assert [page.has_more for page in pages] == [True, False, True]
    assert api.calls == [("list_messages", (message_page(5),))]


async def test_a_page_cut_from_a_failed_page_fails_too() -> None:
    api = conversation()
    api.fail[message_page(5)] = _not_found("page")
    loaders = Loaders(api)
    failures = await asyncio.gather(
        *(loaders.pages(MESSAGES).load(message_page(limit)) for limit in (2, 5)), return_exceptions=True
    )
    assert [str(failure) for failure in failures] == ["no page", "no page"]


async def test_a_page_is_cut_to_its_limit_if_the_upstream_returns_more() -> None:
    class Generous(FakeThreadsApi):
        async def list(self, kind: Any, keys: Sequence[Any], *, on_result: Any = None) -> Any:
            return await super().list(kind, [key._replace(window=Window(100, "asc")) for key in keys])

    api = Generous(threads={THREAD: thread()}, messages=conversation(messages=5).messages)
    page = await Loaders(api).pages(MESSAGES).load(message_page(2))
    assert ([item.id for item in page.data], page.has_more) == (["msg_1", "msg_2"], True)


async def test_a_page_primes_the_loader_of_its_objects() -> None:
    api = conversation()
    loaders = Loaders(api)
    await loaders.pages(MESSAGES).load(message_page(2))
    await loaders.pages(RUN_STEPS).load(RunStepPageKey("thread_1", "run_1", Window(5, "desc")))
    assert loaders.objects(MESSAGES).peek(MessageKey("thread_1", "msg_2")) is not None
    assert loaders.objects(MESSAGES).peek(MessageKey("thread_1", "msg_3")) is None
    assert (await loaders.objects(RUN_STEPS).load(RunStepKey("thread_1", "run_1", "step_1"))).id == "step_1"
    assert [name for name, _ in api.calls] == ["list_messages", "list_run_steps"]


async def test_keys_of_different_types_with_equal_parts_do_not_mix() -> None:
    api = conversation()
    api.assistants[AssistantKey("thread_1")] = next(iter(api.assistants.values()))
    loaders = Loaders(api)
    found_thread, found_assistant = await asyncio.gather(
        loaders.objects(THREADS).load(THREAD), loaders.objects(ASSISTANTS).load(AssistantKey("thread_1"))
    )
    assert (found_thread.id, found_assistant.id) == ("thread_1", "asst_1")


async def test_a_page_does_not_replace_a_loaded_object() -> None:
    loaders = Loaders(conversation())
    key = MessageKey("thread_1", "msg_1")
    first = await loaders.objects(MESSAGES).load(key)
    second = first.__class__(id="msg_1", created_at=9)
    for page in (Page(data=[second]), Page(data=[first])):
        loaders.objects(MESSAGES).prime_page(("thread_1",), page)
    assert loaders.objects(MESSAGES).peek(key) is first
    other = Loaders(conversation()).objects(MESSAGES)
    for page in (Page(data=[second]), Page(data=[first])):
        other.prime_page(("thread_1",), page)
        assert other.peek(key) is second
    assert await other.load(key) is second


page_keys = st.builds(
    MessagePageKey,
    st.sampled_from(["t1", "t2"]),
    st.sampled_from([None, "r"]),
    st.builds(Window, st.integers(1, 5), st.sampled_from(["asc", "desc"]), st.sampled_from([None, "m"])),
)


@given(st.lists(page_keys, max_size=12))
@examples(200)
def test_each_page_is_cut_from_the_longest_one_at_its_position(keys: list[MessagePageKey]) -> None:
    def without_limit(key: MessagePageKey) -> MessagePageKey:
        return key._replace(window=key.window._replace(limit=0))

    sources = longest_page_keys(keys)
    assert len(sources) == len(keys)
    for key, source in zip(keys, sources, strict=True):
        assert source in keys
        assert without_limit(source) == without_limit(key)
        assert source.window.limit == max(
            other.window.limit for other in keys if without_limit(other) == without_limit(key)
        )
