import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from gateway.identity.key_cache import (
    FIRST_RETRY_SECONDS,
    REFRESH_SECONDS,
    RETRY_SECONDS,
    FixedKey,
    KeyCache,
    KeysUnavailableError,
)
from gateway.identity.verification_keys import BadKeysError, KeySet, keys_from_jwks
from tests.gateway.identity.tokens import signing_key


def key_set(*kids: str) -> KeySet:
    return keys_from_jwks({"keys": [signing_key(kid).public_jwk() for kid in kids]})


class Issuer:
    """An issuer whose fetches and clock a test controls."""

    def __init__(self) -> None:
        self.keys: KeySet | None = key_set("one")
        self.fetches = 0
        self.time = 0.0
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.sleeps: asyncio.Queue[float] = asyncio.Queue()
        self.wake = asyncio.Event()
        self.cache = KeyCache(self._fetch, now=lambda: self.time, sleep=self._sleep)

    async def _fetch(self) -> KeySet:
        self.fetches += 1
        await self.is_open.wait()
        if self.keys is None:
            raise BadKeysError("expected an answer, got none")
        return self.keys

    async def _sleep(self, seconds: float) -> None:
        self.sleeps.put_nowait(seconds)
        self.wake.clear()
        await self.wake.wait()

    async def next_sleep(self) -> float:
        async with asyncio.timeout(10):
            return await self.sleeps.get()

    async def finds(self, kids: Sequence[str]) -> list[bool]:
        found = await asyncio.gather(*(self.cache.find_key(kid, "ES256") for kid in kids))
        return [key is not None for key in found]


@pytest.fixture
async def issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer()
    yield issuer
    await issuer.cache.aclose()


async def test_keys_are_fetched_ahead_and_again_now_and_then(issuer: Issuer) -> None:
    await issuer.cache.start()
    assert await issuer.next_sleep() == REFRESH_SECONDS
    issuer.keys = key_set("two")
    issuer.wake.set()
    assert await issuer.next_sleep() == REFRESH_SECONDS
    assert await issuer.finds(["two"]) == [True]
    assert issuer.fetches == 2


async def test_requests_that_come_before_the_first_keys_share_the_fetch(issuer: Issuer) -> None:
    issuer.is_open.clear()
    await issuer.cache.start()
    finding = asyncio.create_task(issuer.finds(["one"] * 1000))
    await asyncio.sleep(0)
    issuer.is_open.set()
    assert all(await finding)
    assert issuer.fetches == 1


async def test_ten_thousand_unknown_ids_cost_one_fetch(issuer: Issuer) -> None:
    await issuer.cache.start()
    await issuer.next_sleep()
    assert not any(await issuer.finds([f"kid-{number}" for number in range(10_000)]))
    assert issuer.fetches == 2
    issuer.time = RETRY_SECONDS
    issuer.keys = key_set("one", "new")
    assert await issuer.finds(["new", "one", "unknown"]) == [True, True, False]
    assert issuer.fetches == 3


async def test_a_known_id_with_another_algorithm_costs_no_fetch(issuer: Issuer) -> None:
    await issuer.cache.start()
    await issuer.next_sleep()
    assert await issuer.cache.find_key("one", "RS256") is None
    assert await issuer.cache.find_key(None, "RS256") is None
    assert issuer.fetches == 1


async def test_the_last_keys_stay_while_the_issuer_fails(issuer: Issuer, caplog: pytest.LogCaptureFixture) -> None:
    await issuer.cache.start()
    await issuer.next_sleep()
    issuer.keys = None
    issuer.wake.set()
    assert await issuer.next_sleep() == RETRY_SECONDS
    assert await issuer.finds(["one", "unknown"]) == [True, False]
    assert "the last 1 stay in use: expected an answer, got none" in caplog.text


async def test_keys_are_served_while_they_are_fetched_anew(issuer: Issuer) -> None:
    await issuer.cache.start()
    await issuer.next_sleep()
    issuer.is_open.clear()
    issuer.wake.set()
    async with asyncio.timeout(10):
        while issuer.fetches < 2:  # noqa: ASYNC110 - the fetch has no event
            await asyncio.sleep(0)
        assert await issuer.finds(["one"]) == [True]
    issuer.is_open.set()


async def test_without_any_key_a_token_can_neither_be_accepted_nor_refused(issuer: Issuer) -> None:
    issuer.keys = None
    await issuer.cache.start()
    await issuer.next_sleep()
    for _ in range(3):
        with pytest.raises(KeysUnavailableError):
            await issuer.finds(["one"])
    assert issuer.fetches == 2
    issuer.keys, issuer.time = key_set("one"), FIRST_RETRY_SECONDS
    assert await issuer.finds(["one"]) == [True]


async def test_a_request_that_leaves_does_not_end_the_fetch_of_others(issuer: Issuer) -> None:
    issuer.is_open.clear()
    leaving, staying = (asyncio.create_task(issuer.finds(["one"])) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    issuer.is_open.set()
    assert await staying == [True]
    assert issuer.fetches == 1


async def test_the_key_of_a_file_verifies_tokens_of_any_id_that_fit_it() -> None:
    (key,) = keys_from_jwks({"keys": [{**signing_key().public_jwk(), "kid": None}]})
    source = FixedKey(key)
    await source.start()
    assert await source.find_key("any", "ES256") is key
    assert await source.find_key("any", "RS256") is None
    await source.aclose()
