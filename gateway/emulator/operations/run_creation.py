"""The creation of a run from a request and an assistant, and the input of its script."""

from gateway.emulator.bodies.api_errors import unsupported_value
from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.bodies.reply_objects import assistant_file_ids, tool_resources
from gateway.emulator.bodies.run_bodies import RunOptions, RunOptionsV2, RunV1, RunV2, ThreadAndRunV2
from gateway.emulator.objects import (
    RUN_LIFETIME_SECONDS,
    Assistant,
    JsonObject,
    Message,
    Run,
    TextPart,
    Thread,
)
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.run_files import read_data_files, read_images, searchable_files
from gateway.emulator.runs.answer_texts import count_content_tokens, count_tokens
from gateway.emulator.runs.script import FOUNDRY_SCENARIOS, SCENARIO_KEY, SCENARIOS, ScriptInput

# A run reads only the newest messages, as the "auto" truncation of the API does in its own way.
_MESSAGES_READ = 100


def new_run(call: ApiCall, body: RunOptions, thread: Thread, assistant: Assistant) -> Run:
    """Return a queued run. Options that the request omits come from the assistant or are the API's defaults."""
    scenario = body.metadata.get(SCENARIO_KEY)
    scenarios = FOUNDRY_SCENARIOS if call.server == "foundry" else SCENARIOS
    if scenario is not None and scenario not in scenarios:
        raise unsupported_value(f"metadata.{SCENARIO_KEY}", scenario, scenarios)
    newer = body if isinstance(body, RunOptionsV2) else None
    return Run(
        id=call.store.new_id("run"),
        thread_id=thread.id,
        assistant_id=assistant.id,
        created_at=call.whole_second,
        expires_at=call.whole_second + RUN_LIFETIME_SECONDS,
        model=body.model or assistant.model,
        instructions=_instructions(body, assistant),
        tools=assistant.tools if body.tools is None else tuple(tool.to_stored() for tool in body.tools),
        tool_resources=_resources(call, body, thread, assistant),
        file_ids=assistant_file_ids(assistant),
        metadata=body.metadata,
        temperature=assistant.temperature if body.temperature is None else body.temperature,
        top_p=assistant.top_p if body.top_p is None else body.top_p,
        reasoning_effort=(newer.reasoning_effort if newer else None) or assistant.reasoning_effort,
        max_completion_tokens=body.max_completion_tokens,
        max_prompt_tokens=body.max_prompt_tokens,
        truncation_strategy=(
            {"type": "auto", "last_messages": None}
            if body.truncation_strategy is None
            else body.truncation_strategy.model_dump()
        ),
        response_format=_echoed(body.response_format, assistant.response_format),
        tool_choice=_echoed(body.tool_choice, "auto"),
        parallel_tool_calls=newer is None or newer.parallel_tool_calls is not False,
    )


def script_input_for_run(call: ApiCall, run: Run) -> ScriptInput:
    """Return the input of a run's script: the run's options and its thread as it is now."""
    thread = call.store.threads.get(call.partition, run.thread_id)
    limit = run.truncation_strategy["last_messages"] or _MESSAGES_READ
    newest, _ = call.store.messages.page(call.partition, run.thread_id, ListQuery(limit=min(limit, _MESSAGES_READ)))
    asked = next((message for message in newest if message.role == "user"), None)
    prompt = sum(count_content_tokens(message.content) for message in newest)
    return ScriptInput(
        question=message_text(asked) if asked else "",
        run_id=run.id,
        images=read_images(call, asked),
        data_files=read_data_files(call, asked),
        tools=run.tools,
        tool_choice=run.tool_choice,
        parallel_tool_calls=run.parallel_tool_calls,
        files=searchable_files(call, run, thread, newest),
        scenario=run.metadata.get(SCENARIO_KEY),
        prompt_tokens=prompt
        + count_tokens(run.instructions or "")
        + sum(count_tokens(str(tool)) for tool in run.tools),
        max_prompt_tokens=run.max_prompt_tokens,
        max_completion_tokens=run.max_completion_tokens,
    )


def message_text(message: Message) -> str:
    """Return the text parts of a message, joined by line feeds."""
    return "\n".join(part.value for part in message.content if isinstance(part, TextPart))


def _instructions(body: RunOptions, assistant: Assistant) -> str | None:
    instructions = assistant.instructions if body.instructions is None else body.instructions
    additional = body.additional_instructions if isinstance(body, RunV1 | RunV2) else None
    return "\n".join(part for part in (instructions, additional) if part) or instructions


def _resources(call: ApiCall, body: RunOptions, thread: Thread, assistant: Assistant) -> JsonObject:
    if isinstance(body, ThreadAndRunV2) and body.tool_resources is not None:
        return body.tool_resources.to_stored(call.store.new_id("vs"))
    # A thread's resources take precedence over its assistant's (assumed).
    return {**tool_resources(assistant), **thread.tool_resources}


def _echoed(option: object, default: object) -> object:
    if option is None:
        return default
    return option if isinstance(option, str) else option.model_dump(exclude_none=True)  # type: ignore[attr-defined]
