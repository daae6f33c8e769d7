"""A budget of retries, so that a storm of failures is not multiplied. Pure, and without a clock."""

from cachetools import LRUCache

from gateway.upstream.upstream_options import MAX_TRACKED_CALLERS

CAPACITY = 100
"""A full budget, in tenths of a retry."""

RETRY_PRICE = 10
ANSWER_REWARD = 1


class RetryBudget:
    """A token bucket of ten retries for each caller, within another one for the whole upstream.

    Both are full at first, so that a single failed call may be retried. A retry takes a token from both. An answer puts
    a tenth of a token back, a transient failure none: in a storm that began with full buckets, all calls together are
    retried ten times, and afterwards every tenth answer pays for one retry.
    """

    def __init__(self, *, max_callers: int = MAX_TRACKED_CALLERS) -> None:
        self._upstream_level = CAPACITY
        # Only callers whose bucket is not full. One that is forgotten has a full bucket again, but still the upstream's
        # limit.
        self._levels: LRUCache[str, int] = LRUCache(max_callers)

    def record_answer(self, caller: str) -> None:
        """Put a tenth of a token back after a call of this caller that needs no retry."""
        if self._upstream_level < CAPACITY:
            self._upstream_level += ANSWER_REWARD
        level = self._levels.get(caller)
        if level is None:
            return
        if level + ANSWER_REWARD < CAPACITY:
            self._levels[caller] = level + ANSWER_REWARD
        else:
            del self._levels[caller]

    def take_retry(self, caller: str) -> bool:
        """Take the token of one retry. Returns False, and takes nothing, if there is none left."""
        level = self._levels.get(caller, CAPACITY)
        if level < RETRY_PRICE or self._upstream_level < RETRY_PRICE:
            return False
        self._upstream_level -= RETRY_PRICE
        self._levels[caller] = level - RETRY_PRICE
        return True
