from typing import get_type_hints

from schema.contract.kinds import AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey
from schema.contract.ports import ThreadsApi
from schema.engine.loaders import Loaders
from tests.support.fake_threads_api import FakeThreadsApi

PAGE_KEYS = [AssistantPageKey, MessageFilePageKey, MessagePageKey, RunPageKey, RunStepPageKey]


def read_functions() -> set[str]:
    return {name for name in vars(ThreadsApi) if name.startswith(("get_", "list_"))}


def test_every_read_takes_keys_and_only_lists_take_a_callback() -> None:
    for name in read_functions():
        callback = {"on_result"} if name.startswith("list_") else set()
        assert set(get_type_hints(getattr(ThreadsApi, name))) == {"keys", "return"} | callback, name


async def test_every_read_of_the_port_has_a_loader() -> None:
    loaders = Loaders(FakeThreadsApi())
    made = [getattr(loaders, name) for name in vars(Loaders)]
    fetched = {loader._fetch.__name__ for loader in made if hasattr(loader, "_fetch")}
    assert fetched == read_functions()
    await loaders.aclose()


def test_every_page_key_has_a_window() -> None:
    assert all("window" in get_type_hints(key) for key in PAGE_KEYS)
