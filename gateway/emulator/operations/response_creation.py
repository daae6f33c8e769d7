"""The check of a response's scenario, and the input of its script."""

from collections.abc import Sequence

from gateway.emulator.bodies.api_errors import unsupported_value
from gateway.emulator.ids import id_from_name
from gateway.emulator.objects import JsonObject, Metadata
from gateway.emulator.operations.api_call import ApiCall
from gateway.emulator.response_objects import Response
from gateway.emulator.runs.answer_texts import count_tokens
from gateway.emulator.runs.item_texts import count_item_tokens, question_from_items
from gateway.emulator.runs.script import FOUNDRY_SCENARIOS, SCENARIO_KEY, ScriptInput


def check_scenario(metadata: Metadata) -> None:
    """Refuse a scenario that does not exist."""
    scenario = metadata.get(SCENARIO_KEY)
    if scenario is not None and scenario not in FOUNDRY_SCENARIOS:
        raise unsupported_value(f"metadata.{SCENARIO_KEY}", scenario, FOUNDRY_SCENARIOS)


def script_input_for_response(call: ApiCall, response: Response, context: Sequence[JsonObject]) -> ScriptInput:
    """Return the input of a response's script: its options, and the items that it reads."""
    run = response.run
    stores = run.tool_resources.get("file_search", {}).get("vector_store_ids", [])
    # The files of a vector store are not known here, so each store counts as one file.
    files = {
        file_id: call.store.files.get(call.partition, file_id)
        for file_id in (id_from_name("file", one) for one in stores)
    }
    return ScriptInput(
        question=question_from_items(context),
        run_id=response.id,
        tools=run.tools,
        tool_choice=run.tool_choice,
        parallel_tool_calls=run.parallel_tool_calls,
        files={file_id: file.filename if file else None for file_id, file in files.items()},
        scenario=run.metadata.get(SCENARIO_KEY),
        prompt_tokens=sum(count_item_tokens(item) for item in context)
        + count_tokens(run.instructions or "")
        + sum(count_tokens(str(tool)) for tool in run.tools),
        max_completion_tokens=run.max_completion_tokens,
    )
