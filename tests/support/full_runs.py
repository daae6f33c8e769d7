"""The options `--full` and `--engine`. Without `--full`, each matrix and each property runs in a short form.

The long members of a matrix carry the marker `full`. They are deselected, never skipped.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

SHORT_SHARE = 5
"""A short run tries one example of so many, but no fewer than `FEWEST_EXAMPLES`."""

FEWEST_EXAMPLES = 15


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run every member of every matrix, and all random examples")
    parser.addoption("--engine", choices=["compiled", "graphql-core"], help="let this engine execute operations")


def pytest_configure(config: pytest.Config) -> None:
    """Load the profile of hypothesis, and choose the engine, before any test module is imported."""
    if (engine := config.getoption("engine")) is not None:
        # Not imported otherwise, so that coverage sees the first import.
        from schema.operations.gateway_schema import GatewaySchema  # noqa: PLC0415
        from schema.root import build_schema  # noqa: PLC0415

        os.environ["GATEWAY_ENGINE"] = engine
        for build in (build_schema, GatewaySchema.__init__):
            assert build.__kwdefaults__ is not None
            build.__kwdefaults__["engine"] = engine
    common: dict[str, Any] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("full", **common)
    settings.register_profile("short", max_examples=100 // SHORT_SHARE, derandomize=True, **common)
    settings.load_profile("full" if config.getoption("full") else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the long members, except in a full run, and what another engine does not have."""
    left_out = [] if config.getoption("full") else ["full"]
    if config.getoption("engine") == "graphql-core":
        left_out.append("compiled")
    for marker in left_out:
        config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker(marker)])
        items[:] = [item for item in items if not item.get_closest_marker(marker)]


def examples(count: int, *, shared_fixtures: bool = False) -> settings:
    """Return the settings of a property with this many examples in a full run.

    Args:
        count: The number of examples in a full run.
        shared_fixtures: Whether one fixture may serve all examples.
    """
    profile = settings.default
    assert profile is not None
    allowed = [HealthCheck.function_scoped_fixture] if shared_fixtures else []
    return settings(
        max_examples=max(FEWEST_EXAMPLES, count // SHORT_SHARE) if profile.derandomize else count,
        suppress_health_check=[*profile.suppress_health_check, *allowed],
    )


def long_except(members: Iterable[Any], short: Sequence[Any]) -> list[Any]:
    """Return the members of a matrix for `parametrize`. Those not in `short` run only in a full run."""
    listed = list(members)
    missing = [member for member in short if member not in listed]
    assert missing == [], f"expected members of the matrix, got {missing}"
    return [member if member in short else _long(member) for member in listed]


def _long(member: Any) -> Any:
    return pytest.param(*(member if isinstance(member, tuple) else [member]), marks=pytest.mark.full)
