"""Turns every skipped test into a failure if `THREADS_GATEWAY_NO_SKIPS=1`, as in CI.

A test that cannot run on a developer's machine (for example without Chromium) skips and gives the reason. On a machine
with everything installed, a skip would hide a test that no longer runs.
"""

import os
from collections.abc import Generator

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Also catch a module that skips itself at import."""
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skipped report into a failed one that keeps the reason. Leaves an expected failure unchanged."""
    if os.environ.get("THREADS_GATEWAY_NO_SKIPS") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which THREADS_GATEWAY_NO_SKIPS=1 forbids: {report.longrepr}"
