from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.emulator.clock import ManualClock
from gateway.emulator.objects import FileCitation, TextPart, Thread
from gateway.emulator.runs.lifecycle import cancellation_events
from gateway.emulator.runs.progress import Progress
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import Action, CallFunctions, Hang, RunCode, Script, WriteMessage
from gateway.emulator.state.run_timelines import apply_due_events, load_progress, replace_pending_events, start_run
from gateway.emulator.state.store import Store
from gateway.emulator.streams.open_streams import OpenStreams, PartitionedThreadKey
from gateway.emulator.streams.stream_events import RunStream, StreamReply, opening_events
from tests.gateway.emulator.api_client import START, CountingIds, StreamReader, a_run, event_names
from tests.support.full_runs import examples

THREAD = PartitionedThreadKey("mine", "thread_1")
CITED = TextPart(
    value="A heron【0】 is a bird. " * 3,
    annotations=(FileCitation(text="【0】", start_index=7, end_index=10, file_id="file-1"),),
)
WRITES = (WriteMessage((CITED,)),)


class Setup:
    """A store with one run, and the streams that are open on it."""

    def __init__(self, *actions: Action) -> None:
        self.store, self.clock = Store(":memory:"), ManualClock(START)
        self.streams = OpenStreams(self.store, self.clock)
        self.store.threads.add("mine", Thread(id="thread_1", created_at=START))
        start_run(self.store, "mine", a_run(), timeline_from_script(Script(actions), START, CountingIds()))
        self.readers: list[StreamReader] = []

    def open_stream(self) -> StreamReader:
        streamed = StreamReply(opening_events(a_run(), "v2"), Progress(a_run(), {}, {}), 0, RunStream("v2"))
        reader = StreamReader(self.streams.frames("mine", streamed))
        self.readers.append(reader)
        return reader

    def cancel(self) -> None:
        apply_due_events(self.store, "mine", "thread_1", self.clock.now())
        run = self.store.runs.get("mine", "run_1")
        assert run is not None
        progress, now = load_progress(self.store, "mine", run), self.clock.now()
        replace_pending_events(self.store, "mine", progress, cancellation_events(progress, now), now)
        self.streams.wake_streams(THREAD)

    async def close(self) -> None:
        for reader in self.readers:
            await reader.close()
        self.store.close()


@pytest.fixture
async def make_setup() -> AsyncIterator[Callable[..., Setup]]:
    made: list[Setup] = []

    def make(*actions: Action) -> Setup:
        made.append(Setup(*(actions or WRITES)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_each_event_is_sent_when_it_is_due_and_not_before(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup()
    reader = setup.open_stream()
    assert event_names(await reader.settle()) == ["run.created", "run.queued"]
    setup.clock.advance(0.999)
    assert len(await reader.settle()) == 2
    setup.clock.advance(0.001)
    assert event_names(await reader.settle())[2:] == ["run.in_progress"]
    setup.clock.advance(0.4)
    started = ["run.step.created", "run.step.in_progress", "message.created", "message.in_progress"]
    assert event_names(await reader.settle())[3:] == started
    for pieces in (1, 2, 3):
        setup.clock.advance(0.0401)
        assert len(await reader.settle()) == 7 + pieces
    setup.clock.advance(5)
    ended = ["message.completed", "run.step.completed", "run.completed", "done"]
    assert event_names(await reader.settle())[-4:] == ended
    assert reader.is_over


async def frames_after(actions: tuple[Action, ...], steps: list[float]) -> bytes:
    setup = Setup(*actions)
    reader = setup.open_stream()
    await reader.settle()
    for seconds in [*steps, 700.0]:
        setup.clock.advance(seconds)
        await reader.settle()
    assert reader.is_over
    assert len(setup.streams) == 0
    await setup.close()
    return b"".join(reader.frames)


@examples(25)
@given(
    st.sampled_from(
        [WRITES, (CallFunctions((("f", '{"a":1}'), ("g", "{}"))),), (RunCode("1 + 1", ()), *WRITES), (Hang(),)]
    ),
    st.lists(st.floats(0.0, 1.5), max_size=25),
)
async def test_small_steps_and_one_jump_of_the_clock_give_the_same_stream(
    actions: tuple[Action, ...], steps: list[float]
) -> None:
    assert await frames_after(actions, steps) == await frames_after(actions, [])


async def test_a_stream_that_is_read_late_misses_nothing(make_setup: Callable[..., Setup]) -> None:
    early, late = make_setup(), make_setup()
    first = early.open_stream()
    await first.settle()
    early.clock.advance(60)
    late.clock.advance(60)
    assert await first.settle() == await late.open_stream().settle()


@pytest.mark.parametrize(
    ("seconds", "ended"),
    [
        (0.0, []),
        (1.0, []),
        (1.4, ["run.step.cancelled", "message.incomplete"]),
        (1.6, ["run.step.cancelled", "message.incomplete"]),
    ],
)
async def test_a_cancellation_is_seen_at_every_stage(
    make_setup: Callable[..., Setup], seconds: float, ended: list[str]
) -> None:
    setup = make_setup()
    reader = setup.open_stream()
    setup.clock.advance(seconds)
    before = await reader.settle()
    setup.cancel()
    assert event_names(await reader.settle())[-1] == "run.cancelling"
    setup.clock.advance(1)
    events = await reader.settle()
    assert events[: len(before)] == before
    assert event_names(events[len(before) :]) == ["run.cancelling", *ended, "run.cancelled", "done"]


async def test_a_cancellation_follows_the_events_that_were_due_before_it(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup()
    reader = setup.open_stream()
    await reader.settle()
    # The stream's task does not run between these two lines.
    setup.clock.advance(1.5)
    setup.cancel()
    names = event_names(await reader.settle())
    assert names[2:4] == ["run.in_progress", "run.step.created"]
    assert names[-2:] == ["message.delta", "run.cancelling"]
    setup.clock.advance(1)
    await reader.settle()
    assert reader.is_over


async def test_a_run_expires_while_its_stream_is_open(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup(Hang())
    reader = setup.open_stream()
    setup.clock.advance(599.9)
    assert event_names(await reader.settle())[-1] == "run.in_progress"
    setup.clock.advance(0.1)
    assert event_names(await reader.settle())[-2:] == ["run.expired", "done"]


async def test_many_streams_show_the_same_events_after_one_of_them_closes(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup()
    readers = [setup.open_stream() for _ in range(50)]
    setup.clock.advance(1.45)
    for reader in readers:
        await reader.settle()
    assert len(setup.streams) == 50
    await readers[0].close()
    assert len(setup.streams) == 49
    setup.clock.advance(10)
    everything = [await reader.settle() for reader in readers[1:]]
    assert all(one == other for one, other in pairwise(everything))
    assert event_names(everything[0])[-1] == "done"


async def test_metadata_that_a_client_sets_during_the_run_is_shown(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup()
    reader = setup.open_stream()
    setup.clock.advance(1.5)
    await reader.settle()
    apply_due_events(setup.store, "mine", "thread_1", setup.clock.now())
    run = setup.store.runs.get("mine", "run_1")
    assert run is not None
    setup.store.runs.replace("mine", replace(run, metadata={"a": "b"}))
    (message,) = load_progress(setup.store, "mine", run).messages.values()
    setup.store.messages.replace("mine", replace(message, metadata={"c": "d"}))
    setup.streams.wake_streams(THREAD)
    setup.clock.advance(10)
    by_name: dict[str, Any] = dict(await reader.settle())
    assert by_name["thread.run.completed"]["metadata"] == {"a": "b"}
    assert by_name["thread.message.completed"]["metadata"] == {"c": "d"}


async def test_a_thread_deleted_while_its_stream_is_open_is_reported_as_an_error(
    make_setup: Callable[..., Setup],
) -> None:
    setup = make_setup()
    reader = setup.open_stream()
    await reader.settle()
    setup.store.threads.delete("mine", "thread_1")
    setup.streams.wake_streams(THREAD)
    (name, data), done = (await reader.settle())[-2:]
    assert (name, data["error"]["message"]) == ("error", "No run found with id 'run_1'.")
    assert done == ("done", "[DONE]")


async def test_another_threads_changes_do_not_wake_a_stream(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup()
    reader = setup.open_stream()
    before = await reader.settle()
    setup.streams.wake_streams(PartitionedThreadKey("yours", "thread_1"))
    assert await reader.settle() == before


async def test_a_stop_ends_every_stream_without_its_last_event(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup()
    reader = setup.open_stream()
    setup.clock.advance(1.5)
    before = await reader.settle()
    setup.streams.stop_all()
    assert await reader.settle() == before
    assert reader.is_over
    assert len(setup.streams) == 0
    await setup.streams.wait_stopped()


async def test_a_timeline_without_an_end_raises(make_setup: Callable[..., Setup]) -> None:
    setup = make_setup()
    setup.store.store_timeline("mine", a_run(), setup.store.load_timeline("mine", "run_1")[0][:1], 0)
    reader = setup.open_stream()
    setup.clock.advance(5)
    with pytest.raises(ValueError, match="expected the timeline of run_1 to have an end"):
        await reader.settle()
