"""Makes the suite quicker on several cores: without garbage collections of the tests themselves, long files first."""

import gc
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Mapping

import pytest

LONG_MARKERS = ("browser", "nginx", "timeout")

LONG_FILES = (
    "tests/gateway/ledger/test_lost_database.py",
    "tests/journeys/test_command_line.py",
    "tests/journeys/test_graceful_stop.py",
    "tests/journeys/test_ledger_commands.py",
    "tests/journeys/test_openai_sdk_streaming.py",
    "tests/journeys/test_openai_sdk_v1.py",
    "tests/journeys/test_persisted_query_clients.py",
    "tests/journeys/test_workers.py",
    "tests/schema/operations/test_event_execution.py",
)
"""Files of few tests that take more than five seconds of a processor, and carry none of the markers."""


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave modules and tests out of garbage collections: 780,000 objects, with which a full one takes 0.5 s."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long files first in a worker. A long one at the end would leave the other cores without work.

    The scheduler keeps this order with `--no-loadscope-reorder`; else it orders files by their number of tests alone.
    """
    if hasattr(config, "workerinput"):
        marked = {_file(item) for item in items if any(map(item.get_closest_marker, LONG_MARKERS))}
        ranks = rank_files(map(_file, items), {*marked, *LONG_FILES})
        items.sort(key=lambda item: ranks[_file(item)])


def rank_files(tests: Iterable[str], long: Collection[str]) -> Mapping[str, int]:
    """Return the place of each file: the long ones, then the others, those with more tests first.

    Args:
        tests: The file of each test.
        long: The long files.
    """
    counts = Counter(tests)
    ordered = sorted(counts, key=lambda file: (file not in long, -counts[file], file))
    return {file: place for place, file in enumerate(ordered)}


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]
