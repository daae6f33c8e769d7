"""The response that a request creates. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gateway.emulator.bodies.fields import Body
from gateway.emulator.bodies.item_bodies import MessageItem
from gateway.emulator.bodies.response_bodies import (
    AnswerFormat,
    AutoContainer,
    ContainerCode,
    CreateResponse,
    ResponseOptions,
    ResponseTool,
    StoreSearch,
)
from gateway.emulator.objects import JsonObject, Run
from gateway.emulator.response_objects import RESPONSE_LIFETIME_SECONDS, Response


def response_from_body(
    body: CreateResponse, items: Sequence[JsonObject], *, response_id: str, created_at: int, origin: str | None = None
) -> Response:
    """Return a queued response with these input items. Options that the request omits are the API's defaults."""
    tools = body.tools or ()
    response = Response(
        id=response_id,
        created_at=created_at,
        run=Run(
            id=response_id,
            thread_id=body.conversation_id or response_id,
            assistant_id="",
            created_at=created_at,
            expires_at=created_at + RESPONSE_LIFETIME_SECONDS,
            model=body.model,
            instructions=instructions_of(body),
            tools=stored_tools(body),
            tool_resources=_resources(tools),
            metadata=body.metadata,
            temperature=1.0 if body.temperature is None else body.temperature,
            top_p=1.0 if body.top_p is None else body.top_p,
            reasoning_effort=body.reasoning.effort if body.reasoning else None,
            max_completion_tokens=body.max_output_tokens,
            response_format=_stored_format(body.text.format if body.text else None),
            tool_choice=_stored_choice(body.tool_choice),
            parallel_tool_calls=body.parallel_tool_calls is not False,
        ),
        input=tuple(items),
        conversation_id=body.conversation_id,
        previous_response_id=body.previous_response_id,
        is_background=body.background is True,
        is_streamed=body.stream is True,
        store=body.store,
        shown_options=_shown_options(body, tools),
    )
    return response if origin is None else replace(response, origin=origin)


def stored_tools(body: ResponseOptions) -> tuple[JsonObject, ...]:
    """Return the tools of a request as a run has them."""
    return tuple(tool if isinstance(tool, dict) else tool.to_stored() for tool in body.tools or ())


def instructions_of(body: ResponseOptions) -> str | None:
    """Return the instructions of a request as one text."""
    if body.instructions is None or isinstance(body.instructions, str):
        return body.instructions
    messages = [item.to_stored() for item in body.instructions if isinstance(item, MessageItem)]
    return "\n".join(message["content"][0]["text"] for message in messages)


def _resources(tools: Sequence[ResponseTool]) -> JsonObject:
    resources: JsonObject = {}
    for tool in tools:
        match tool:
            case StoreSearch(vector_store_ids=store_ids):
                resources["file_search"] = {"vector_store_ids": list(store_ids)}
            case ContainerCode(container=AutoContainer(file_ids=file_ids)):
                resources["code_interpreter"] = {"file_ids": list(file_ids or ())}
    return resources


def _stored_choice(choice: Any) -> Any:
    """Return the choice of a tool as a run has it. A choice that the script does not know counts as `auto`."""
    if not isinstance(choice, dict):
        return choice or "auto"
    match choice.get("type"):
        case "function":
            return {"type": "function", "function": {"name": choice.get("name")}}
        case "file_search" | "code_interpreter" as kind:
            return {"type": kind}
        case _:
            return "auto"


def _stored_format(answer: AnswerFormat | None) -> Any:
    """Return the format of the answer as a run has it."""
    if answer is None or answer.type == "text":
        return "auto"
    if answer.type == "json_object":
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": _dumped(answer, exclude={"type"})}


def _dumped(options: Body | None, exclude: set[str] | None = None) -> JsonObject:
    return {} if options is None else options.model_dump(exclude_none=True, by_alias=True, exclude=exclude)


def _shown_options(body: CreateResponse, tools: Sequence[ResponseTool]) -> JsonObject:
    return {
        "max_tool_calls": body.max_tool_calls,
        "prompt_cache_key": body.prompt_cache_key,
        "reasoning": {"effort": None, "summary": None, **_dumped(body.reasoning)},
        "safety_identifier": body.safety_identifier,
        "service_tier": body.service_tier or "default",
        "text": {"format": {"type": "text"}, "verbosity": "medium", **_dumped(body.text)},
        "tool_choice": body.tool_choice or "auto",
        "tools": [tool if isinstance(tool, dict) else tool.to_shown() for tool in tools],
        "top_logprobs": body.top_logprobs or 0,
        "truncation": body.truncation or "disabled",
        "user": body.user,
    }
