"""Writes what a model is asked, in the form of the chat-completions API; pure.

The run's instructions are the system message, then come the thread's messages, then what the run itself has said,
called and been given so far. Only function tools are offered: the code interpreter and the file search are the
emulator's own, and it has no files. Uploaded images are left out for the same reason.

Source: https://platform.openai.com/docs/api-reference/chat/create
"""

from collections.abc import Sequence
from typing import Any

from gateway.emulator.objects import (
    ContentPart,
    FunctionCall,
    ImageUrlPart,
    JsonObject,
    Message,
    RefusalPart,
    Run,
    TextPart,
)
from gateway.emulator.runs.answer_texts import count_content_tokens, count_tokens
from gateway.emulator.runs.progress import Progress


def chat_request(progress: Progress, messages: Sequence[Message], model: str | None = None) -> JsonObject:
    """Return the request's body; ``messages`` are the thread's before the run, oldest first.

    What has the API's default value is left out, since servers differ in what they know.
    """
    run = progress.run
    system = [{"role": "system", "content": run.instructions}] if run.instructions else []
    before = [{"role": message.role, "content": said} for message in messages if (said := _content(message))]
    return {
        "model": model or run.model,
        "messages": [*system, *before, *_run_messages(progress)],
        "stream": True,
        "stream_options": {"include_usage": True},
        **_sampling(progress),
        **_tools(progress),
    }


def remaining_tokens(progress: Progress) -> int | None:
    """Return how many tokens the run may still write, since its limit is for all its answers; None: any number."""
    limit = progress.run.max_completion_tokens
    if limit is None:
        return None
    return limit - sum(step.usage.completion_tokens for step in progress.steps.values() if step.usage)


def estimate_prompt_tokens(progress: Progress, messages: Sequence[Message]) -> int:
    """Return what the request is counted as where the model's server does not say."""
    run = progress.run
    own = [message.content for message in progress.messages.values()]
    return (
        sum(count_content_tokens(content) for content in [*(message.content for message in messages), *own])
        + count_tokens(run.instructions or "")
        + sum(count_tokens(str(tool)) for tool in _functions(run))
        + sum(count_tokens(call.arguments + (call.output or "")) for call in function_calls(progress))
    )


def function_calls(progress: Progress) -> list[FunctionCall]:
    """Return every function call that the run has made."""
    return [call for step in progress.steps.values() for call in step.tool_calls if isinstance(call, FunctionCall)]


def _sampling(progress: Progress) -> JsonObject:
    run = progress.run
    options: JsonObject = {}
    if run.temperature not in {None, 1.0}:
        options["temperature"] = run.temperature
    if run.top_p not in {None, 1.0}:
        options["top_p"] = run.top_p
    if run.reasoning_effort is not None:
        options["reasoning_effort"] = run.reasoning_effort
    if run.response_format != "auto":
        options["response_format"] = run.response_format
    if (remaining := remaining_tokens(progress)) is not None:
        options["max_completion_tokens"] = remaining
    return options


def _tools(progress: Progress) -> JsonObject:
    run = progress.run
    functions = _functions(run)
    if not functions:
        return {}
    tools: JsonObject = {"tools": functions}
    choice = _choice(run.tool_choice, is_answered=bool(function_calls(progress)))
    if choice is not None:
        tools["tool_choice"] = choice
    if not run.parallel_tool_calls:
        tools["parallel_tool_calls"] = False
    return tools


def _functions(run: Run) -> list[JsonObject]:
    functions = [tool["function"] for tool in run.tools if tool["type"] == "function"]
    return [
        {"type": "function", "function": {key: value for key, value in function.items() if value is not False}}
        for function in functions
    ]


def _choice(choice: Any, *, is_answered: bool) -> Any:
    """Return the choice of a tool; None for the default.

    A call that was demanded is demanded once: a model that had to call again after each output would never end
    (assumed; no traffic shows it).
    """
    if isinstance(choice, dict):
        return choice if choice["type"] == "function" and not is_answered else None
    if choice == "auto" or (choice == "required" and is_answered):
        return None
    return choice


def _content(message: Message) -> str | list[JsonObject]:
    """Return what a message says: text, or parts where a user shows images; empty if nothing can be sent."""
    has_images = message.role == "user" and any(isinstance(part, ImageUrlPart) for part in message.content)
    if not has_images:
        return _text(message.content)
    parts: list[JsonObject] = []
    for part in message.content:
        match part:
            case TextPart(value=text):
                parts.append({"type": "text", "text": text})
            case ImageUrlPart(url=url, detail=detail):
                parts.append({"type": "image_url", "image_url": {"url": url, "detail": detail}})
    return parts


def _run_messages(progress: Progress) -> list[JsonObject]:
    """Return what the run has said, called and been given, in order."""
    turn: list[JsonObject] = []
    said: list[str] = []
    for step in progress.steps.values():
        if step.message_id is not None:
            # A client may have deleted the message meanwhile.
            message = progress.messages.get(step.message_id)
            said += [text] if message and (text := _text(message.content)) else []
            continue
        calls = [call for call in step.tool_calls if isinstance(call, FunctionCall)]
        turn.append(
            {
                "role": "assistant",
                "content": "\n".join(said) or None,
                "tool_calls": [
                    {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                    for call in calls
                ],
            }
        )
        turn += [{"role": "tool", "tool_call_id": call.id, "content": call.output or ""} for call in calls]
        said = []
    return [*turn, {"role": "assistant", "content": "\n".join(said)}] if said else turn


def _text(content: Sequence[ContentPart]) -> str:
    texts: list[str] = []
    for part in content:
        match part:
            case TextPart(value=text) | RefusalPart(refusal=text):
                texts.append(text)
    return "\n".join(texts)
