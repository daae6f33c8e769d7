"""The operations on runs."""

from dataclasses import replace

from gateway.emulator.bodies import reply_objects
from gateway.emulator.bodies.api_errors import (
    active_run,
    empty_thread,
    not_cancellable,
    outputs_incomplete,
    outputs_not_awaited,
)
from gateway.emulator.bodies.run_bodies import (
    RunOptions,
    RunV1,
    RunV2,
    SubmitToolApprovals,
    SubmitToolOutputs,
    ThreadAndRunV1,
    ThreadAndRunV2,
)
from gateway.emulator.bodies.thread_bodies import ModifyMetadata, ThreadV2
from gateway.emulator.objects import Assistant, FunctionCall, JsonObject, McpCall, Run, Thread, Usage
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.lookups import (
    SEARCH_CONTENT,
    find_assistant,
    find_page,
    find_run,
    find_thread,
)
from gateway.emulator.operations.run_creation import new_run, script_input_for_run
from gateway.emulator.operations.run_files import store_made_files
from gateway.emulator.operations.threads import add_message, add_thread
from gateway.emulator.runs.answer_texts import count_tokens
from gateway.emulator.runs.lifecycle import cancellation_events, tool_output_events, waiting_step_usage
from gateway.emulator.runs.progress import Progress
from gateway.emulator.runs.schedule import timeline_from_script
from gateway.emulator.runs.script import model_may_answer, script_after_outputs, script_at_start
from gateway.emulator.state.run_timelines import load_progress, replace_pending_events, start_run
from gateway.emulator.streams.stream_events import RunStream, StreamReply, opening_events

_CANCELLABLE = frozenset({"queued", "in_progress", "requires_action"})


def list_runs(call: ApiCall) -> JsonObject:
    """Return a page of a thread's runs."""
    thread = find_thread(call)
    runs, has_more = find_page(call, call.store.runs, thread.id, "run", "run")
    return reply_objects.render_page([reply_objects.render_run(one, call.version) for one in runs], has_more=has_more)


def create_run(call: ApiCall) -> JsonObject | StreamReply:
    """Start a run on a thread that has no active run. With `stream`, return its event stream."""
    body = call.parse_body(RunV1) if call.version == "v1" else call.parse_body(RunV2)
    thread = find_thread(call)
    assistant = find_assistant(call, body.assistant_id)
    if (run_id := call.store.active_run_id(call.partition, thread.id)) is not None:
        raise active_run(thread.id, run_id)
    for message in body.additional_messages or ():
        add_message(call, thread.id, message)
    run = _start_new_run(call, body, thread, assistant)
    return _stream_run(call, run) if body.stream else reply_objects.render_run(run, call.version)


def create_thread_and_run(call: ApiCall) -> JsonObject | StreamReply:
    """Create a thread and start a run on it. With `stream`, return an event stream of both."""
    body = call.parse_body(ThreadAndRunV1) if call.version == "v1" else call.parse_body(ThreadAndRunV2)
    assistant = find_assistant(call, body.assistant_id)
    thread = add_thread(call, body.thread or ThreadV2())
    run = _start_new_run(call, body, thread, assistant)
    return _stream_run(call, run, thread) if body.stream else reply_objects.render_run(run, call.version)


def get_run(call: ApiCall) -> JsonObject:
    """Return a run as it is now."""
    return reply_objects.render_run(find_run(call), call.version)


def modify_run(call: ApiCall) -> JsonObject:
    """Change a run's metadata, at any time. Only the API of November 2023 refused it while the run was in flight."""
    body = call.parse_body(ModifyMetadata)
    run = find_run(call)
    if body.metadata is not None:
        run = replace(run, metadata=body.metadata)
        call.store.runs.replace(call.partition, run)
    return reply_objects.render_run(run, call.version)


def cancel_run(call: ApiCall) -> JsonObject:
    """Request a run's cancellation. That a queued or waiting run can be cancelled too is assumed."""
    run = find_run(call)
    if run.status not in _CANCELLABLE:
        raise not_cancellable(run.status)
    progress = load_progress(call.store, call.partition, run)
    pending = cancellation_events(progress, call.now)
    cancelled = replace_pending_events(call.store, call.partition, progress, pending, call.now)
    return reply_objects.render_run(cancelled, call.version)


def submit_tool_outputs(call: ApiCall) -> JsonObject | StreamReply:
    """Submit the outputs or approvals of all calls that a run waits for. The run is then queued again.

    With `stream`, return an event stream that begins with the completion of the step that waited.
    """
    approves = call.server == "foundry" and b'"tool_approvals"' in call.body
    body = call.parse_body(SubmitToolApprovals) if approves else call.parse_body(SubmitToolOutputs)
    run = find_run(call)
    if run.status != "requires_action":
        raise outputs_not_awaited(run.status)
    expected = [awaited.id for awaited in run.awaited_calls]
    answers = _answers(body)
    awaited_kind = McpCall if approves else FunctionCall
    if sorted(expected) != sorted(one for one, _ in answers) or not isinstance(run.awaited_calls[0], awaited_kind):
        raise outputs_incomplete(expected, [one for one, _ in answers])
    outputs = dict(answers)
    progress = load_progress(call.store, call.partition, run)
    timeline, applied = call.store.load_timeline(call.partition, run.id)
    script_input = script_input_for_run(call, run)
    completion_tokens = sum(count_tokens(function_call.arguments) for function_call in run.awaited_calls)
    usage = waiting_step_usage(timeline[:applied]) or Usage(script_input.prompt_tokens, completion_tokens)
    pending = tool_output_events(progress, outputs, usage, call.now)
    asks_model = call.has_model and run.asks_model
    if not asks_model:
        output_pairs = tuple((function_call.name, outputs[function_call.id]) for function_call in run.awaited_calls)
        pending += timeline_from_script(script_after_outputs(script_input, output_pairs), call.now, call.store.new_id)
    run = replace_pending_events(call.store, call.partition, progress, pending, call.now)
    if asks_model:
        call.runs_for_model.append(run)
    if body.stream:
        return StreamReply((), progress, applied, _stream_form(call))
    return reply_objects.render_run(run, call.version)


def _answers(body: SubmitToolOutputs | SubmitToolApprovals) -> list[tuple[str, str]]:
    """Return the ids of the answered calls with their outputs. Those of an MCP server are made up."""
    if isinstance(body, SubmitToolOutputs):
        return [(one.tool_call_id, one.output) for one in body.tool_outputs]
    outputs = {True: "Found 3 documents.", False: "The call was not approved."}
    return [(one.tool_call_id, outputs[one.approve]) for one in body.tool_approvals]


def _start_new_run(call: ApiCall, body: RunOptions, thread: Thread, assistant: Assistant) -> Run:
    run = new_run(call, body, thread, assistant)
    script_input = script_input_for_run(call, run)
    if not script_input.question and not run.instructions:
        raise empty_thread()
    if call.has_model and model_may_answer(script_input):
        run = replace(run, asks_model=True)
        start_run(call.store, call.partition, run, ())
        call.runs_for_model.append(run)
    else:
        script = script_at_start(script_input)
        store_made_files(call, script)
        timeline = timeline_from_script(script, call.now, call.store.new_id)
        start_run(call.store, call.partition, run, timeline)
    return run


def _stream_run(call: ApiCall, run: Run, thread: Thread | None = None) -> StreamReply:
    return StreamReply(opening_events(run, call.version, thread), Progress(run, {}, {}), 0, _stream_form(call))


def _stream_form(call: ApiCall) -> RunStream:
    return RunStream(call.version, with_search_content=SEARCH_CONTENT in call.includes)
