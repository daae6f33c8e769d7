"""Tests that nothing crosses between fifty users of two tenants, whatever they do at the same time.

They share one upstream key, two gateways, one Valkey and one PostgreSQL. All that a user writes carries their mark.
What each is shown is compared with a plain model, and each upstream call with who may cause it.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from random import Random
from typing import Any

import pytest

from tests.support.emulator import KEY, Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.full_runs import long_except
from tests.support.gateway import running_gateway
from tests.support.isolation_actor import Actor
from tests.support.isolation_model import INSTRUCTIONS, NOBODYS_MARK, SUBJECTS, World
from tests.support.mutations import WEATHER, assistant
from tests.support.oidc_server import AUDIENCE, running_oidc_server
from tests.support.postgresql import PostgreSQL
from tests.support.valkey import Valkey

pytestmark = pytest.mark.usefixtures("shared_clock")

SHORT_ROUNDS, LONG_ROUNDS = 5, 40
LONG_SEEDS = (2, 3, 4)
"""Each of these plays two thousand operations, on top of those by which all is compared."""

TEST_SECONDS = 900
DAY_SECONDS = 86_400.0
"""After a day, an object is cached for long. After a minute, runs still wait for tool outputs."""

LEDGER_SECONDS = 20.0
"""A deadline of the ledger that a busy machine keeps: here it is never away."""


@asynccontextmanager
async def running_world(emulator: Emulator, valkey: Valkey, database_url: str) -> AsyncIterator[World]:
    secrets = {"instructions": INSTRUCTIONS, "metadata": {"secret": NOBODYS_MARK}}
    assistants = [await assistant(emulator, name="Plain", **secrets)]
    emulator.clock.advance(1)
    assistants.append(await assistant(emulator, name="Weather", tools=[WEATHER], **secrets))
    emulator.clock.advance(1)
    assistants.append(await assistant(emulator, name="Analyst", tools=[{"type": "code_interpreter"}], **secrets))
    async with running_oidc_server() as provider, AsyncExitStack() as stack:
        settings: dict[str, Any] = {
            "upstream_api_key": KEY,
            "gateway_cache": True,
            "gateway_jwt_issuer": provider.issuer,
            "gateway_jwt_audience": AUDIENCE,
            "gateway_jwt_tenant_claim": "tenant",
            "gateway_jwt_roles_claim": "realm_access.roles",
            "gateway_database_url": database_url,
            "gateway_ledger_deadline_seconds": LEDGER_SECONDS,
            "redis_url": valkey.url,
            "redis_deadline_seconds": LEDGER_SECONDS,
        }
        # Both start at once, on an empty database.
        starting = (stack.enter_async_context(running_gateway(emulator.url, **settings)) for _ in range(2))
        yield World(emulator, await asyncio.gather(*starting), provider, assistants)


@pytest.mark.timeout(TEST_SECONDS)
@pytest.mark.parametrize(
    ("seed", "rounds"),
    long_except([(1, SHORT_ROUNDS), *((seed, LONG_ROUNDS) for seed in LONG_SEEDS)], [(1, SHORT_ROUNDS)]),
)
async def test_nothing_crosses_between_users(
    emulator: Emulator, valkey: Valkey, postgresql: PostgreSQL, seed: int, rounds: int
) -> None:
    async with running_world(emulator, valkey, postgresql.create_database()) as world, AsyncExitStack() as stack:
        actors = [Actor(world, subject) for subject in SUBJECTS]
        for actor in actors:
            stack.push_async_callback(actor.aclose)
        for number in range(rounds):
            async with asyncio.TaskGroup() as group:
                for actor in actors:
                    group.create_task(actor.act(Random(f"{seed} {number} {actor.subject}")))
            world.end_round()
            emulator.clock.advance(DAY_SECONDS if number % 2 else LONG_SECONDS)
            await ask_for_the_same(world, actors, Random(f"{seed} {number}"))
        for actor in actors:
            for thread in world.owned_by(actor.subject):
                await actor.files.find_made_files(thread)
        world.end_round()
        for actor in actors:
            await check_own(actor)
            await (actor.files.read_anothers_file if actor.subject.is_admin else actor.files.try_to_read_a_file)()
        await world.check_all()
        assert len(world.outcomes) >= 25, world.outcomes
        assert {file.content is None for file in world.files} == {True, False}, "some were sent, and runs made some"


async def ask_for_the_same(world: World, actors: Sequence[Actor], random: Random) -> None:
    """Let owners, admins and others send the same requests, so that whatever is stored of an answer could be found."""
    admins = [actor for actor in actors if actor.subject.is_admin]
    with_runs = [thread for thread in world.threads if thread.runs]
    for thread in [*random.sample(with_runs, min(3, len(with_runs))), random.choice(world.threads)]:
        (owner,) = (actor for actor in actors if actor.subject == thread.owner)
        same_name = [actor for actor in actors if actor.subject.number == thread.owner.number]
        asking = [owner, random.choice(admins), random.choice(actors), *same_name]
        gateway = random.choice(world.gateways)
        for actor in random.sample(asking, len(asking)) * 2:
            await actor.ask_for_whole_thread(thread, gateway)


async def check_own(actor: Actor) -> None:
    """Compare all threads of a user with the model, at both gateways, and all that their sockets received."""
    for thread in actor.world.owned_by(actor.subject):
        for gateway in actor.world.gateways:
            await actor.read_thread(thread, gateway)
    for file in actor.world.files:
        if file.owner == actor.subject:
            await actor.files.read_file(file)
    for thread, reader in actor.readers:
        actor.world.record_shown(actor.subject, [thread.id], json.dumps([reader.events, reader.errors]))
