"""Fault rules: which request meets which fault, so that clients can be tested against a bad upstream.

Pure, except that rules count their requests.

A rule names its requests (an operation, a pattern of operations or a method), a fault, and the requests of these that
it strikes: all, the first ones, every n-th, or a share of them chosen by a seed. Each rule counts the requests that it
matches. A rule with a stream fault counts streams instead. Latencies add up, and so do the habits of other servers. Of
the other faults, the first rule that strikes wins.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Annotated, Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from gateway.emulator.faults.habits import HABITS, HabitName

METHODS: Final = frozenset({"GET", "POST", "DELETE"})
FaultName: TypeAlias = Literal[
    "latency",
    "429",
    "500",
    "502",
    "503",
    "reset",
    "truncated",
    "html",
    "unfiltered",
    "upload-only",
    "cut",
    "garbled",
    "half-character",
    "silent",
    HabitName,
]
# An upload or a download of a file is a stream whose events are its pieces.
FILE_STREAM_FAULTS: Final[frozenset[str]] = frozenset({"cut", "silent"})
STREAM_FAULTS: Final[frozenset[str]] = FILE_STREAM_FAULTS | {"garbled", "half-character"}
_REQUEST_FAULTS: Final[frozenset[str]] = frozenset(get_args(FaultName)) - STREAM_FAULTS
_MAX_LATENCY_MS = 600_000
_MAX_COUNT = 1_000_000
# The faults that accept an option. With all other faults the option is refused.
_ONLY_FOR: Final[dict[str, frozenset[str]]] = {
    "latency_ms": frozenset({"latency"}),
    "status": frozenset({"html"}),
    "retry_after": frozenset({"429", "503"}),
    "events": STREAM_FAULTS,
}
_NEVER_AFTER: Final[dict[str, str]] = {
    **dict.fromkeys(STREAM_FAULTS, "since a stream begins after the write"),
    **dict.fromkeys(HABITS, "since it replaces no answer"),
    "unfiltered": "since it changes the request",
    "upload-only": "since it decides by the file that is found",
}
_SCHEDULES = ("first", "every", "probability")


class FaultRuleError(ValueError):
    """An invalid fault rule. The message names the expected and the given value."""


class FaultRule(BaseModel):
    """A rule that says which requests meet which fault.

    Attributes:
        operation: An operation's name in the specification, a pattern such as `list*`, or a method.
        when: With `after`, the request takes effect and only its response is lost.
        events: The number of good events before a stream fault.
        retry_after: Seconds in the `Retry-After` header.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    operation: Annotated[str, Field(min_length=1, max_length=64)]
    fault: FaultName
    latency_ms: Annotated[int, Field(ge=1, le=_MAX_LATENCY_MS)] | None = None
    status: Literal[200, 502] | None = None
    retry_after: Annotated[int, Field(ge=0, le=86_400)] | None = None
    events: Annotated[int, Field(ge=0, le=_MAX_COUNT)] | None = None
    when: Literal["before", "after"] = "before"
    first: Annotated[int, Field(ge=1, le=_MAX_COUNT)] | None = None
    every: Annotated[int, Field(ge=1, le=_MAX_COUNT)] | None = None
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, le=_MAX_COUNT)] = 0

    @model_validator(mode="after")
    def _options_fit_together(self) -> "FaultRule":
        for option, faults in _ONLY_FOR.items():
            if getattr(self, option) is not None and self.fault not in faults:
                _refuse(f"expected {option} only with {_listed(faults)}, got it with {self.fault}")
        if self.fault == "latency" and self.latency_ms is None:
            _refuse("expected latency_ms with latency, got none")
        if self.fault in _NEVER_AFTER and self.when == "after":
            _refuse(f"expected no 'when' with {self.fault}, {_NEVER_AFTER[self.fault]}, got after")
        schedules = [name for name in _SCHEDULES if getattr(self, name) is not None]
        if len(schedules) > 1:
            _refuse(f"expected at most one of {_listed(_SCHEDULES)}, got {' and '.join(schedules)}")
        return self

    @property
    def is_habit(self) -> bool:
        """Return whether the fault is a habit of other servers, which may strike together with other faults."""
        return self.fault in HABITS

    def matches(self, operation: str, method: str) -> bool:
        """Return whether the rule is about requests of this operation or method."""
        return self.operation == method or fnmatchcase(operation, self.operation)

    def strikes(self, number: int) -> bool:
        """Return whether the rule strikes its n-th request. `number` counts the requests that it matches, from 1."""
        if self.first is not None:
            return number <= self.first
        if self.every is not None:
            return number % self.every == 0
        if self.probability is not None:
            return _share_from_seed(self.seed, number) < self.probability
        return True


@dataclass(frozen=True, slots=True)
class Strike:
    """The faults that one request meets.

    Attributes:
        latency_before: Seconds to wait before the request takes effect.
        latency_after: Seconds to wait after it.
        rule: The rule whose fault replaces the response, if any.
        habits: The habits of other servers that the request meets.
    """

    latency_before: float = 0.0
    latency_after: float = 0.0
    rule: FaultRule | None = None
    habits: frozenset[str] = frozenset()

    @property
    def name(self) -> str | None:
        """Return the faults' name for the log. None if the request meets no fault."""
        latency = "latency" if self.latency_before or self.latency_after else None
        return "+".join(filter(None, (latency, *sorted(self.habits), self.rule.fault if self.rule else None))) or None


@dataclass(slots=True)
class RuleCount:
    """Numbers of requests that a rule matched (`seen`) and struck."""

    seen: int = 0
    struck: int = 0


class Faults:
    """The active fault rules with their counts.

    Raises:
        FaultRuleError: A rule matches no operation.
    """

    def __init__(self, rules: Sequence[FaultRule], operations: Collection[str]) -> None:
        self._operations = operations
        self.rules_with_counts: tuple[tuple[FaultRule, RuleCount], ...] = ()
        self.replace(rules)

    def replace(self, rules: Sequence[FaultRule]) -> None:
        """Replace the active rules. The new ones count from zero.

        Raises:
            FaultRuleError: A rule matches no operation. Nothing changes then.
        """
        for rule in rules:
            if rule.operation not in METHODS and not any(rule.matches(name, "") for name in self._operations):
                raise FaultRuleError(
                    f"expected an operation of the API as createRun, a pattern as list*, or one of {_listed(METHODS)}, "
                    f"got {rule.operation!r}"
                )
        self.rules_with_counts = tuple((rule, RuleCount()) for rule in rules)

    def decide_for_request(self, operation: str, method: str) -> Strike:
        """Count a request, and return the faults that it meets. Call this before the request is handled."""
        struck = self._struck(operation, method, _REQUEST_FAULTS)
        latencies = [rule for rule in struck if rule.latency_ms is not None]
        return Strike(
            latency_before=sum((rule.latency_ms or 0) for rule in latencies if rule.when == "before") / 1000,
            latency_after=sum((rule.latency_ms or 0) for rule in latencies if rule.when == "after") / 1000,
            rule=next((rule for rule in struck if _replaces(rule)), None),
            habits=frozenset(rule.fault for rule in struck if rule.is_habit),
        )

    def fault_for_stream(
        self, operation: str, method: str, possible: Collection[str] = STREAM_FAULTS
    ) -> FaultRule | None:
        """Count a stream that begins, and return the rule whose fault it meets, if any, of those that are possible."""
        return next(iter(self._struck(operation, method, possible)), None)

    def _struck(self, operation: str, method: str, possible: Collection[str]) -> list[FaultRule]:
        struck: list[FaultRule] = []
        for rule, count in self.rules_with_counts:
            if rule.fault not in possible or not rule.matches(operation, method):
                continue
            count.seen += 1
            # A rule has not struck if an earlier one replaces the response.
            is_too_late = _replaces(rule) and any(_replaces(other) for other in struck)
            if rule.strikes(count.seen) and not is_too_late:
                count.struck += 1
                struck.append(rule)
        return struck


def error_from_validation(error: ValidationError, where: str) -> FaultRuleError:
    """Return an error that describes the first problem of an invalid rule. `where` begins the path of the problem."""
    first = error.errors(include_url=False)[0]
    path = where + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in first["loc"])
    match first["type"]:
        case "extra_forbidden":
            words = f"expected only keys of a rule ({', '.join(FaultRule.model_fields)}), got another"
        case "missing":
            words = "expected a value, got none"
        case "fault_rule":
            words = first["msg"]
        case _:
            expected = first["msg"].removeprefix("Input should be ").partition(", unable")[0]
            shown = repr(first["input"])
            words = f"expected {expected}, got {shown if len(shown) <= 60 else shown[:57] + '...'}"
    return FaultRuleError(f"{path.lstrip('.')}: {words}" if path else words)


def _replaces(rule: FaultRule) -> bool:
    return rule.latency_ms is None and not rule.is_habit


def _share_from_seed(seed: int, number: int) -> float:
    """Return a number from 0 up to, not including, 1 that is always the same for this seed and number."""
    return int.from_bytes(hashlib.sha256(f"fault:{seed}:{number}".encode()).digest()[:8]) / 2.0**64


def _refuse(words: str) -> None:
    # Braces would be read as a template, but none of the texts has any.
    raise PydanticCustomError("fault_rule", words)


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names))
