import pytest

from gateway.server.sockets.connection_limits import FittedCounts, fit_file_limit


@pytest.mark.parametrize(
    ("max_sockets", "max_files", "expected"),
    [
        (10_000, 65_536, FittedCounts(20_000, 10_000)),
        (10_000, 20_000, FittedCounts(18_736, 10_000)),
        (10_000, 1_024, FittedCounts(512, 384)),
        (10, 65_536, FittedCounts(1_010, 10)),
        (10_000, 2, FittedCounts(1, 1)),
    ],
)
def test_connections_fit_into_the_files_beside_those_of_the_upstream(
    max_sockets: int, max_files: int, expected: FittedCounts
) -> None:
    assert fit_file_limit(max_sockets, 1_200, max_files) == expected


def test_plain_requests_find_room_at_any_file_limit() -> None:
    for max_files in range(8, 30_000, 7):
        counts = fit_file_limit(10_000, 1_200, max_files)
        assert counts.max_sockets < counts.max_connections < max_files
