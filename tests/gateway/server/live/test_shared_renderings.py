import asyncio

from gateway.background_tasks import BackgroundTasks
from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.live.fair_queue import FairQueue
from gateway.server.live.shared_renderings import MAX_RENDERING_BYTES, MAX_RENDERINGS, RenderGroup, SharedRendering
from schema.contract.rate_limits import RateLimitedError
from schema.contract.run_events import LaggedChange, RunEvent
from tests.support.fake_run_events import run_event

CALLER = Principal.from_credential("Bearer a", UpstreamIdentity("https://upstream.test"))


def event(number: int = 1) -> RunEvent:
    return run_event(LaggedChange(skipped=number), number=number)


class World:
    """A group whose renderings wait until a test releases them."""

    def __init__(self, payload: bytes = b"{}") -> None:
        self.released = asyncio.Event()
        self.released.set()
        self.rendered: list[str] = []
        self.tasks = BackgroundTasks()
        self.payload = payload
        self.group = RenderGroup(("visibility", "selection"), CALLER, self.render, self.tasks, FairQueue())
        self.group.member_count = 2

    async def render(self, principal: Principal, event: RunEvent) -> bytes:
        assert principal is CALLER
        await self.released.wait()
        self.rendered.append(event.cursor)
        return self.payload

    async def ready(self, event: RunEvent) -> SharedRendering:
        found = self.group.get_rendering(event)
        await self.tasks.wait(10)
        assert found.payload == self.payload
        return found


class Member:
    slices = 0

    def run_slice(self) -> None:
        self.slices += 1


async def test_an_event_is_rendered_once_for_all_members_and_enqueues_the_waiters() -> None:
    world, members = World(), [Member(), Member()]
    world.released.clear()
    first, same = event(), event()
    found = world.group.get_rendering(first)
    assert world.group.get_rendering(first) is found
    assert world.group.get_rendering(same) is not found  # equal, but another event
    found.waiters.extend(members)
    world.released.set()
    await world.tasks.wait(10)
    await asyncio.sleep(0)
    assert [member.slices for member in members] == [1, 1]
    assert world.group.render_count == len(world.rendered) == 2


async def test_a_rendering_is_dropped_after_every_member_was_sent_it() -> None:
    world, one = World(), event()
    found = await world.ready(one)
    world.group.on_sent(found)
    assert world.group.get_rendering(one) is found
    world.group.on_sent(found)
    assert await world.ready(one) is not found


async def test_the_oldest_renderings_are_evicted_beyond_their_number() -> None:
    world = World()
    events = [event(number) for number in range(MAX_RENDERINGS + 1)]
    made = [await world.ready(one) for one in events]
    assert world.group.get_rendering(events[1]) is made[1]
    assert await world.ready(events[0]) is not made[0]


async def test_the_oldest_renderings_are_evicted_beyond_their_bytes_but_never_the_newest() -> None:
    world = World(b"x" * (MAX_RENDERING_BYTES // 2 + 1))
    first, second = event(1), event(2)
    made = await world.ready(first)
    newest = await world.ready(second)
    assert world.group.get_rendering(second) is newest
    assert await world.ready(first) is not made
    huge = World(b"x" * (MAX_RENDERING_BYTES + 1))
    alone = await huge.ready(first)
    assert huge.group.get_rendering(first) is alone


async def test_cancelling_a_group_cancels_its_renderings() -> None:
    world = World()
    world.released.clear()
    found = world.group.get_rendering(event())
    await asyncio.sleep(0)
    world.group.cancel()
    await world.tasks.wait(10)
    assert (found.payload, len(world.tasks)) == (None, 0)


async def test_a_rendering_that_is_refused_wakes_its_waiters_and_is_tried_again_for_the_next() -> None:
    world, member, one = World(), Member(), event()
    refusal = RateLimitedError("This gateway lets a caller have 1.", retry_after_ms=5)

    async def refuse(_: Principal, __: RunEvent) -> bytes:
        raise refusal

    world.group._render = refuse
    found = world.group.get_rendering(one)
    found.waiters.append(member)
    await world.tasks.wait(10)
    await asyncio.sleep(0)
    assert (found.refusal, found.payload, member.slices) == (refusal, None, 1)
    world.group._render = world.render
    assert await world.ready(one) is not found
