"""The parser of fault rules in one line of text, as a flag or an environment variable holds them. Pure.

    createRun:503:first=2,list*:latency=500ms,*:429:every=10:retry_after=3

The form is `RULE,RULE,...`, where a rule is `OPERATION:FAULT` and any number of `:OPTION=VALUE`.

| part        | values                                                                                 |
|-------------|----------------------------------------------------------------------------------------|
| OPERATION   | an operation of the API (`createRun`), a pattern (`list*`), or `GET`, `POST`, `DELETE` |
| FAULT       | `latency=500ms` (or `2s`), `429`, `500`, `502`, `503`, `reset`, `truncated`,           |
|             | `html` (status 200) or `html=502`, `unfiltered` (the filter of a list, or the range of |
|             | a download, is ignored), `upload-only` (content that the real service keeps to itself  |
|             | is refused); of streams: `cut`, `garbled`, `half-character`, `silent`. Uploads and     |
|             | downloads of files are streams too: `cut`, `silent`; the habits of other servers       |
|             | (`habits.py`)                                                                          |
| which ones  | `first=N`, `every=N` or `probability=0.5` (with `seed=N`); none of them: all           |
| when        | `when=after`: the request takes effect, its answer is lost (`when=before` otherwise)   |
| retry_after | seconds in `Retry-After`, with `429` and `503`                                         |
| events      | number of good events before a stream fault, or pieces of 64 KiB of a file (default 5) |
"""

import re

from pydantic import ValidationError

from gateway.emulator.faults.fault_rules import FaultRule, FaultRuleError, error_from_validation

_OPTIONS = ("first", "every", "probability", "seed", "when", "retry_after", "events")
_DURATION = re.compile(r"(\d{1,9})(ms|s)")


def parse_fault_rules(text: str) -> tuple[FaultRule, ...]:
    """Return the rules of a text, in its order. An empty text has no rules.

    Raises:
        FaultRuleError: The text has another form, or a rule is invalid.
    """
    return tuple(_parse_rule(part.strip()) for part in text.split(",")) if text.strip() else ()


def _parse_rule(text: str) -> FaultRule:
    operation, *rest = (part.strip() for part in text.split(":"))
    if not operation or not rest:
        raise FaultRuleError(f"expected rules as OPERATION:FAULT:OPTION=VALUE, separated by commas, got {text!r}")
    fields = {"operation": operation, **_parse_fault(rest[0], text)}
    for option in rest[1:]:
        name, equals, value = option.partition("=")
        if name not in _OPTIONS or not equals:
            raise FaultRuleError(f"expected an option as {', '.join(f'{one}=' for one in _OPTIONS)}, got {option!r}")
        if name in fields:
            raise FaultRuleError(f"expected {name} once, got it twice in {text!r}")
        fields[name] = value
    try:
        # Numbers are still texts here. The model converts them.
        return FaultRule.model_validate(fields)
    except ValidationError as error:
        raise error_from_validation(error, f"'{text}'") from None


def _parse_fault(fault: str, text: str) -> dict[str, str | int]:
    name, equals, value = fault.partition("=")
    if name == "latency":
        duration = _DURATION.fullmatch(value)
        if duration is None:
            raise FaultRuleError(f"expected a latency as latency=500ms or latency=2s, got {fault!r}")
        return {"fault": name, "latency_ms": int(duration[1]) * (1000 if duration[2] == "s" else 1)}
    if name == "html" and equals:
        if value not in {"200", "502"}:
            raise FaultRuleError(f"expected html=200 or html=502, got {fault!r}")
        return {"fault": name, "status": int(value)}
    if equals:
        raise FaultRuleError(f"expected a value only with latency and html, got {fault!r} in {text!r}")
    return {"fault": name}
