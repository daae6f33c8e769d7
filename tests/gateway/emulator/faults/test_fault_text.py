from typing import Any

import pytest

from gateway.emulator.faults.fault_rules import FaultRule, FaultRuleError
from gateway.emulator.faults.fault_text import parse_fault_rules


def a_rule(operation: str, fault: Any, **options: Any) -> FaultRule:
    return FaultRule(operation=operation, fault=fault, **options)


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("", ()),
        ("  ", ()),
        ("createRun:503", (a_rule("createRun", "503"),)),
        ("list*:latency=500ms", (a_rule("list*", "latency", latency_ms=500),)),
        ("GET:latency=2s:every=3", (a_rule("GET", "latency", latency_ms=2000, every=3),)),
        ("*:429:every=10:retry_after=3", (a_rule("*", "429", every=10, retry_after=3),)),
        ("*:html", (a_rule("*", "html"),)),
        ("*:html=502", (a_rule("*", "html", status=502),)),
        ("POST:reset:when=after:first=1", (a_rule("POST", "reset", when="after", first=1),)),
        ("*:500:probability=0.25:seed=7", (a_rule("*", "500", probability=0.25, seed=7),)),
        ("createRun:half-character:events=8", (a_rule("createRun", "half-character", events=8),)),
        (" a* : 500 , GET:502 ", (a_rule("a*", "500"), a_rule("GET", "502"))),
    ],
)
def test_a_text_is_read_into_its_rules_in_order(text: str, rules: tuple[FaultRule, ...]) -> None:
    assert parse_fault_rules(text) == rules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("createRun", "expected rules as OPERATION:FAULT:OPTION=VALUE, separated by commas, got 'createRun'"),
        (":503", "expected rules as OPERATION:FAULT"),
        ("*:503,", "expected rules as OPERATION:FAULT:OPTION=VALUE, separated by commas, got ''"),
        ("*:504", "expected 'latency', '429'"),
        ("*:latency", "expected a latency as latency=500ms or latency=2s, got 'latency'"),
        ("*:latency=5", "got 'latency=5'"),
        ("*:latency=9999s", "latency_ms: expected less than or equal to 600000, got 9999000"),
        ("*:html=404", "expected html=200 or html=502, got 'html=404'"),
        ("*:503=2", "expected a value only with latency and html, got '503=2'"),
        ("*:503:first", "expected an option as first=, every=, "),
        ("*:503:color=1", "expected an option as first=, every=, "),
        ("*:503:first=1:first=2", "expected first once, got it twice"),
        ("*:503:first=two", "first: expected a valid integer, got 'two'"),
        ("*:503:when=later", "when: expected 'before' or 'after', got 'later'"),
        ("*:cut:when=after", "expected no 'when' with cut"),
    ],
)
def test_a_bad_text_is_refused_with_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(FaultRuleError) as refused:
        parse_fault_rules(text)
    assert message in str(refused.value)
