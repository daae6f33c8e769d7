"""A stream that is taken over: all that it tells is in the run's log, whoever listens."""

from schema.run_events import Provenance
from tests.support.live_runs import RUN, SCOPE, ScriptedStream, World, kinds, simple_run, take_all


async def test_a_stream_is_followed_from_its_beginning(world: World) -> None:
    process = world.process()
    stream = ScriptedStream(simple_run("Hel", "lo"))
    run = await process.hub.take_stream(SCOPE, stream)
    assert run.status == "queued"
    feed = await process.events.follow_run(RUN)
    events = await world.during(take_all(feed))
    assert kinds(events) == [
        "snapshot queued", "in_progress", "step in_progress", "MessageCreatedChange", "Hel", "lo",
        "message finished", "step completed", "completed",
    ]  # fmt: skip
    assert {event.provenance for event in events} == {Provenance.STREAMED}
    await feed.aclose()
    assert stream.is_closed
