"""The operations on responses."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.emulator.bodies.api_errors import ApiError, missing_parameter
from gateway.emulator.bodies.item_bodies import InputItem, MessageItem
from gateway.emulator.bodies.new_responses import instructions_of, response_from_body, stored_tools
from gateway.emulator.bodies.output_items import output_items
from gateway.emulator.bodies.reply_objects import render_page
from gateway.emulator.bodies.reply_responses import render_deleted_response, render_response
from gateway.emulator.bodies.response_bodies import CountTokens, CreateResponse, ResponseOptions
from gateway.emulator.bodies.response_errors import (
    call_without_output,
    not_streamed,
    nothing_with_id,
    output_without_call,
    previous_response_missing,
    synchronous_response,
    two_contexts,
)
from gateway.emulator.objects import JsonObject
from gateway.emulator.operations.api_call import ApiCall, checked_id
from gateway.emulator.operations.conversations import check_unlocked, find_conversation, input_items, slice_items
from gateway.emulator.operations.lookups import find_page
from gateway.emulator.operations.response_creation import check_scenario, script_input_for_response
from gateway.emulator.operations.run_files import store_made_files
from gateway.emulator.response_objects import Response
from gateway.emulator.runs.answer_texts import count_tokens
from gateway.emulator.runs.item_texts import count_item_tokens, latest_outputs, unanswered_calls, uncalled_outputs
from gateway.emulator.runs.lifecycle import early_end_events, timed_events
from gateway.emulator.runs.response_timeline import script_for_response
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import SCENARIOS_WITH_OUTPUTS, model_may_answer, script_after_outputs, script_at_start
from gateway.emulator.state.response_state import context_items, first_progress, progress_of
from gateway.emulator.state.run_timelines import apply_due_events, replace_pending_events, start_response
from gateway.emulator.state.store import Store
from gateway.emulator.streams.response_events import ResponseStream
from gateway.emulator.streams.stream_events import StreamReply


@dataclass(frozen=True, slots=True)
class AwaitedResponse:
    """A reply that comes once a response has ended."""

    response_id: str
    stream: StreamReply
    includes: frozenset[str]


def create_response(call: ApiCall) -> JsonObject | StreamReply | AwaitedResponse:
    """Start a response. One in the foreground is the reply itself, as a stream or once it has ended."""
    body = call.parse_body(CreateResponse)
    context = _context_of_body(call, body)
    if body.conversation_id is not None:
        check_unlocked(call, body.conversation_id)
    items = input_items(call, _items_of_body(body), context)
    context = [*context, *items]
    for call_id in uncalled_outputs(context):
        raise output_without_call(call_id)
    for call_id in unanswered_calls(context):
        raise call_without_output(call_id)
    check_scenario(body.metadata)
    new = response_from_body(
        body, items, response_id=call.store.new_id("resp"), created_at=call.whole_second, origin=call.origin
    )
    response = _start(call, new, context)
    includes = frozenset(body.include or ())
    if body.background and not body.stream:
        return render_response(response, includes)
    stream = _stream_reply(response, includes)
    return stream if body.stream else AwaitedResponse(response.id, stream, includes)


def get_response(call: ApiCall) -> JsonObject | StreamReply:
    """Return a response as it is now. With `stream`, return its events behind `starting_after`, old and new."""
    response = _response_of_path(call)
    if call.query.get("stream", "").casefold() != "true":
        return render_response(response, call.includes)
    if not (response.is_background and response.is_streamed):
        raise not_streamed()
    return _stream_reply(response, call.includes, _starting_after(call))


def delete_response(call: ApiCall) -> JsonObject:
    """Delete a response, even while it is under way (assumed). The items that it left in a conversation stay."""
    response = _response_of_path(call)
    call.store.responses.delete(call.partition, response.id)
    call.changed_threads.append(response.run.thread_id)
    return render_deleted_response(response.id)


def cancel_response(call: ApiCall) -> JsonObject:
    """Cancel a response in the background. One that has ended stays as it is."""
    response = _response_of_path(call)
    if not response.is_background:
        raise synchronous_response()
    call.changed_threads.append(response.run.thread_id)
    return render_response(end_response(call.store, call.partition, response, call.now), call.includes)


def list_input_items(call: ApiCall) -> JsonObject:
    """Return a page of the items that a response was created with."""
    return slice_items(call, list(_response_of_path(call).input))


def list_responses(call: ApiCall) -> JsonObject:
    """Return a page of the responses (Foundry only): those of one conversation, if the query names one."""
    conversation_id = call.query.get("conversation_id")
    if conversation_id is not None:
        find_conversation(call, conversation_id)
    responses, has_more = find_page(
        call, call.store.responses, None, "resp", "Response", conversation_id, nothing_with_id
    )
    shown = [render_response(_as_of_now(call, one), call.includes) for one in responses]
    return render_page(shown, has_more=has_more)


def end_response(store: Store, partition: str, response: Response, now: float) -> Response:
    """Cancel a response that is under way, and return it as it is now."""
    apply_due_events(store, partition, response.run.thread_id, now)
    response = store.responses.get(partition, response.id) or response
    if response.run.is_terminal:
        return response
    progress = progress_of(response)
    pending = timed_events(early_end_events(progress, "cancelled"), now)
    replace_pending_events(store, partition, progress, pending, now)
    return store.responses.get(partition, response.id) or response


def cancel_abandoned_response(store: Store, partition: str, response_id: str, now: float) -> bool:
    """Cancel a response in the foreground whose client has left. Returns whether it was still under way."""
    response = store.responses.get(partition, response_id)
    if response is None or response.run.is_terminal:
        return False
    return end_response(store, partition, response, now).run.status == "cancelled"


def finished_response(call: ApiCall, awaited: AwaitedResponse) -> JsonObject:
    """Return a response in the foreground once it has ended, even if it is not stored."""
    with call.store.transaction():
        response = call.store.responses.get(call.partition, awaited.response_id)
        if response is None:
            raise nothing_with_id("Response", awaited.response_id)
        return render_response(_as_of_now(call, response), awaited.includes)


def count_input_tokens(call: ApiCall) -> JsonObject:
    """Return the estimated number of tokens that a response with this input would read. Nothing is created."""
    body = call.parse_body(CountTokens)
    context = _context_of_body(call, body)
    items = [*context, *input_items(call, _items_of_body(body), context)]
    tokens = sum(count_item_tokens(item) for item in items)
    tokens += sum(count_tokens(str(tool)) for tool in stored_tools(body)) + count_tokens(instructions_of(body) or "")
    return {"object": "response.input_tokens", "input_tokens": tokens}


def _items_of_body(body: ResponseOptions) -> tuple[InputItem, ...]:
    if isinstance(body.input, str):
        return (MessageItem(role="user", content=body.input),)
    return body.input or ()


def _context_of_body(call: ApiCall, body: ResponseOptions) -> list[JsonObject]:
    """Return the items that come before the input of a new response."""
    if body.conversation_id is not None:
        if body.previous_response_id is not None:
            raise two_contexts()
        conversation = find_conversation(call, checked_id("conversation", body.conversation_id, "conv"))
        return [item.body for item in call.store.items.list_all(call.partition, conversation.id)]
    if body.previous_response_id is not None:
        previous = _find_response(call, checked_id("previous_response_id", body.previous_response_id, "resp"))
        if previous is None:
            raise previous_response_missing(body.previous_response_id)
        return [*context_items(call.store, call.partition, previous), *output_items(previous)]
    if body.input is None and body.prompt is None:
        raise missing_parameter("input")
    return []


def _start(call: ApiCall, response: Response, context: Sequence[JsonObject]) -> Response:
    script_input = script_input_for_response(call, response, context)
    if call.has_model and model_may_answer(script_input):
        response = replace(response, run=replace(response.run, asks_model=True))
        start_response(call.store, call.partition, response, ())
        call.runs_for_model.append(response.run)
        return response
    outputs = latest_outputs(context) if script_input.scenario in SCENARIOS_WITH_OUTPUTS else ()
    script = script_after_outputs(script_input, outputs) if outputs else script_at_start(script_input)
    store_made_files(call, script)
    timeline = timeline_from_script(script_for_response(script), call.now, call.store.new_id)
    start_response(call.store, call.partition, response, timeline)
    return response


def _stream_reply(response: Response, includes: frozenset[str], starting_after: int = -1) -> StreamReply:
    form = ResponseStream(response, includes, starting_after)
    return StreamReply(
        form.opening_events(), first_progress(response), 0, form, ends_when_dropped=not response.is_background
    )


def _starting_after(call: ApiCall) -> int:
    text = call.query.get("starting_after", "-1")
    try:
        return int(text)
    except ValueError:
        raise ApiError(
            "Invalid type for 'starting_after': expected an integer, but got a string instead.",
            param="starting_after",
            code="invalid_type",
        ) from None


def _response_of_path(call: ApiCall) -> Response:
    response_id = call.path_id("response_id")
    response = _find_response(call, response_id)
    if response is None:
        raise nothing_with_id("Response", response_id)
    return response


def _find_response(call: ApiCall, response_id: str) -> Response | None:
    """Return a response as it is now, if it can be read by its id."""
    response = call.store.responses.get(call.partition, response_id)
    return _as_of_now(call, response) if response is not None and response.is_readable(call.now) else None


def _as_of_now(call: ApiCall, response: Response) -> Response:
    apply_due_events(call.store, call.partition, response.run.thread_id, call.now)
    return call.store.responses.get(call.partition, response.id) or response
