"""Turns every skipped test into a failed run when `THREADS_GATEWAY_NO_SKIPS=1`, as CI sets it.

A test that cannot run on a developer's machine (no Chromium, say) skips and says why; where everything is
installed, a skip would hide a test that silently stopped running.
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
    """A whole module that skips itself at import counts too."""
    report = yield
    refuse_skip(report)
    return report


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Makes a skipped report a failed one, with the reason kept; leaves an expected failure alone."""
    if os.environ.get("THREADS_GATEWAY_NO_SKIPS") == "1" and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which THREADS_GATEWAY_NO_SKIPS=1 forbids: {report.longrepr}"
