"""The counters that processes share over Redis or Valkey, single or cluster, as a storage of the library `limits`."""

from __future__ import annotations

from limits.aio.storage import RedisStorage

from gateway.rate_limits.window_counts import WindowCounts
from gateway.redis.client import RedisClient

KEY_PREFIX = "tgq"

RELEASE_SCRIPT = """
-- Gives back what was taken a while ago. KEYS: the previous and the current window, as the library keeps them: a window
-- is kept for twice its length, and is the previous one in the second half of that time, renamed or not yet.
-- ARGV: the length in seconds, the amount, the milliseconds since it was taken.
local length = tonumber(ARGV[1]) * 1000
local left = redis.call('pttl', KEYS[2])
local key = KEYS[2]
if left > 0 and tonumber(ARGV[3]) > 2 * length - left then
    if tonumber(ARGV[3]) > 3 * length - left then
        return 0
    end
    key = KEYS[1]
end
local count = tonumber(redis.call('get', key) or 0)
local amount = math.min(tonumber(ARGV[2]), count)
if amount > 0 then
    redis.call('decrby', key, amount)
end
return amount
"""


class RedisWindows(RedisStorage):
    """Counters in Redis over the gateway's own client, so that every URL and a cluster can be used as elsewhere.

    The library would make a client of its own, without sockets in the file system, and of another package by default.
    """

    STORAGE_SCHEME: list[str] | None = None  # type: ignore[assignment]  # no URL makes one

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        super().__init__("redis://", implementation="redispy", key_prefix=KEY_PREFIX)
        self._release = client.commands.register_script(RELEASE_SCRIPT)

    def configure_bridge(self) -> None:
        """Use the gateway's client."""
        commands = self._client.commands
        self.bridge.storage = commands  # type: ignore[attr-defined]  # of the bridge to redis-py
        self.bridge.connection_getter = lambda _readonly: commands  # type: ignore[attr-defined]

    async def get_sliding_window(self, key: str, expiry: int) -> WindowCounts:
        """Return the counts of the previous and of the current window, each with its seconds."""
        return WindowCounts(*await super().get_sliding_window(key, expiry))

    async def release_sliding_window_entry(self, key: str, expiry: int, amount: int, age_seconds: float) -> None:
        """Give back what was taken so many seconds ago, in the window in which it was taken."""
        windows = (self._previous_window_key(key), self._current_window_key(key))
        keys = [self.bridge.prefixed_key(one) for one in windows]
        await self._release(keys, [expiry, amount, int(1000 * age_seconds)])
