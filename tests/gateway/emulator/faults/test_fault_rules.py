from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway.emulator.faults.fault_rules import FaultRule, FaultRuleError, Faults, Strike, error_from_validation

OPERATIONS = ("createRun", "listRuns", "listMessages", "getRun")


def a_rule(operation: str = "*", fault: Any = "503", **options: Any) -> FaultRule:
    return FaultRule(operation=operation, fault=fault, **options)


def struck_numbers(rule: FaultRule, count: int = 12) -> list[int]:
    return [number for number in range(1, count + 1) if rule.strikes(number)]


def test_a_rule_without_options_always_strikes() -> None:
    assert struck_numbers(a_rule(), 3) == [1, 2, 3]


def test_a_rule_strikes_the_first_requests_or_every_nth() -> None:
    assert struck_numbers(a_rule(first=2)) == [1, 2]
    assert struck_numbers(a_rule(every=5)) == [5, 10]


@given(st.integers(0, 1000), st.floats(0, 1))
def test_a_share_is_deterministic_and_about_as_big_as_its_probability(seed: int, probability: float) -> None:
    rule = a_rule(seed=seed, probability=probability)
    struck = struck_numbers(rule, 300)
    assert struck == struck_numbers(rule, 300)
    assert abs(len(struck) / 300 - probability) < 0.2


def test_the_probabilities_0_and_1_are_exact() -> None:
    assert struck_numbers(a_rule(probability=0)) == []
    assert struck_numbers(a_rule(probability=1)) == list(range(1, 13))


def test_another_seed_chooses_other_requests() -> None:
    assert struck_numbers(a_rule(probability=0.5), 40) != struck_numbers(a_rule(probability=0.5, seed=1), 40)


@pytest.mark.parametrize(
    ("target", "concerned"),
    [
        ("createRun", {"createRun"}),
        ("list*", {"listRuns", "listMessages"}),
        ("*Run", {"createRun", "getRun"}),
        ("POST", {"createRun"}),
        ("*", set(OPERATIONS)),
    ],
)
def test_a_rule_names_an_operation_a_pattern_or_a_method(target: str, concerned: set[str]) -> None:
    methods = {"createRun": "POST"}
    rule = a_rule(target)
    assert {name for name in OPERATIONS if rule.matches(name, methods.get(name, "GET"))} == concerned


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"fault": "latency"}, "expected latency_ms with latency, got none"),
        ({"fault": "503", "latency_ms": 5}, "expected latency_ms only with latency, got it with 503"),
        ({"fault": "503", "status": 502}, "expected status only with html, got it with 503"),
        ({"fault": "500", "retry_after": 1}, "expected retry_after only with 429, 503, got it with 500"),
        ({"fault": "reset", "events": 1}, "expected events only with cut, garbled, half-character, silent"),
        ({"fault": "cut", "when": "after"}, "expected no 'when' with cut"),
        (
            {"fault": "503", "first": 1, "every": 2},
            "expected at most one of every, first, probability, got first and e",
        ),
        ({"fault": "504"}, "fault: expected 'latency', '429'"),
        ({"fault": "503", "first": 0}, "first: expected greater than or equal to 1, got 0"),
        ({"fault": "503", "probability": 2}, "probability: expected less than or equal to 1, got 2"),
        ({"fault": "503", "colour": "red"}, "colour: expected only keys of a rule (operation, fault, "),
        ({}, "fault: expected a value, got none"),
    ],
)
def test_an_invalid_rule_is_refused_with_a_clear_message(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        FaultRule.model_validate({"operation": "*", **fields})
    assert message in str(error_from_validation(refused.value, ""))


@pytest.mark.parametrize("target", ["createRum", "PUT", "lists*", "get"])
def test_a_rule_that_matches_no_operation_is_refused(target: str) -> None:
    with pytest.raises(FaultRuleError) as refused:
        Faults([a_rule(target)], OPERATIONS)
    assert str(refused.value) == (
        "expected an operation of the API as createRun, a pattern as list*, or one of DELETE, GET, POST, "
        f"got {target!r}"
    )


def test_without_rules_nothing_is_struck() -> None:
    faults = Faults([], OPERATIONS)
    assert faults.decide_for_request("getRun", "GET") == Strike()
    assert faults.fault_for_stream("createRun", "POST") is None
    assert Strike().name is None


def test_each_rule_counts_the_requests_that_it_matches() -> None:
    faults = Faults([a_rule("getRun", first=1), a_rule("*", "500", every=2)], OPERATIONS)
    names = [
        faults.decide_for_request(name, "GET").name for name in ("listRuns", "getRun", "getRun", "listRuns", "getRun")
    ]
    assert names == [None, "503", None, "500", None]
    assert [(count.seen, count.struck) for _, count in faults.rules_with_counts] == [(3, 1), (5, 1)]


def test_latencies_add_up_and_combine_with_the_first_other_fault() -> None:
    rules = [
        a_rule(fault="latency", latency_ms=200),
        a_rule(fault="429", retry_after=3),
        a_rule(fault="latency", latency_ms=300),
        a_rule(fault="latency", latency_ms=50, when="after"),
        a_rule(fault="500"),
    ]
    strike = Faults(rules, OPERATIONS).decide_for_request("getRun", "GET")
    assert strike == Strike(latency_before=0.5, latency_after=0.05, rule=rules[1])
    assert strike.name == "latency+429"


def test_rules_with_stream_faults_count_only_streams() -> None:
    faults = Faults([a_rule("createRun", "cut", first=1), a_rule("createRun", first=1)], OPERATIONS)
    assert faults.decide_for_request("createRun", "POST").name == "503"
    assert faults.decide_for_request("createRun", "POST").name is None
    struck = faults.fault_for_stream("createRun", "POST")
    assert struck is not None
    assert struck.fault == "cut"
    assert faults.fault_for_stream("createRun", "POST") is None


def test_new_rules_count_from_zero_and_bad_ones_change_nothing() -> None:
    faults = Faults([a_rule(first=1)], OPERATIONS)
    faults.decide_for_request("getRun", "GET")
    with pytest.raises(FaultRuleError):
        faults.replace([a_rule("nothing")])
    assert faults.decide_for_request("getRun", "GET").name is None
    faults.replace([a_rule(first=1)])
    assert faults.decide_for_request("getRun", "GET").name == "503"
