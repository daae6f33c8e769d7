"""Holds the keys of an issuer: fetched ahead, served while they are fetched anew, and never once for each request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

from gateway.background_tasks import BackgroundTasks
from gateway.identity.verification_keys import BadKeysError, KeySet, VerificationKey, find_key

_logger = logging.getLogger(__name__)

REFRESH_SECONDS = 600.0
"""Time between two fetches in the background. A key that the issuer withdraws is trusted that much longer."""

RETRY_SECONDS = 30.0
"""Time after a failed fetch in the background, and shortest time between two fetches for an unknown `kid`."""

FIRST_RETRY_SECONDS = 1.0
"""Shortest time between two fetches while there is no key at all."""


class KeysUnavailableError(Exception):
    """No key could be fetched yet, so that no token can be verified."""


class KeySource(Protocol):
    """Finds the keys of tokens."""

    async def find_key(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        """Find the key of a token by its `kid` and `alg`. Returns None if there is none.

        Raises:
            KeysUnavailableError: No keys are known yet.
        """

    async def start(self) -> None:
        """Open what the source needs."""

    async def aclose(self) -> None:
        """Close it."""


class FixedKey:
    """The one key of a file."""

    def __init__(self, key: VerificationKey) -> None:
        """Find this key for every token that it fits."""
        self._keys = (key,)

    async def find_key(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        """Return the key if the algorithm fits it."""
        return find_key(self._keys, key_id, algorithm)

    async def start(self) -> None:
        """Do nothing."""

    async def aclose(self) -> None:
        """Do nothing."""


class KeyCache:
    """The keys that an issuer publishes.

    A background task fetches them now and then. If that fails, the last keys stay. A token with an unknown `kid` has
    them fetched at once, but only once in `RETRY_SECONDS`; all requests that wait share one fetch.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[KeySet]],
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Fetch keys by `fetch`, which raises BadKeysError."""
        self._fetch = fetch
        self._now = now
        self._sleep = sleep
        self._keys: KeySet = ()
        self._flight: asyncio.Task[bool] | None = None
        self._next_demand = float("-inf")
        self._tasks = BackgroundTasks()

    async def start(self) -> None:
        """Begin to fetch in the background. Waits for no key, so that a gateway starts while its issuer is down."""
        self._tasks.start(self._refresh_repeatedly())

    async def aclose(self) -> None:
        """End the fetches."""
        await self._tasks.aclose()

    async def find_key(self, key_id: str | None, algorithm: str) -> VerificationKey | None:
        """Find the key of a token. An unknown one is fetched if that may be; raises KeysUnavailableError."""
        key = find_key(self._keys, key_id, algorithm)
        # A `kid` that is known, but with another algorithm, is no reason to ask the issuer.
        if key is None and not self._knows(key_id) and self._may_fetch():
            await self._join_flight()
            key = find_key(self._keys, key_id, algorithm)
        if not self._keys:
            raise KeysUnavailableError
        return key

    def _knows(self, key_id: str | None) -> bool:
        return bool(self._keys) and (key_id is None or any(key.id == key_id for key in self._keys))

    def _may_fetch(self) -> bool:
        if self._flight is not None:
            return True
        if self._now() < self._next_demand:
            return False
        self._next_demand = self._now() + (RETRY_SECONDS if self._keys else FIRST_RETRY_SECONDS)
        return True

    async def _refresh_repeatedly(self) -> None:
        while True:
            succeeded = await self._join_flight()
            await self._sleep(REFRESH_SECONDS if succeeded else RETRY_SECONDS)

    async def _join_flight(self) -> bool:
        """Fetch the keys, or wait for the fetch in flight. Returns whether it succeeded."""
        if self._flight is None:
            self._flight = self._tasks.start(self._refresh())
        return await asyncio.shield(self._flight)

    async def _refresh(self) -> bool:
        try:
            self._keys = await self._fetch()
        except BadKeysError as error:
            kept = f"the last {len(self._keys)} stay in use" if self._keys else "no token can be verified"
            _logger.error("The keys of GATEWAY_JWT_ISSUER cannot be fetched, %s: %s", kept, error)  # noqa: TRY400
            return False
        finally:
            self._flight = None
        _logger.debug("Fetched %d keys of GATEWAY_JWT_ISSUER", len(self._keys))
        return True
