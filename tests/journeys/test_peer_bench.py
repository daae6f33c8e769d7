"""The measurement beside hand-written Node runs by one command, and both servers make as few upstream calls."""

import re

import pytest

from tests.bench.peer.__main__ import main


@pytest.mark.full
@pytest.mark.timeout(900)
def test_both_servers_respond_to_all_four_queries(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rounds", "1", "--seconds", "0.2", "--clients", "2"])
    rows = re.findall(r"^\| (q\d): .*? \| (\d+) / (\d+) \| [\d.]+ / [\d.]+ \|", capsys.readouterr().out, re.MULTILINE)
    assert rows == [("q1", "2", "2"), ("q2", "150", "150"), ("q3", "11", "11"), ("q4", "4", "4")]
