"""Removes all that Redis holds of a scope, whichever version of the program stored it."""

from __future__ import annotations

from collections.abc import Iterable

from gateway.redis.client import RedisClient
from gateway.redis.scoped_names import scope_pattern

BATCH_SIZE = 500


async def remove_scopes(client: RedisClient, scopes: Iterable[str]) -> int:
    """Remove the cached values and the run logs of scopes. Looks at every key of the server once for each scope.

    Returns:
        The number of keys that were removed.

    Raises:
        Exception: Redis does not answer.
    """
    await client.ready()
    removed = 0
    for scope in scopes:
        keys: list[bytes] = []
        async for key in client.commands.scan_iter(match=scope_pattern(scope), count=1000):
            keys.append(key)
            if len(keys) == BATCH_SIZE:
                removed += await _remove(client, keys)
                keys = []
        removed += await _remove(client, keys)
    return removed


async def _remove(client: RedisClient, keys: list[bytes]) -> int:
    """Remove keys by a pipeline: on a cluster, they lie on several nodes."""
    if not keys:
        return 0
    pipeline = client.commands.pipeline(transaction=False)
    for key in keys:
        pipeline.execute_command("UNLINK", key)
    return sum(await pipeline.execute())
