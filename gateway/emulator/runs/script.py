"""The script of a run: its actions, chosen by its tools and the latest user message. Pure and deterministic.

Without tools a run writes one answer. A search tool with files searches them, and the answer cites them. The code
interpreter ranks and draws the table that the question attaches, or runs a few lines about its words. Function tools
are called once each, and an answer quotes their outputs. An answer without functions describes the images that it saw.
The run's metadata `{"emulator": SCENARIO}` chooses another script:

| scenario     | result                                                           |
|--------------|------------------------------------------------------------------|
| `fail`       | half of the answer, then failed with `server_error`              |
| `rate_limit` | failed with `rate_limit_exceeded` before any answer              |
| `incomplete` | half of the answer, then incomplete with `max_completion_tokens` |
| `slow`       | the usual script, ten times slower                               |
| `stuck`      | in progress without any step until it expires                    |
| `tool_error` | a tool call whose step fails, then failed with `tool_user_error` |
| `refusal`    | a message whose content is a refusal                             |
| `image`      | the code interpreter draws an image, with or without the tool    |
| `approval`   | a call of an MCP server's tool that waits for approval (Foundry) |
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeAlias

from gateway.emulator.content.read_file import ReadFile
from gateway.emulator.objects import (
    DEFAULT_RANKING,
    CodeImage,
    CodeLogs,
    CodeOutput,
    ContentPart,
    Failure,
    JsonObject,
    RefusalPart,
    SearchResult,
)
from gateway.emulator.runs.answer_texts import (
    answer_parts,
    cited_text_part,
    count_content_tokens,
    file_name_from_id,
    output_quoting_parts,
)
from gateway.emulator.runs.code_answers import MadeFile, code_answer
from gateway.emulator.runs.function_arguments import arguments_from_schema

SCENARIO_KEY = "emulator"
SCENARIOS = ("fail", "rate_limit", "incomplete", "slow", "stuck", "tool_error", "refusal", "image")
FOUNDRY_SCENARIOS = (*SCENARIOS, "approval")
SCENARIOS_WITH_OUTPUTS = (None, "slow", "approval")
"""The scenarios in which a client may be waited for, so that its outputs are answered."""

_MAX_PASSAGES = 5


@dataclass(frozen=True, slots=True)
class WriteMessage:
    """Write a message of these parts. With an `incomplete_reason` or a `failure`, stop in the middle of it."""

    parts: tuple[ContentPart, ...]
    incomplete_reason: str | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class CallFunctions:
    """Call the client's functions (name, JSON arguments) and wait for their outputs."""

    calls: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class AskForApproval:
    """Ask whether the tool of an MCP server may be called, with these JSON arguments."""

    server_label: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class RunCode:
    """Run code that makes files. With a failure, the step fails after the code was written."""

    input: str
    outputs: tuple[CodeOutput, ...]
    failure: Failure | None = None
    files: tuple[MadeFile, ...] = ()


@dataclass(frozen=True, slots=True)
class SearchFiles:
    """Search files and find these passages."""

    results: tuple[SearchResult, ...]
    ranking_options: JsonObject = field(default_factory=lambda: dict(DEFAULT_RANKING))
    query: str = ""


@dataclass(frozen=True, slots=True)
class EndIncomplete:
    """End the run as incomplete without an answer."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """End the run as failed without an answer."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Hang:
    """Do nothing until the run expires."""


Action: TypeAlias = WriteMessage | CallFunctions | AskForApproval | RunCode | SearchFiles | EndIncomplete | Fail | Hang


@dataclass(frozen=True, slots=True)
class Script:
    """The next actions of a run, in order. `pace` multiplies every delay."""

    actions: tuple[Action, ...]
    pace: float = 1.0
    prompt_tokens: int = 0

    @property
    def made_files(self) -> tuple[MadeFile, ...]:
        """Return the files that the actions make."""
        return tuple(file for action in self.actions if isinstance(action, RunCode) for file in action.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptInput:
    """The input that a run's script depends on.

    Attributes:
        run_id: The run, whose files have ids of their own.
        images: The images of the question.
        data_files: The files that the question hands to the code interpreter.
        files: The ids of the files that a search tool may read, with the names of those that have one.
    """

    question: str
    run_id: str = ""
    images: tuple[ReadFile, ...] = ()
    data_files: tuple[ReadFile, ...] = ()
    tools: tuple[JsonObject, ...] = ()
    tool_choice: Any = "auto"
    parallel_tool_calls: bool = True
    files: Mapping[str, str | None] = field(default_factory=dict)
    scenario: str | None = None
    prompt_tokens: int = 0
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None


def model_may_answer(script_input: ScriptInput) -> bool:
    """Return whether a model may answer the run: it chooses no scenario, and its prompt is within the limit."""
    return script_input.scenario is None and not _is_too_long(script_input)


def script_at_start(script_input: ScriptInput) -> Script:
    """Return the script of a run that starts."""
    if _is_too_long(script_input):
        actions: tuple[Action, ...] = (EndIncomplete("max_prompt_tokens"),)
    else:
        actions = _scenario_actions(script_input) or _default_actions(script_input)
    return _script(script_input, actions)


def script_after_outputs(script_input: ScriptInput, outputs: tuple[tuple[str, str], ...]) -> Script:
    """Return the script of a run whose calls got their outputs or decisions (pairs of name and output)."""
    return _script(script_input, (_answer_action(script_input, output_quoting_parts(outputs)),))


def _is_too_long(script_input: ScriptInput) -> bool:
    return script_input.max_prompt_tokens is not None and script_input.prompt_tokens > script_input.max_prompt_tokens


def _script(script_input: ScriptInput, actions: tuple[Action, ...]) -> Script:
    return Script(
        actions, pace=10.0 if script_input.scenario == "slow" else 1.0, prompt_tokens=script_input.prompt_tokens
    )


def _scenario_actions(script_input: ScriptInput) -> tuple[Action, ...]:
    question = script_input.question
    actions: tuple[Action, ...] = ()
    match script_input.scenario:
        case "fail":
            failure = Failure("server_error", "Sorry, something went wrong.")
            actions = (WriteMessage(answer_parts(question), failure=failure),)
        case "rate_limit":
            actions = (
                Fail(Failure("rate_limit_exceeded", "You exceeded your current quota, please try again later.")),
            )
        case "incomplete":
            actions = (WriteMessage(answer_parts(question), incomplete_reason="max_completion_tokens"),)
        case "stuck":
            actions = (Hang(),)
        case "tool_error":
            # The API's list of error codes is open: Azure's servers add this one.
            failure = Failure("tool_user_error", "The code interpreter could not run the code.")
            actions = (RunCode("raise RuntimeError('no data')", (), failure=failure),)
        case "refusal":
            actions = (WriteMessage(_refusal(question)),)
        case "image":
            actions = _code_actions(script_input, draws=True)
        case "approval":
            arguments = json.dumps({"query": question[:120]}, ensure_ascii=False, separators=(",", ":"))
            actions = (AskForApproval("docs", "search_docs", arguments),)
    return actions


def _default_actions(script_input: ScriptInput) -> tuple[Action, ...]:
    usable = _usable_tools(script_input)
    actions: list[Action] = []
    results: tuple[SearchResult, ...] = ()
    if {"file_search", "retrieval"} & usable.keys() and script_input.files:
        search = _search_action(script_input, (usable.get("file_search") or usable["retrieval"])[0])
        results = search.results
        actions.append(search)
    if functions := usable.get("function"):
        if not script_input.parallel_tool_calls:
            functions = functions[:1]
        actions.append(CallFunctions(tuple(_function_call(tool, script_input.question) for tool in functions)))
        return tuple(actions)
    if "code_interpreter" in usable:
        return (*actions, *_code_actions(script_input, draws=False))
    if results:
        return (*actions, _answer_action(script_input, (cited_text_part(script_input.question, results),)))
    return (*actions, _answer_action(script_input, answer_parts(script_input.question, script_input.images)))


def _usable_tools(script_input: ScriptInput) -> dict[str, list[JsonObject]]:
    """Return the tools that the run's tool choice allows, by type."""
    choice = script_input.tool_choice
    usable: dict[str, list[JsonObject]] = {}
    if choice == "none":
        return usable
    for tool in script_input.tools:
        if isinstance(choice, dict):
            wanted = choice.get("function", {}).get("name") if choice["type"] == "function" else None
            if tool["type"] != choice["type"] or (wanted and tool["function"]["name"] != wanted):
                continue
        usable.setdefault(tool["type"], []).append(tool)
    return usable


def _function_call(tool: JsonObject, question: str) -> tuple[str, str]:
    function = tool["function"]
    # Compact JSON, as in recorded traffic.
    arguments = arguments_from_schema(function.get("parameters") or {}, question)
    return function["name"], json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def _search_action(script_input: ScriptInput, tool: JsonObject) -> SearchFiles:
    """Return a search that keeps to the tool's number of results and to its threshold."""
    options = tool.get("file_search", {})
    ranking = {**DEFAULT_RANKING, **options.get("ranking_options", {})}
    results = (
        SearchResult(
            file_id=file_id,
            file_name=name or file_name_from_id(file_id),
            score=round(0.95 - 0.07 * index, 2),
            text=f"Passage {index + 1} on: {script_input.question[:120]}",
        )
        for index, (file_id, name) in enumerate(islice(script_input.files.items(), _MAX_PASSAGES))
    )
    found = tuple(result for result in results if result.score >= ranking["score_threshold"])
    return SearchFiles(found[: options.get("max_num_results", _MAX_PASSAGES)], ranking, script_input.question[:120])


def _code_actions(script_input: ScriptInput, *, draws: bool) -> tuple[Action, ...]:
    read = (*script_input.data_files, *script_input.images)
    answer = code_answer(script_input.run_id, script_input.question, read, draws=draws)
    outputs: tuple[CodeOutput, ...] = (CodeLogs(logs=answer.logs),)
    if answer.image_file_id:
        outputs = (*outputs, CodeImage(file_id=answer.image_file_id))
    return (RunCode(answer.code, outputs, files=answer.files), _answer_action(script_input, answer.parts))


def _answer_action(script_input: ScriptInput, parts: tuple[ContentPart, ...]) -> WriteMessage:
    limit = script_input.max_completion_tokens
    if limit is not None and count_content_tokens(parts) > limit:
        return WriteMessage(parts, incomplete_reason="max_completion_tokens")
    return WriteMessage(parts)


def _refusal(question: str) -> tuple[ContentPart, ...]:
    return (RefusalPart(refusal=f"I'm sorry, I can't help with that: {question[:80]}"),)
