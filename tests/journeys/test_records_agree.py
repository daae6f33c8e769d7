"""Property: after random writes, lost databases and gateways that died, records say what the upstream and a model say.

Two gateways share one Valkey and one PostgreSQL, each behind a proxy of its own. A gateway that dies loses what it has
not written. Each seed does the same things in the same order.
"""

from random import Random
from typing import Any

import pytest

from tests.support.full_runs import long_except
from tests.support.mutations import WEATHER, assistant
from tests.support.postgresql import PostgreSQL
from tests.support.record_model import RecordModel
from tests.support.signed_in import UserClient
from tests.support.valkey import Valkey
from tests.support.viewer_gateways import (
    MortalGateway,
    clocked_emulator,
    eventually_equal,
    eventually_passes,
    mortal_gateway,
    read_page,
    wait_for_database,
)

SHORT_STEPS, LONG_STEPS = 40, 300
SHORT = [(1, SHORT_STEPS)]
LONG = [(seed, LONG_STEPS) for seed in range(2, 8)]
LONG_SECONDS = 60.0
SLOW_SECONDS = 300.0
"""How long a test may take: the clock of the records goes on meanwhile, and the emulator's stands still."""


class World:
    """The gateways and their faults."""

    def __init__(self, mortals: list[MortalGateway], models: list[RecordModel]) -> None:
        self.mortals = mortals
        self.models = models
        self.away: set[int] = set()
        """The gateways without a database."""
        self.has_died = False

    async def misbehave(self, random: Random) -> None:
        """Cut a gateway from its database, give it back, or let the gateway die."""
        number = random.randrange(len(self.mortals))
        mortal = self.mortals[number]
        if random.random() < 0.2:
            self.has_died = True
            for model in self.models:
                model.may_be_unowned.update(thread.id for thread in model.threads)
            await mortal.die()
            self.away.discard(number)
        elif number in self.away:
            mortal.proxy.restore()
            self.away.discard(number)
        else:
            mortal.proxy.cut()
            self.away.add(number)

    def restore(self) -> None:
        for mortal in self.mortals:
            mortal.proxy.restore()
        self.away.clear()


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("seed", "steps"), long_except([*SHORT, *LONG], SHORT))
async def test_records_agree_with_the_upstream(valkey: Valkey, postgresql: PostgreSQL, seed: int, steps: int) -> None:
    random = Random(seed)
    url = postgresql.create_database()
    settings: dict[str, Any] = {"redis_url": valkey.url, "redis_deadline_seconds": 5.0}
    async with (
        clocked_emulator() as emulator,
        mortal_gateway(emulator, postgresql, url, **settings) as one,
        mortal_gateway(emulator, postgresql, url, **settings) as two,
    ):
        assistants = [
            await assistant(emulator, instructions="Be brief."),
            await assistant(emulator, instructions="Be brief.", tools=[WEATHER]),
        ]
        mortals = [one, two]
        models = [
            RecordModel(name, emulator, assistants, lambda: [mortal.gateway for mortal in mortals])
            for name in ("ann", "bob")
        ]
        world = World(mortals, models)
        for _ in range(steps):
            await random.choice(models).act(random)
            if random.random() < 0.1:
                await world.misbehave(random)
        world.restore()
        emulator.clock.advance(LONG_SECONDS)
        while any([await model.expires_soon(SLOW_SECONDS) for model in models]):
            emulator.clock.advance(SLOW_SECONDS)
        for model, other in zip(models, reversed(models), strict=True):
            for mortal in mortals:
                client = UserClient(mortal.gateway, model.name)
                await check(model, client, UserClient(mortal.gateway, other.name), has_died=world.has_died)
            await check_pages(model, random)


async def check(model: RecordModel, client: UserClient, other: UserClient, *, has_died: bool) -> None:
    """Check that a gateway shows what there is, within the bound, without help of a read unless a gateway died."""

    async def read_shown() -> object:
        if has_died:
            await model.read_all(client)
        return await model.read_shown(client)

    await wait_for_database(client)
    if has_died:
        await model.drop_unowned(client)
    await eventually_equal(read_shown, model.read_truth)
    await model.read_all(client)  # which shows what the first message is, where one was deleted
    await eventually_passes(lambda: model.check_titles(client))
    await eventually_passes(lambda: model.check_search(client, other))


async def check_pages(model: RecordModel, random: Random) -> None:
    """Check that paging neither skips nor repeats the threads that stand still while others move."""
    client = model.client(random)
    moving = random.sample(model.present, len(model.present) // 2)
    still = [thread.id for thread in model.present if thread not in moving]
    for order in ("LAST_ACTIVITY", "CREATED"):
        for backwards in (False, True):
            listed = (await read_page(client, first=100, filter={}, orderBy=order))["nodes"]
            expected = [node["upstreamId"] for node in listed if node["upstreamId"] in still]
            walked: list[str] = []
            cursor, has_more = None, True
            while has_more:
                size = random.randint(1, 4)
                window = {"last": size, "before": cursor} if backwards else {"first": size, "after": cursor}
                page = await read_page(client, filter={}, orderBy=order, **window)
                ids, info = [node["upstreamId"] for node in page["nodes"]], page["pageInfo"]
                walked = [*ids, *walked] if backwards else [*walked, *ids]
                cursor = info["startCursor" if backwards else "endCursor"]
                has_more = info["hasPreviousPage" if backwards else "hasNextPage"]
                await model.act(random, moving)
            assert [each for each in walked if each in still] == expected
