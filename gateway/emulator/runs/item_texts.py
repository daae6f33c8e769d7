"""The content of items as a script reads it: the question, the outputs of calls, and numbers of tokens. Pure."""

from collections.abc import Iterable, Sequence

from gateway.emulator.objects import JsonObject
from gateway.emulator.runs.answer_texts import count_tokens

_IMAGE_TOKENS = 85
_DECISIONS = {True: "Found 3 documents.", False: "The call was not approved."}


def item_text(content: object) -> str:
    """Return the text of a message's content, or of an output: its text parts, joined by line feeds."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))


def question_of_items(items: Iterable[JsonObject]) -> JsonObject | None:
    """Return the last message that a user wrote. None if there is none."""
    questions = [item for item in items if item["type"] == "message" and item["role"] == "user"]
    return questions[-1] if questions else None


def part_file_ids(message: JsonObject, part_type: str) -> list[str]:
    """Return the files that the parts of one type in a message name."""
    return [part["file_id"] for part in message["content"] if part["type"] == part_type and part.get("file_id")]


def count_item_tokens(item: JsonObject) -> int:
    """Return the estimated number of tokens of an item."""
    match item["type"]:
        case "message":
            return sum(count_tokens(part["text"]) if "text" in part else _IMAGE_TOKENS for part in item["content"])
        case "function_call":
            return count_tokens(str(item["arguments"]))
        case "function_call_output":
            return count_tokens(item_text(item["output"]))
        case _:
            return 0


def unanswered_calls(items: Sequence[JsonObject]) -> list[str]:
    """Return the ids of the function calls that have no output later on."""
    waiting: dict[str, None] = {}
    for item in items:
        if item["type"] == "function_call":
            waiting[item["call_id"]] = None
        elif item["type"] == "function_call_output":
            waiting.pop(item["call_id"], None)
    return list(waiting)


def uncalled_outputs(items: Sequence[JsonObject]) -> list[str]:
    """Return the ids of the calls whose outputs come without their call before."""
    called = {item["call_id"] for item in items if item["type"] == "function_call"}
    return [
        item["call_id"] for item in items if item["type"] == "function_call_output" if item["call_id"] not in called
    ]


def latest_outputs(items: Sequence[JsonObject]) -> tuple[tuple[str, str], ...]:
    """Return the outputs at the end of the context, each with the name of its function. Those of approvals are made up.

    An output is no longer the latest once a message follows it.
    """
    names: dict[str, str] = {}
    for item in items:
        if item["type"] == "function_call":
            names[item["call_id"]] = item["name"]
        elif item["type"] == "mcp_approval_request":
            names[item["id"]] = item["name"]
    outputs: list[tuple[str, str]] = []
    for item in reversed(items):
        match item["type"]:
            case "function_call_output":
                outputs.append((names[item["call_id"]], item_text(item["output"])))
            case "mcp_approval_response":
                request_id: str = item["approval_request_id"]
                outputs.append((names.get(request_id, request_id), _DECISIONS[item["approve"]]))
            case _:
                break
    return tuple(reversed(outputs))
