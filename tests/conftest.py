"""Fixtures of several directories: a real emulator, a real gateway over it, and the running demo."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.clocks import shared_clock
from tests.support.emulator import Emulator, running_emulator
from tests.support.faces import FACES, SuccessorEmulator, as_successor
from tests.support.full_runs import long_except
from tests.support.gateway import Gateway, running_command, running_gateway, url_in
from tests.support.postgresql import postgresql
from tests.support.responses_gateway import running_responses_gateway
from tests.support.valkey import _shared_cluster, _shared_valkey, valkey, valkey_cluster

__all__ = ["_shared_cluster", "_shared_valkey", "postgresql", "shared_clock", "valkey", "valkey_cluster"]  # fixtures


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests of a module with the mark `both_faces` over both, as far as they use the emulator of this file."""
    mark = metafunc.definition.get_closest_marker("both_faces")
    if mark is not None and "face" in metafunc.fixturenames:
        always = mark.kwargs.get("in_the_gate", False)
        metafunc.parametrize("face", FACES if always else long_except(FACES, FACES[:1]), indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect what the second face cannot do, or counts in other calls, from the modules that run over both."""
    foreign = [item for item in items if item.get_closest_marker("first_face") and _is_second_face(item)]
    config.hook.pytest_deselected(items=foreign)
    items[:] = [item for item in items if item not in foreign]


def _is_second_face(item: pytest.Item) -> bool:
    spec = getattr(item, "callspec", None)
    return spec is not None and spec.params.get("face") == "responses"


@pytest.fixture
def face(request: pytest.FixtureRequest) -> str:
    """The API of the emulator that a gateway uses: `assistants` unless a module has the mark `both_faces`."""
    return str(getattr(request, "param", "assistants"))


@pytest.fixture
async def emulator(face: str) -> AsyncIterator[Emulator]:
    """An empty emulator in memory, whose clock stands still; its REST client speaks version 2."""
    async with running_emulator() as emulator:
        if face == "assistants":
            yield emulator
        else:
            async with as_successor(emulator) as successor:
                yield successor


@pytest.fixture
async def gateway(emulator: Emulator) -> AsyncIterator[Gateway]:
    """A gateway over `emulator` by version 2; `execute` brings the key under which `emulator.post` writes."""
    if isinstance(emulator, SuccessorEmulator):
        async with running_responses_gateway(emulator, kept=emulator.kept) as gateway:
            yield gateway
        return
    async with running_gateway(emulator.url, upstream_dialect="openai-v2") as gateway:
        yield gateway


@pytest.fixture
async def gateway_v1(emulator: Emulator) -> AsyncIterator[Gateway]:
    """A gateway over `emulator` by version 1; from here on the emulator's REST client speaks version 1 too."""
    emulator.version = "v1"
    async with running_gateway(emulator.url, upstream_dialect="openai-v1") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def demo_gateway() -> Iterator[str]:
    """The base URL of `threads-gateway demo`, run as a person runs it."""
    with running_command("demo", "--port", "0", "--emulator-port", "0") as (_, printed):
        yield url_in(printed, "GraphiQL")


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> None:
    """Fails an asynchronous test that leaves a task behind."""
    if inspect.iscoroutinefunction(getattr(request.node, "function", None)):
        request.getfixturevalue("_no_tasks_left")


@pytest.fixture
async def _no_tasks_left() -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    yield
    # What was cancelled a moment ago still has to notice.
    for _ in range(3):
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()]
    assert left == [], f"tasks left behind: {left}"
