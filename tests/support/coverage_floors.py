"""Checks that each package's coverage by branch is not below its floor. `.ci/run --full` runs it after the suite.

python -m tests.support.coverage_floors .cache/coverage.json
"""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FLOORS: Mapping[str, float] = {
    "schema/contract": 98,
    "schema/engine": 95,
    "schema/graph": 99,
    "schema/operations": 95,
    "gateway/cache": 97,
    "gateway/copying": 80,
    "gateway/emulator": 97,
    "gateway/files": 90,
    "gateway/identity": 98,
    "gateway/ledger": 85,
    "gateway/rate_limits": 85,
    "gateway/redis": 99,
    "gateway/run_log": 95,
    "gateway/server": 94,
    "gateway/settings": 80,
    "gateway/telemetry": 75,
    "gateway/upstream": 98,
    "gateway/viewer": 80,
}
"""The floors in percent: a little below what was measured, since a few branches depend on the order of events."""


def coverage_by_package(report: Mapping[str, Any]) -> dict[str, float]:
    """Return the share of taken branches in percent for each package, from coverage's JSON report."""
    covered: Counter[str] = Counter()
    known: Counter[str] = Counter()
    for file, found in report["files"].items():
        package = "/".join(Path(file).parts[:2])
        covered[package] += found["summary"]["covered_branches"]
        known[package] += found["summary"]["num_branches"]
    return {package: 100 * covered[package] / count if count else 100.0 for package, count in known.items()}


def find_low_coverage(report: Mapping[str, Any], floors: Mapping[str, float] = FLOORS) -> list[str]:
    """Return a line for each package that is below its floor, or of which the report knows nothing."""
    coverage = coverage_by_package(report)
    return [
        f"{package}: expected at least {floor} % of its branches, got {coverage.get(package, 0.0):.1f} %"
        for package, floor in floors.items()
        if coverage.get(package, 0.0) < floor
    ]


def main() -> None:
    report = json.loads(Path(sys.argv[1]).read_text())
    for package, percent in sorted(coverage_by_package(report).items()):
        if package in FLOORS:
            sys.stdout.write(f"{package}: {percent:.1f} % of its branches, floor {FLOORS[package]} %\n")
    if low := find_low_coverage(report):
        sys.exit("\n".join(["", "Coverage is below its floor:", *low]))


if __name__ == "__main__":
    main()
