"""The creation of a run from a request and an assistant, and the input of its script."""

from gateway.emulator.bodies.api_errors import unsupported_value
from gateway.emulator.bodies.list_query import ListQuery
from gateway.emulator.bodies.reply_objects import assistant_file_ids, own_store_id, tool_resources
from gateway.emulator.bodies.run_bodies import RunOptions, RunOptionsV2, RunV1, RunV2, ThreadAndRunV2
from gateway.emulator.ids import id_from_name
from gateway.emulator.objects import (
    RUN_LIFETIME_SECONDS,
    Assistant,
    JsonObject,
    Message,
    Run,
    TextPart,
    Thread,
    UploadedFile,
)
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.runs.answer_texts import count_content_tokens, count_tokens
from gateway.emulator.runs.made_files import made_files
from gateway.emulator.runs.script import FOUNDRY_SCENARIOS, SCENARIO_KEY, SCENARIOS, Script, ScriptInput

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
    question = next((message_text(message) for message in newest if message.role == "user"), "")
    prompt = sum(count_content_tokens(message.content) for message in newest)
    return ScriptInput(
        question=question,
        tools=run.tools,
        tool_choice=run.tool_choice,
        parallel_tool_calls=run.parallel_tool_calls,
        files=_searchable_files(call, run, thread, newest),
        scenario=run.metadata.get(SCENARIO_KEY),
        prompt_tokens=prompt
        + count_tokens(run.instructions or "")
        + sum(count_tokens(str(tool)) for tool in run.tools),
        max_prompt_tokens=run.max_prompt_tokens,
        max_completion_tokens=run.max_completion_tokens,
    )


def store_made_files(call: ApiCall, script: Script) -> None:
    """Store the files that a script makes, as soon as its run starts. The same question makes the same files."""
    for made in made_files(script):
        if call.store.files.get(call.partition, made.file_id) is None:
            file = UploadedFile(
                id=made.file_id,
                created_at=call.whole_second,
                filename=made.filename,
                purpose="assistants_output",
                size=len(made.content),
            )
            call.store.store_file(call.partition, file, made.content)


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


def _searchable_files(call: ApiCall, run: Run, thread: Thread | None, newest: list[Message]) -> dict[str, str | None]:
    """Return the files that a search would read, by id and with their names, newest messages first.

    The emulator does not know the files of a vector store, so each store counts as one file. The exception is the
    assistant's own store, whose files are known.
    """
    attached = [
        attachment.file_id
        for message in newest
        for attachment in message.attachments
        if "file_search" in attachment.tools
    ]
    resources = (run.tool_resources, thread.tool_resources if thread else {})
    stores = [one for resource in resources for one in resource.get("file_search", {}).get("vector_store_ids", [])]
    own = own_store_id(run.assistant_id)
    stored = [id_from_name("file", one) for one in stores if one != own]
    files = {file_id: call.store.files.get(call.partition, file_id) for file_id in [*attached, *run.file_ids, *stored]}
    return {file_id: file.filename if file else None for file_id, file in files.items()}


def _echoed(option: object, default: object) -> object:
    if option is None:
        return default
    return option if isinstance(option, str) else option.model_dump(exclude_none=True)  # type: ignore[attr-defined]
