"""Random scripts of responses, and the streams that they make."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from gateway.emulator.bodies.new_responses import response_from_body
from gateway.emulator.bodies.output_items import CODE_OUTPUTS, SEARCH_RESULTS
from gateway.emulator.bodies.response_bodies import CreateResponse
from gateway.emulator.objects import (
    CodeImage,
    CodeLogs,
    Failure,
    FileCitation,
    ImageFilePart,
    RefusalPart,
    SearchResult,
    TextPart,
)
from gateway.emulator.response_objects import Response
from gateway.emulator.runs.lifecycle import due_events, early_end_events, timed_events
from gateway.emulator.runs.progress import Progress, apply_event, apply_events
from gateway.emulator.runs.response_timeline import end_at_calls, script_for_response
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import (
    Action,
    AskForApproval,
    CallFunctions,
    EndIncomplete,
    Fail,
    RunCode,
    Script,
    SearchFiles,
    WriteMessage,
)
from gateway.emulator.runs.timeline_events import Timeline
from gateway.emulator.state.response_state import first_progress, with_progress
from gateway.emulator.streams.response_events import ResponseStream
from tests.gateway.emulator.api_client import START, CountingIds

ALL = frozenset({CODE_OUTPUTS, SEARCH_RESULTS})
RESULT = SearchResult(file_id="file-1", file_name="a.md", score=0.9, text="found")
CITED = TextPart(
    value="So it is【0†a.md】, twice【1†b.md】.",
    annotations=(
        FileCitation(text="【0†a.md】", start_index=8, end_index=16, file_id="file-1"),
        FileCitation(text="【1†b.md】", start_index=23, end_index=31, file_id="file-2"),
    ),
)
CODE = RunCode("print(1)", (CodeLogs(logs="1"), CodeImage(file_id="file-2")))
FAILURE = Failure("server_error", "Sorry.")


def a_response(*, background: bool = True) -> Response:
    body = CreateResponse(model="m", background=background, stream=True, store=True)
    return response_from_body(body, [], response_id="resp_1", created_at=START)


def timeline_of(actions: Iterable[Action]) -> Timeline:
    script = script_for_response(Script(tuple(actions), prompt_tokens=3))
    timeline = timeline_from_script(script, START, CountingIds())
    return end_at_calls(first_progress(a_response()), timeline)


def cancelled_after(timeline: Timeline, seconds: float) -> Timeline:
    past = due_events(timeline, 0, START + seconds)
    progress = apply_events(first_progress(a_response()), past)
    if progress.run.is_terminal:
        return past
    return past + timed_events(early_end_events(progress, "cancelled"), START + seconds)


def stream_of(response: Response, timeline: Timeline, starting_after: int = -1) -> tuple[list[Any], Response]:
    """Return the events of a whole stream, and the response at its end."""
    form = ResponseStream(response, ALL, starting_after)
    progress: Progress = first_progress(response)
    events = list(form.opening_events())
    for timed in timeline:
        before, progress = progress, apply_event(progress, timed)
        events += form.render_event(before, timed.event, progress)
    for event in events:
        assert event.name == event.data["type"]
    return [event.data for event in events], with_progress(response, progress)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
PARTS = st.one_of(
    st.builds(lambda text: TextPart(value=text), TEXTS),
    st.builds(lambda text: RefusalPart(refusal=text), TEXTS),
    st.just(CITED),
    st.just(ImageFilePart(file_id="file-2")),
)
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(lambda parts: WriteMessage(tuple(parts)), st.lists(PARTS, min_size=1, max_size=3)),
    st.builds(lambda texts: CallFunctions(tuple(("f", text) for text in texts)), st.lists(TEXTS, max_size=3)),
    st.builds(lambda code: replace(CODE, input=code), TEXTS),
    st.just(SearchFiles((RESULT,), query="q")),
    st.just(AskForApproval("docs", "search", "{}")),
    st.just(RunCode("1/0", (), failure=FAILURE)),
    st.just(EndIncomplete("max_prompt_tokens")),
    st.just(Fail(FAILURE)),
    st.builds(
        lambda part, reason: WriteMessage((part,), incomplete_reason=reason),
        PARTS,
        st.just("max_completion_tokens"),
    ),
    st.builds(lambda part: WriteMessage((part,), failure=FAILURE), PARTS),
)
SCRIPTS = st.lists(ACTIONS, max_size=4)
