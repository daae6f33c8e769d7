import logging

import pytest

from gateway.telemetry.rare_warning import RareWarning


def test_a_warning_is_given_once_in_a_second(caplog: pytest.LogCaptureFixture) -> None:
    times = iter([0.0, 0.5, 0.9, 1.0, 1.5])
    warning = RareWarning(logging.getLogger("here"), "trouble (%s)", now=lambda: next(times))
    for number in range(5):
        warning.give(number)
    assert [record.getMessage() for record in caplog.records] == [
        "trouble (0); since the last such line: 1",
        "trouble (3); since the last such line: 3",
    ]
