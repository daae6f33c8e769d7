from typing import get_type_hints

from schema.contract.ports import (
    AssistantPageKey,
    MessageFilePageKey,
    MessagePageKey,
    RunPageKey,
    RunStepPageKey,
    ThreadsApi,
)
from schema.engine.loaders import Loaders
from tests.support.fake_threads_api import FakeThreadsApi

PAGE_KEYS = [AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey]


def port_functions() -> set[str]:
    return {name for name in vars(ThreadsApi) if name.startswith(("get_", "list_"))}


def test_every_function_of_the_port_takes_keys_and_gives_results_and_lists_tell_of_each() -> None:
    for name in port_functions():
        callback = {"on_result"} if name.startswith("list_") else set()
        assert set(get_type_hints(getattr(ThreadsApi, name))) == {"keys", "return"} | callback, name


async def test_every_function_of_the_port_has_its_loader() -> None:
    loaders = Loaders(FakeThreadsApi())
    made = [getattr(loaders, name) for name in vars(Loaders)]
    behind = {loader._fetch.__name__ for loader in made if hasattr(loader, "_fetch")}
    assert behind == port_functions()
    await loaders.aclose()


def test_every_page_key_has_a_window_so_that_loaders_can_widen_it() -> None:
    assert all("window" in get_type_hints(key) for key in PAGE_KEYS)
