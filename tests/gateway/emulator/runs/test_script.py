import json
from typing import Any

import pytest

from gateway.emulator.objects import RefusalPart, TextPart
from gateway.emulator.runs.script import (
    SCENARIOS,
    CallFunctions,
    EndIncomplete,
    Fail,
    Hang,
    RunCode,
    ScriptInput,
    SearchFiles,
    WriteMessage,
    model_may_answer,
    script_after_outputs,
    script_at_start,
)
from tests.gateway.emulator.api_client import TIME_TOOL, WEATHER_TOOL

CODE_TOOL = {"type": "code_interpreter"}
SEARCH_TOOL = {"type": "file_search"}


def kinds(**fields: Any) -> list[type]:
    return [
        type(action) for action in script_at_start(ScriptInput(**{"question": "What is in Kyoto?", **fields})).actions
    ]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, [WriteMessage]),
        ({"tools": (WEATHER_TOOL,)}, [CallFunctions]),
        ({"tools": (WEATHER_TOOL,), "tool_choice": "none"}, [WriteMessage]),
        ({"tools": (CODE_TOOL,)}, [RunCode, WriteMessage]),
        ({"tools": (SEARCH_TOOL,)}, [WriteMessage]),
        ({"tools": (SEARCH_TOOL,), "files": {"file-1": None}}, [SearchFiles, WriteMessage]),
        ({"tools": (SEARCH_TOOL, CODE_TOOL), "files": {"file-1": None}}, [SearchFiles, RunCode, WriteMessage]),
        ({"tools": (SEARCH_TOOL, WEATHER_TOOL), "files": {"file-1": None}}, [SearchFiles, CallFunctions]),
        ({"tools": (CODE_TOOL, WEATHER_TOOL), "tool_choice": {"type": "code_interpreter"}}, [RunCode, WriteMessage]),
        ({"prompt_tokens": 300, "max_prompt_tokens": 256}, [EndIncomplete]),
        ({"scenario": "fail"}, [WriteMessage]),
        ({"scenario": "rate_limit"}, [Fail]),
        ({"scenario": "incomplete"}, [WriteMessage]),
        ({"scenario": "slow"}, [WriteMessage]),
        ({"scenario": "stuck"}, [Hang]),
        ({"scenario": "tool_error"}, [RunCode]),
        ({"scenario": "refusal"}, [WriteMessage]),
        ({"scenario": "image"}, [RunCode, WriteMessage]),
    ],
)
def test_the_actions_of_a_run_follow_from_its_script_input(fields: dict[str, Any], expected: list[type]) -> None:
    assert kinds(**fields) == expected


def calls(**fields: Any) -> tuple[tuple[str, str], ...]:
    (action,) = script_at_start(
        ScriptInput(question="What is in Kyoto?", tools=(WEATHER_TOOL, TIME_TOOL), **fields)
    ).actions
    assert isinstance(action, CallFunctions)
    return action.calls


def test_each_function_is_called_once_with_arguments_of_its_schema() -> None:
    (weather, arguments), (time, nothing) = calls()
    assert (weather, time) == ("get_weather", "get_time")
    assert json.loads(arguments) == {"city": "Kyoto"}
    assert nothing == "{}"


def test_tool_choice_and_parallel_tool_calls_limit_the_calls() -> None:
    chosen = {"type": "function", "function": {"name": "get_time"}}
    assert [name for name, _ in calls(tool_choice=chosen)] == ["get_time"]
    assert [name for name, _ in calls(parallel_tool_calls=False)] == ["get_weather"]
    assert len(calls(tool_choice="required")) == 2


def test_outputs_are_quoted_in_the_answer() -> None:
    (action,) = script_after_outputs(ScriptInput(question="Food?"), (("get_food", "tacos"),)).actions
    assert isinstance(action, WriteMessage)
    assert isinstance(action.parts[0], TextPart)
    assert "tacos" in action.parts[0].value


def test_an_answer_longer_than_its_limit_is_incomplete() -> None:
    (action,) = script_at_start(ScriptInput(question="What? " * 40, max_completion_tokens=256)).actions
    assert isinstance(action, WriteMessage)
    assert action.incomplete_reason == "max_completion_tokens"


def test_a_slow_run_has_a_slower_pace() -> None:
    assert script_at_start(ScriptInput(question="x", scenario="slow")).pace == 10.0


def test_the_refusal_scenario_writes_a_refusal_part() -> None:
    (action,) = script_at_start(ScriptInput(question="x", scenario="refusal")).actions
    assert isinstance(action, WriteMessage)
    assert isinstance(action.parts[0], RefusalPart)


@pytest.mark.parametrize("scenario", [None, *SCENARIOS])
def test_the_same_script_input_has_the_same_script(scenario: str | None) -> None:
    script_input = ScriptInput(question="Draw a chart, كيوتو 🎉", tools=(CODE_TOOL,), scenario=scenario)
    assert script_at_start(script_input) == script_at_start(script_input)


def test_a_model_may_answer_without_a_scenario_and_within_the_limit() -> None:
    assert model_may_answer(ScriptInput(question="Why?", prompt_tokens=256, max_prompt_tokens=256))
    assert not model_may_answer(ScriptInput(question="Why?", prompt_tokens=257, max_prompt_tokens=256))
    assert not any(model_may_answer(ScriptInput(question="Why?", scenario=scenario)) for scenario in SCENARIOS)


def search_action(**options: object) -> SearchFiles:
    tool = {"type": "file_search", "file_search": options}
    files = {f"file-{number}": None for number in range(8)} | {"file-1": "handbook.pdf"}
    action = script_at_start(ScriptInput(question="Days of leave?", tools=(tool,), files=files)).actions[0]
    assert isinstance(action, SearchFiles)
    return action


def test_a_search_keeps_to_the_tools_threshold_and_number_of_results() -> None:
    assert [result.score for result in search_action().results] == [0.95, 0.88, 0.81, 0.74, 0.67]
    assert search_action().ranking_options == {"ranker": "default_2024_08_21", "score_threshold": 0.0}
    ranked = search_action(ranking_options={"score_threshold": 0.8}, max_num_results=2)
    assert [result.score for result in ranked.results] == [0.95, 0.88]
    assert ranked.ranking_options == {"ranker": "default_2024_08_21", "score_threshold": 0.8}


def test_a_result_has_the_name_of_its_file() -> None:
    assert [result.file_name for result in search_action(max_num_results=2).results] == ["0.md", "handbook.pdf"]
