from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.emulator.clock import ManualClock
from gateway.emulator.objects import FileCitation, TextPart, Thread
from gateway.emulator.runs.lifecycle import cancellation_events
from gateway.emulator.runs.progress import Progress
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import Action, CallFunctions, Hang, RunCode, Script, WriteMessage
from gateway.emulator.state.run_timelines import apply_due_events, load_progress, replace_pending_events, start_run
from gateway.emulator.state.store import Store
from gateway.emulator.streams.open_streams import OpenStreams, ThreadKey
from gateway.emulator.streams.stream_events import StreamedRun, opening_events
from tests.gateway.emulator.driving import START, CountingIds, StreamReader, a_run, event_names

THREAD = ThreadKey("mine", "thread_1")
CITED = TextPart(
    value="A heron【0】 is a bird. " * 3,
    annotations=(FileCitation(text="【0】", start_index=7, end_index=10, file_id="file-1"),),
)
WRITES = (WriteMessage((CITED,)),)


class World:
    """A store with one run, and its streams."""

    def __init__(self, *actions: Action) -> None:
        self.store, self.clock = Store(":memory:"), ManualClock(START)
        self.streams = OpenStreams(self.store, self.clock)
        self.store.threads.add("mine", Thread(id="thread_1", created_at=START))
        start_run(self.store, "mine", a_run(), timeline_from_script(Script(actions), START, CountingIds()))
        self.watched: list[StreamReader] = []

    def watch(self) -> StreamReader:
        streamed = StreamedRun(opening_events(a_run(), "v2"), Progress(a_run(), {}, {}), 0)
        watched = StreamReader(self.streams.frames("mine", streamed, "v2"))
        self.watched.append(watched)
        return watched

    def cancel(self) -> None:
        apply_due_events(self.store, "mine", "thread_1", self.clock.now())
        run = self.store.runs.get("mine", "run_1")
        assert run is not None
        progress, now = load_progress(self.store, "mine", run), self.clock.now()
        replace_pending_events(self.store, "mine", progress, cancellation_events(progress, now), now)
        self.streams.wake_streams(THREAD)

    async def close(self) -> None:
        for watched in self.watched:
            await watched.close()
        self.store.close()


@pytest.fixture
async def world() -> AsyncIterator[Callable[..., World]]:
    made: list[World] = []

    def make(*actions: Action) -> World:
        made.append(World(*(actions or WRITES)))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_each_event_comes_at_its_instant_and_not_before(world: Callable[..., World]) -> None:
    here = world()
    watched = here.watch()
    assert event_names(await watched.settle()) == ["run.created", "run.queued"]
    here.clock.advance(0.999)
    assert len(await watched.settle()) == 2
    here.clock.advance(0.001)
    assert event_names(await watched.settle())[2:] == ["run.in_progress"]
    here.clock.advance(0.4)
    started = ["run.step.created", "run.step.in_progress", "message.created", "message.in_progress"]
    assert event_names(await watched.settle())[3:] == started
    for pieces in (1, 2, 3):
        here.clock.advance(0.0401)
        assert len(await watched.settle()) == 7 + pieces
    here.clock.advance(5)
    ended = ["message.completed", "run.step.completed", "run.completed", "done"]
    assert event_names(await watched.settle())[-4:] == ended
    assert watched.is_over


async def frames_after(actions: tuple[Action, ...], steps: list[float]) -> bytes:
    here = World(*actions)
    watched = here.watch()
    await watched.settle()
    for seconds in [*steps, 700.0]:
        here.clock.advance(seconds)
        await watched.settle()
    assert watched.is_over
    assert len(here.streams) == 0
    await here.close()
    return b"".join(watched.frames)


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from(
        [WRITES, (CallFunctions((("f", '{"a":1}'), ("g", "{}"))),), (RunCode("1 + 1", ()), *WRITES), (Hang(),)]
    ),
    st.lists(st.floats(0.0, 1.5), max_size=25),
)
async def test_in_small_steps_or_one_jump_the_stream_is_the_same(
    actions: tuple[Action, ...], steps: list[float]
) -> None:
    assert await frames_after(actions, steps) == await frames_after(actions, [])


async def test_a_stream_that_is_read_late_misses_nothing(world: Callable[..., World]) -> None:
    early, late = world(), world()
    first = early.watch()
    await first.settle()
    early.clock.advance(60)
    late.clock.advance(60)
    assert await first.settle() == await late.watch().settle()


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
    world: Callable[..., World], seconds: float, ended: list[str]
) -> None:
    here = world()
    watched = here.watch()
    here.clock.advance(seconds)
    before = await watched.settle()
    here.cancel()
    assert event_names(await watched.settle())[-1] == "run.cancelling"
    here.clock.advance(1)
    events = await watched.settle()
    assert events[: len(before)] == before
    assert event_names(events[len(before) :]) == ["run.cancelling", *ended, "run.cancelled", "done"]


async def test_a_cancellation_that_comes_with_what_was_due_leaves_that_in_place(world: Callable[..., World]) -> None:
    here = world()
    watched = here.watch()
    await watched.settle()
    # The stream has not had its turn between these two.
    here.clock.advance(1.5)
    here.cancel()
    names = event_names(await watched.settle())
    assert names[2:4] == ["run.in_progress", "run.step.created"]
    assert names[-2:] == ["message.delta", "run.cancelling"]
    here.clock.advance(1)
    await watched.settle()
    assert watched.is_over


async def test_a_run_expires_under_an_open_stream(world: Callable[..., World]) -> None:
    here = world(Hang())
    watched = here.watch()
    here.clock.advance(599.9)
    assert event_names(await watched.settle())[-1] == "run.in_progress"
    here.clock.advance(0.1)
    assert event_names(await watched.settle())[-2:] == ["run.expired", "done"]


async def test_many_streams_see_the_same_and_one_that_leaves_disturbs_nobody(world: Callable[..., World]) -> None:
    here = world()
    watched = [here.watch() for _ in range(50)]
    here.clock.advance(1.45)
    for one in watched:
        await one.settle()
    assert len(here.streams) == 50
    await watched[0].close()
    assert len(here.streams) == 49
    here.clock.advance(10)
    everything = [await one.settle() for one in watched[1:]]
    assert all(one == other for one, other in pairwise(everything))
    assert event_names(everything[0])[-1] == "done"


async def test_metadata_that_a_client_puts_on_the_run_is_shown(world: Callable[..., World]) -> None:
    here = world()
    watched = here.watch()
    here.clock.advance(1.5)
    await watched.settle()
    apply_due_events(here.store, "mine", "thread_1", here.clock.now())
    run = here.store.runs.get("mine", "run_1")
    assert run is not None
    here.store.runs.replace("mine", replace(run, metadata={"a": "b"}))
    (message,) = load_progress(here.store, "mine", run).messages.values()
    here.store.messages.replace("mine", replace(message, metadata={"c": "d"}))
    here.streams.wake_streams(THREAD)
    here.clock.advance(10)
    by_name: dict[str, Any] = dict(await watched.settle())
    assert by_name["thread.run.completed"]["metadata"] == {"a": "b"}
    assert by_name["thread.message.completed"]["metadata"] == {"c": "d"}


async def test_a_thread_deleted_under_its_stream_is_told_as_an_error(world: Callable[..., World]) -> None:
    here = world()
    watched = here.watch()
    await watched.settle()
    here.store.threads.delete("mine", "thread_1")
    here.streams.wake_streams(THREAD)
    (name, data), done = (await watched.settle())[-2:]
    assert (name, data["error"]["message"]) == ("error", "No run found with id 'run_1'.")
    assert done == ("done", "[DONE]")


async def test_another_threads_changes_do_not_wake_a_stream(world: Callable[..., World]) -> None:
    here = world()
    watched = here.watch()
    before = await watched.settle()
    here.streams.wake_streams(ThreadKey("yours", "thread_1"))
    assert await watched.settle() == before


async def test_a_stop_ends_every_stream_without_its_last_event(world: Callable[..., World]) -> None:
    here = world()
    watched = here.watch()
    here.clock.advance(1.5)
    before = await watched.settle()
    here.streams.stop_all()
    assert await watched.settle() == before
    assert watched.is_over
    assert len(here.streams) == 0
    await here.streams.wait_stopped()


async def test_a_timeline_without_an_end_is_a_fault_of_ours(world: Callable[..., World]) -> None:
    here = world()
    here.store.store_timeline("mine", a_run(), here.store.load_timeline("mine", "run_1")[0][:1], 0)
    watched = here.watch()
    here.clock.advance(5)
    with pytest.raises(ValueError, match="expected the timeline of run_1 to have an end"):
        await watched.settle()
