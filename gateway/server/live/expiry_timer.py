"""Ends connections when the token that they run under ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.identity.principal import Principal
from gateway.identity.token_expiry import TOKEN_GRACE_SECONDS
from schema.contract.errors import ErrorCode, GatewayError

_MAX_TIMER_SECONDS = 86_400.0  # the clock may be set meanwhile, so the expiry is checked again each day


class ExpiryTimer:
    """A timer for the end of a principal's token. It sets no timer for one that does not end.

    A token that has expired already, but was accepted in its grace, ends with the grace. A connection would otherwise
    end at once, and its client, whose clock is behind, would come again with the same token.
    """

    __slots__ = ("_end", "_handle", "_now", "_on_expired")

    def __init__(
        self, principal: Principal, on_expired: Callable[[], None], now: Callable[[], float] = time.time
    ) -> None:
        """Call `on_expired` once when the principal's token ends.

        If it has ended already, `on_expired` is called in a later iteration of the loop. `now` is the Unix time.
        """
        self._end = principal.expires_at
        if self._end is not None and now() >= self._end:
            self._end += TOKEN_GRACE_SECONDS
        self._on_expired = on_expired
        self._now = now
        self._handle: asyncio.TimerHandle | None = None
        self._start()

    def cancel(self) -> None:
        """Stop the timer; `on_expired` is not called any more."""
        if self._handle is not None:
            self._handle.cancel()
        self._on_expired = _do_nothing  # the timer's owner, which has the timer

    def _start(self) -> None:
        if self._end is not None:
            seconds = min(max(self._end - self._now(), 0.0), _MAX_TIMER_SECONDS)
            self._handle = asyncio.get_running_loop().call_later(seconds, self._check_end)

    def _check_end(self) -> None:
        if self._end is not None and self._now() < self._end:
            self._start()
        else:
            self._on_expired()


def _do_nothing() -> None:
    pass


def expired_error() -> GatewayError:
    """Make the error of an operation whose credential has expired."""
    return GatewayError(ErrorCode.UNAUTHENTICATED, "The credential has expired: come again with a new one.")
