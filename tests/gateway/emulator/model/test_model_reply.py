import pytest

from gateway.emulator.model.chunks import CallPiece, Chunk
from gateway.emulator.model.failures import ModelFailedError
from gateway.emulator.model.model_reply import MAX_CALLS, ReplyWriter
from gateway.emulator.objects import FunctionCall, RefusalPart, TextPart, Usage
from gateway.emulator.runs.progress import Progress, apply_events
from gateway.emulator.runs.timeline_events import Event, TimedEvent, ToolCallStarted
from tests.gateway.emulator.api_client import START, CountingIds, a_progress


def written(*chunks: Chunk, used_ids: tuple[str, ...] = ()) -> tuple[list[str], Progress]:
    """Return the kinds of an answer's events, and the run's progress after them."""
    writer = ReplyWriter(CountingIds(), 7, used_ids)
    events: list[Event] = [event for chunk in chunks for event in writer.add_chunk(chunk)]
    events += writer.finish()
    progress = apply_events(a_progress(status="in_progress"), [TimedEvent(START, event) for event in events])
    return [event.kind for event in events], progress


def texts(progress: Progress) -> list[str]:
    return [
        part.value for message in progress.messages.values() for part in message.content if isinstance(part, TextPart)
    ]


def calls(progress: Progress) -> list[FunctionCall]:
    return [call for step in progress.steps.values() for call in step.tool_calls if isinstance(call, FunctionCall)]


def test_text_becomes_a_message_with_the_usage_of_the_answer() -> None:
    kinds, progress = written(Chunk(), Chunk("Hel"), Chunk("lo"), Chunk(finish_reason="stop"), Chunk(usage=Usage(5, 2)))
    assert kinds == [
        *("step_started", "message_started", "part_added", "text_grown", "text_grown"),
        *("message_ended", "step_ended", "run_ended"),
    ]
    assert (texts(progress), progress.run.status, progress.run.usage) == (["Hello"], "completed", Usage(5, 2))


def test_without_a_count_tokens_are_estimated() -> None:
    _, progress = written(Chunk("x" * 40))
    assert progress.run.usage == Usage(7, 11)


def test_an_empty_answer_is_a_message_with_an_empty_text() -> None:
    _, progress = written(Chunk(finish_reason="stop"))
    assert (texts(progress), progress.run.status) == ([""], "completed")


def test_a_refusal_is_a_part_of_its_own() -> None:
    _, progress = written(Chunk(refusal="I can"), Chunk(refusal="not."))
    (message,) = progress.messages.values()
    assert message.content == (RefusalPart(refusal="I cannot."),)
    _, progress = written(Chunk("Well. "), Chunk(refusal="No."))
    (message,) = progress.messages.values()
    assert message.content == (TextPart(value="Well. "), RefusalPart(refusal="No."))


def test_interleaved_calls_in_pieces_wait_for_their_outputs() -> None:
    kinds, progress = written(
        Chunk(calls=(CallPiece(0, "a", "f"), CallPiece(1, "b", "g", "{"))),
        Chunk(calls=(CallPiece(0, arguments='{"x'), CallPiece(1, arguments="}"))),
        Chunk(calls=(CallPiece(0, arguments='": '),)),
        Chunk(finish_reason="tool_calls", usage=Usage(9, 3)),
    )
    assert kinds[:2] == ["step_started", "tool_call_started"]
    assert kinds[-1] == "run_requires_action"
    awaited = [(call.id, call.name, call.arguments) for call in progress.run.awaited_calls]
    assert awaited == [("a", "f", '{"x": '), ("b", "g", "{}")]
    assert [step.status for step in progress.steps.values()] == ["in_progress"]


def test_text_before_and_after_calls_becomes_separate_messages() -> None:
    _, progress = written(
        Chunk("Let me see."), Chunk(calls=(CallPiece(0, "a", "f", "{}"),)), Chunk("Wait."), Chunk(usage=Usage(9, 3))
    )
    assert texts(progress) == ["Let me see.", "Wait."]
    assert [message.status for message in progress.messages.values()] == ["completed", "completed"]
    assert [step.usage for step in progress.steps.values()] == [Usage(0, 0), None, Usage(0, 0)]
    assert progress.run.status == "requires_action"


def test_a_call_waits_for_its_name() -> None:
    _, progress = written(
        Chunk(calls=(CallPiece(0, "a", None, '{"x"'),)), Chunk(calls=(CallPiece(0, None, "f", ":1}"),)), Chunk()
    )
    assert [(call.id, call.name, call.arguments) for call in calls(progress)] == [("a", "f", '{"x":1}')]
    with pytest.raises(ModelFailedError, match="could not be read"):
        written(Chunk(calls=(CallPiece(0, "a", None, "{}"),)))


@pytest.mark.parametrize(
    "pieces",
    [
        (CallPiece(0, "a", "f", "1"), CallPiece(0, "b", "f", "2")),
        (CallPiece(None, "a", "f", "1"), CallPiece(None, "b", "f", "2")),
        (CallPiece(None, None, "f", "1"), CallPiece(None, None, "f", "2")),
        (CallPiece(0, "a", "f", "1"), CallPiece(1, "a", "f", "2")),
        (CallPiece(0, None, "f"), CallPiece(0, "a", None, "1"), CallPiece(1, "b", "f", "2")),
        (CallPiece(0, None, "f", "1"), CallPiece(0, None, "g", "2")),
        (CallPiece(0, "a", "f", "1"), CallPiece(0, None, "g", "2")),
        (CallPiece(0, None, "f", ""), CallPiece(0, None, None, "1"), CallPiece(0, None, "g", "2")),
        (
            CallPiece(None, "a", "f"),
            CallPiece(None, "b", "f"),
            CallPiece(None, "a", arguments="1"),
            CallPiece(1, "b", arguments="2"),
        ),
    ],
)
def test_calls_with_bad_indexes_are_separated(pieces: tuple[CallPiece, ...]) -> None:
    _, progress = written(*(Chunk(calls=(piece,)) for piece in pieces))
    assert [call.arguments for call in calls(progress)] == ["1", "2"]
    assert len({call.id for call in calls(progress)}) == 2


@pytest.mark.parametrize(
    "pieces",
    [
        (CallPiece(0, None, "f", '{"x":1}'), CallPiece(0, None, "f", '{"y":2}')),
        (CallPiece(0, None, "f", '{"x":'), CallPiece(0, None, "f", "1}"), CallPiece(0, None, "f", '{"y":2}')),
        (
            CallPiece(0, None, "f"),
            CallPiece(0, None, None, '{"x":1} '),
            CallPiece(0, None, "f"),
            CallPiece(0, None, None, ' {"y":2}'),
        ),
        (CallPiece(None, "a", "f", '{"x":1}'), CallPiece(None, "a", "f", '{"y":2}')),
    ],
)
def test_a_second_object_of_arguments_under_a_repeated_name_is_a_second_call(pieces: tuple[CallPiece, ...]) -> None:
    _, progress = written(*(Chunk(calls=(piece,)) for piece in pieces))
    assert [(call.name, call.arguments.strip()) for call in calls(progress)] == [("f", '{"x":1}'), ("f", '{"y":2}')]
    assert len({call.id for call in calls(progress)}) == 2


@pytest.mark.parametrize(
    "pieces",
    [
        (CallPiece(None, "a", "f", '{"x"'), CallPiece(None, "a", "f", ":{}}")),
        (CallPiece(None, "a", "f", '{"x"'), CallPiece(None, "a", None, ":{"), CallPiece(None, "a", None, "}}")),
        (CallPiece(None, "a", "f", '{"x"'), CallPiece(None, None, None, ":{}}")),
        (CallPiece(0, "a", "f", '{"x"'), CallPiece(0, "a", "f", ":{}}"), CallPiece(0, "a", "f", "")),
        (CallPiece(0, None, "f", '{"x"'), CallPiece(0, None, "f", ":{}}"), CallPiece(0, None, "f", "")),
        (CallPiece(0, "a", "f", '{"x"'), CallPiece(None, None, None, ":{}}")),
        (CallPiece(None, "a", "f", '{"x"'), CallPiece(0, None, None, ":{}}")),
        (CallPiece(0, "a", "f", '{"x"'), CallPiece(None, "a", None, ":{}}")),
    ],
)
def test_pieces_that_repeat_an_id_or_a_name_are_one_call(pieces: tuple[CallPiece, ...]) -> None:
    _, progress = written(*(Chunk(calls=(piece,)) for piece in pieces))
    assert [(call.name, call.arguments) for call in calls(progress)] == [("f", '{"x":{}}')]


def test_an_answer_that_says_that_it_failed_fails_after_its_text() -> None:
    writer = ReplyWriter(CountingIds(), 0)
    kinds = [event.kind for event in writer.add_chunk(Chunk("Hel", finish_reason="error"))]
    assert kinds == ["step_started", "message_started", "part_added", "text_grown"]
    assert writer.add_chunk(Chunk(finish_reason="stop")) == []
    with pytest.raises(ModelFailedError, match="in the middle"):
        writer.finish()


def test_an_answer_that_tells_of_calls_without_any_fails() -> None:
    with pytest.raises(ModelFailedError, match="could not be read"):
        written(Chunk(finish_reason="tool_calls"))
    _, progress = written(Chunk("Hi", finish_reason="tool_calls"))
    assert progress.run.status == "completed"


def test_a_limit_counts_although_a_later_chunk_says_stop() -> None:
    _, progress = written(Chunk("Hel", finish_reason="length"), Chunk(finish_reason="stop"))
    assert progress.run.status == "incomplete"


def test_a_used_id_and_a_too_long_id_are_replaced() -> None:
    pieces = (CallPiece(0, "call_0", "f"), CallPiece(1, "x" * 300, "f"), CallPiece(2, "fresh", "f"))
    _, progress = written(Chunk(calls=pieces), used_ids=("call_0",))
    assert [call.id for call in calls(progress)] == ["call_2", "call_3", "fresh"]


def test_calls_above_the_limit_are_refused_after_those_below_it() -> None:
    pieces = tuple(CallPiece(place, f"c{place}", "f") for place in range(MAX_CALLS + 1))
    with pytest.raises(ModelFailedError):
        written(Chunk(calls=pieces))
    writer = ReplyWriter(CountingIds(), 0)
    events = writer.add_chunk(Chunk("Hi", calls=pieces))
    assert sum(isinstance(event, ToolCallStarted) for event in events) == MAX_CALLS
    assert writer.failure is not None
    assert writer.add_chunk(Chunk("more")) == []


@pytest.mark.parametrize(
    ("reason", "message_reason", "run_reason"),
    [("length", "max_tokens", "max_completion_tokens"), ("content_filter", "content_filter", "content_filter")],
)
@pytest.mark.parametrize("text", ["Hel", ""])
def test_a_limit_or_a_filter_leaves_message_and_run_incomplete(
    reason: str, message_reason: str, run_reason: str, text: str
) -> None:
    _, progress = written(Chunk(text, finish_reason=reason, usage=Usage(5, 2)))
    (message,), (step,) = progress.messages.values(), progress.steps.values()
    assert (message.status, message.incomplete_reason, texts(progress)) == ("incomplete", message_reason, [text])
    assert (step.status, progress.run.status, progress.run.incomplete_reason) == ("completed", "incomplete", run_reason)
    assert progress.run.usage == Usage(5, 2)


def test_calls_cut_short_by_a_limit_do_not_wait_for_outputs() -> None:
    pieces = (CallPiece(0, "a", "f", '{"x'),)
    _, progress = written(Chunk("Wait. "), Chunk(calls=pieces, finish_reason="length", usage=Usage(5, 2)))
    assert [step.status for step in progress.steps.values()] == ["completed", "cancelled"]
    assert (progress.run.status, progress.run.awaited_calls) == ("incomplete", ())
    assert progress.run.usage == Usage(5, 2)
