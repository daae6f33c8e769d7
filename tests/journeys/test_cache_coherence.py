"""Tests that a read after a write sees the write, for any process that wrote and any interleaving of the calls.

The state machine drives two caches over one store and one upstream. Every read and write may be held before it reaches
the upstream and on its way back. A result is right if the upstream had it at some moment between the start and the end
of the read, or before a change whose write was still running when the read began. Some reads are whole operations,
whose response the gateway may repeat without a read.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from gateway.cache.cached_threads_api import CachedThreadsApi
from schema.contract.bodies import MessageBody, MetadataUpdateBody, RunBody, ThreadUpdateBody
from schema.contract.encoded_json import to_pieces
from schema.contract.errors import ErrorCode, GatewayError
from schema.contract.keys import MessageKey
from schema.contract.kinds import Key, MessagePageKey, RunPageKey
from schema.contract.paging import Window
from schema.contract.writes import CREATE_MESSAGE, CREATE_RUN, DELETE_THREAD, UPDATE_MESSAGE, UPDATE_RUN, UPDATE_THREAD
from tests.gateway.cache.cached_queries import response_key as question
from tests.gateway.cache.processes import processes
from tests.gateway.cache.upstream import ACTIVE, ENDED, THREAD, USER_MESSAGE, T, Upstream, cached, read
from tests.support.fake_threads_api import FakeThreadsApi
from tests.support.full_runs import examples
from tests.support.valkey import running_valkey
from tests.support.wire_samples import run

KEYS: list[Key] = [
    THREAD,
    USER_MESSAGE,
    MessageKey(T, "msg_made1"),
    MessageKey(T, "msg_made2"),
    ENDED,
    ACTIVE,
    MessagePageKey(T, None, Window(20, "asc")),
    MessagePageKey(T, None, Window(2, "asc")),
    MessagePageKey(T, None, Window(20, "desc")),
    RunPageKey(T, Window(20, "asc")),
]
HELLO = MessageBody.model_validate({"role": "user", "content": [{"type": "text", "text": "Hello?"}]})
HOLDS = st.sampled_from([0, 0, 0, 0, 1, 2, 3])
"""The places where a call is held: before it reaches the upstream (1), on its way back (2)."""
UNKNOWN = GatewayError(ErrorCode.UPSTREAM_TIMEOUT, "Nobody knows.", retryable=False)


def edited(number: int) -> dict[str, str]:
    return {"edit": str(number)}


WRITES: dict[str, Callable[[Any, int], Awaitable[Any]]] = {
    "update_thread": lambda api, n: api.write(UPDATE_THREAD, THREAD, ThreadUpdateBody(metadata=edited(n))),
    "update_message": lambda api, n: api.write(UPDATE_MESSAGE, USER_MESSAGE, MetadataUpdateBody(metadata=edited(n))),
    "create_message": lambda api, _: api.write(CREATE_MESSAGE, THREAD, HELLO),
    "update_run": lambda api, n: api.write(UPDATE_RUN, ENDED, MetadataUpdateBody(metadata=edited(n))),
    "create_run": lambda api, _: api.write(CREATE_RUN, THREAD, RunBody(assistant_id="asst_1")),
    "delete_thread": lambda api, _: api.write(DELETE_THREAD, THREAD, None),
}


MEETINGS: list[tuple[str, Key]] = [
    ("update_thread", THREAD),
    ("update_message", USER_MESSAGE),
    ("update_message", KEYS[6]),
    ("create_message", KEYS[7]),
    ("update_run", ENDED),
    ("create_run", KEYS[9]),
]
"""A write, and the keys that show it."""


def shown(answer: Any) -> bytes:
    return answer.code.encode() if isinstance(answer, GatewayError) else msgspec.json.encode(answer)


def at_once(doing: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that never really waits, without letting other tasks run."""
    try:
        while True:
            doing.send(None)
    except StopIteration as done:
        return done.value


class World(Upstream):
    """The upstream, with everything that it ever showed. The test decides where each call is held."""

    def __init__(self) -> None:
        super().__init__()
        self.runs[ACTIVE] = run("run_2", status="completed")  # which makes it a page of finished runs
        self.history: list[dict[Key, bytes]] = []
        self.held: list[asyncio.Event] = []
        self.unfinished: list[int] = []  # positions in the history before the changes of running writes

    def record_state(self) -> None:
        """Record the current state. Nothing else happens meanwhile."""
        plain = FakeThreadsApi(threads=self.threads, messages=self.messages, runs=self.runs, assistants=self.assistants)
        state = {}
        for key in KEYS:
            (answer,) = at_once(read(plain, key))
            state[key] = shown(answer)
        self.history.append(state)

    async def pass_by(self, holds: bool) -> None:
        if holds:
            event = asyncio.Event()
            self.held.append(event)
            await event.wait()


class Held:
    """The upstream as one operation sees it: its calls are held before and after."""

    def __init__(self, world: World, before: bool, after: bool, *, fails: bool = False) -> None:
        self.cost = world.cost
        self.change: int | None = None
        self._world, self._before, self._after, self._fails = world, before, after, fails

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._world, name)
        if name.startswith(("get_", "list_")):
            return lambda keys: self._call(method, keys)
        return lambda *arguments: self._call(method, *arguments, writes=True)

    async def _call(self, method: Any, *arguments: Any, writes: bool = False) -> Any:
        await self._world.pass_by(self._before)
        answer = await method(*arguments)
        if writes:
            self._world.unfinished.append(len(self._world.history) - 1)
            self.change = self._world.unfinished[-1]
            self._world.record_state()
        await self._world.pass_by(self._after)
        if writes and self._fails:
            raise UNKNOWN
        return answer


class Coherence(RuleBasedStateMachine):
    """Reads and writes of one principal through two processes, or through one without Redis."""

    redis_url: str | None = None
    given_again = 0

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.world = World()
        self.tasks: list[asyncio.Task[None]] = []
        self.made = 0
        self.caches = self.runner.run(self._open())

    async def _open(self) -> list[Any]:
        self.world.record_state()
        count = 1 if self.redis_url is None else 2
        caches = await self.stack.enter_async_context(processes(count, self.redis_url))
        return caches * (3 - count)

    @rule(process=st.integers(0, 1), keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3), holds=HOLDS)
    def read(self, process: int, keys: list[Key], holds: int) -> None:
        same = [key for key in keys if type(key) is type(keys[0])]
        self._begin(self._read(process, same, holds))

    @rule(process=st.integers(0, 1), keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=3), holds=HOLDS)
    def ask_whole(self, process: int, keys: list[Key], holds: int) -> None:
        self._begin(self._read(process, keys, holds, whole=True))
        self._begin(self._read(process, keys, 0, whole=True))

    @rule(process=st.integers(0, 1), name=st.sampled_from(sorted(WRITES)), holds=HOLDS, fails=st.booleans())
    def write(self, process: int, name: str, holds: int, fails: bool) -> None:
        if name == "delete_thread" and self.made < 12:
            return  # not so soon
        self._begin(self._write(process, name, holds, fails=fails))

    @rule(which=st.none() | st.integers(0, 5))
    def let_go(self, which: int | None) -> None:
        while self.world.held:
            self.world.held.pop((which or 0) % len(self.world.held)).set()
            if which is not None:
                break
        self.runner.run(self._proceed())

    @rule(
        processes=st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 1)),
        meeting=st.sampled_from(MEETINGS),
        holds=st.integers(0, 3),
        whole=st.booleans(),
    )
    def write_during_a_read(
        self, processes: tuple[int, int, int], meeting: tuple[str, Key], holds: int, whole: bool
    ) -> None:
        name, key = meeting
        self._begin(self._read(processes[0], [key], holds, whole=whole))
        self._begin(self._write(processes[1], name, 0, fails=False))
        self._begin(self._read(processes[2], [key], 0, whole=whole))

    @rule(process=st.integers(0, 1))
    def lose_memory(self, process: int) -> None:
        memory = self.caches[process].memory
        for scope, place in list(memory._entries):
            memory.remove_entry(scope, place)

    def teardown(self) -> None:
        try:
            self.runner.run(self._end())
        finally:
            self.runner.close()

    def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        self.made += 1

        async def begin() -> None:
            self.tasks.append(asyncio.create_task(doing))
            await self._proceed()

        self.runner.run(begin())

    async def _proceed(self) -> None:
        """Let all calls go on for a while: some finish, some are held, some are still on their way."""
        for _ in range(60):
            await asyncio.sleep(0)
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.remove(task)
            task.result()

    async def _end(self) -> None:
        try:
            while self.tasks:
                while self.world.held:
                    self.world.held.pop().set()
                await self._proceed()
                await asyncio.sleep(0.001)
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)
            await self.stack.aclose()

    async def _read(self, process: int, keys: Sequence[Key], holds: int, *, whole: bool = False) -> None:
        world = self.world
        now = len(world.history) - 1
        since = {
            key: min(
                [now, *(one for one in world.unfinished if world.history[one][key] != world.history[one + 1][key])]
            )
            for key in keys
        }
        inner: Any = Held(world, bool(holds & 1), bool(holds & 2))
        api = cached(inner, self.caches[process])
        read = self._read_as_operation if whole else self._read_batch
        for key, answer in zip(keys, await read(api, keys), strict=True):
            right = [state[key] for state in world.history[since[key] :]]
            assert answer in right, f"{key}: expected one of {right}, got {answer!r}"

    async def _read_batch(self, api: CachedThreadsApi, keys: Sequence[Key]) -> list[bytes]:
        return [shown(answer) for answer in await read(api, *keys)]

    async def _read_as_operation(self, api: CachedThreadsApi, keys: Sequence[Key]) -> list[bytes]:
        """Read keys of any type one after another, as one operation whose response may be repeated."""
        asked = question(repr(keys))
        data = await api.find_response(asked)
        if data is not None:
            type(self).given_again += 1
            return b"".join(to_pieces(data)).split(b"\n")
        answers = [answer for key in keys for answer in await self._read_batch(api, [key])]
        api.store_response(asked, b"\n".join(answers))
        return answers

    async def _write(self, process: int, name: str, holds: int, *, fails: bool) -> None:
        world = self.world
        held = Held(world, bool(holds & 1), bool(holds & 2), fails=fails)
        inner: Any = held
        with contextlib.suppress(GatewayError):
            await WRITES[name](cached(inner, self.caches[process]), self.made)
        if held.change is not None:
            world.unfinished.remove(held.change)


@pytest.mark.parametrize("store", ["memory", "redis"])
@pytest.mark.timeout(300)
def test_a_read_after_a_write_sees_it(store: str) -> None:
    with running_valkey() as valkey:
        url = valkey.url if store == "redis" else None

        class Machine(Coherence):
            redis_url = url

            def __init__(self) -> None:
                valkey.command("FLUSHALL")
                super().__init__()

        run_state_machine_as_test(
            Machine,
            settings=settings(
                examples(60),
                stateful_step_count=30,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
        assert Machine.given_again > 0
