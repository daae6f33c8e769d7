"""The check of a response's scenario, and the input of its script."""

from collections.abc import Sequence

from gateway.emulator.bodies.api_errors import unsupported_value
from gateway.emulator.objects import JsonObject, Metadata
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.operations.run_files import files_of_stores, read_files
from gateway.emulator.response_objects import Response
from gateway.emulator.runs.answer_texts import count_tokens
from gateway.emulator.runs.item_texts import count_item_tokens, item_text, part_file_ids, question_of_items
from gateway.emulator.runs.script import FOUNDRY_SCENARIOS, SCENARIO_KEY, ScriptInput


def check_scenario(metadata: Metadata) -> None:
    """Refuse a scenario that does not exist."""
    scenario = metadata.get(SCENARIO_KEY)
    if scenario is not None and scenario not in FOUNDRY_SCENARIOS:
        raise unsupported_value(f"metadata.{SCENARIO_KEY}", scenario, FOUNDRY_SCENARIOS)


def script_input_for_response(call: ApiCall, response: Response, context: Sequence[JsonObject]) -> ScriptInput:
    """Return the input of a response's script: its options, and the items that it reads."""
    run, resources = response.run, response.run.tool_resources
    question = question_of_items(context)
    images = part_file_ids(question, "input_image") if question else []
    handed_over = part_file_ids(question, "input_file") if question else []
    return ScriptInput(
        question=item_text(question["content"]) if question else "",
        run_id=response.id,
        images=read_files(call, images),
        data_files=read_files(call, [*handed_over, *resources.get("code_interpreter", {}).get("file_ids", [])]),
        tools=run.tools,
        tool_choice=run.tool_choice,
        parallel_tool_calls=run.parallel_tool_calls,
        files=files_of_stores(call, resources.get("file_search", {}).get("vector_store_ids", [])),
        scenario=run.metadata.get(SCENARIO_KEY),
        prompt_tokens=sum(count_item_tokens(item) for item in context)
        + count_tokens(run.instructions or "")
        + sum(count_tokens(str(tool)) for tool in run.tools),
        max_completion_tokens=run.max_completion_tokens,
    )
