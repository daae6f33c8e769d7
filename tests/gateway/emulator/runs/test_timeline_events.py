from pydantic import TypeAdapter

from gateway.emulator.objects import Failure, SearchCall, SearchResult
from gateway.emulator.runs.timeline_events import RunEnded, RunStarted, TimedEvent, Timeline, ToolCallStarted


def test_a_timeline_round_trips_through_json() -> None:
    adapter: TypeAdapter[Timeline] = TypeAdapter(Timeline)
    result = SearchResult(file_id="file-1", file_name="a.md", score=0.5, text="日本")
    timeline: Timeline = (
        TimedEvent(1.25, RunStarted()),
        TimedEvent(2.0, ToolCallStarted(step_id="step_1", call=SearchCall(id="call_1", results=(result,)))),
        TimedEvent(3.0, RunEnded(status="failed", error=Failure("server_error", "No."))),
    )
    assert adapter.validate_json(adapter.dump_json(timeline)) == timeline
