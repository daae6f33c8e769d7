"""Prometheus' own checker, `promtool` of Debian's package `prometheus`."""

import shutil
import subprocess

import pytest


def run_promtool(*arguments: str, stdin: str | None = None) -> str:
    """Run a check that has to pass, and return its output. Skips the test if promtool is not installed."""
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("no promtool here: apt-get install prometheus")
    done = subprocess.run([found, *arguments], input=stdin, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout
