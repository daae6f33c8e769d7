"""Ends subscriptions when the credential that they run under expires."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.identity.principal import Principal
from schema.contract.errors import ErrorCode, GatewayError

_MAX_TIMER_SECONDS = 86_400.0  # the clock may be set meanwhile, so the expiry is checked again each day


class ExpiryTimer:
    """A timer for a credential's expiry. It sets no timer for a credential that does not expire."""

    __slots__ = ("_expiry", "_handle", "_now", "_on_expired")

    def __init__(
        self, principal: Principal, on_expired: Callable[[], None], now: Callable[[], float] = time.time
    ) -> None:
        """Call `on_expired` once when the principal's credential expires.

        If it has expired already, `on_expired` is called in a later iteration of the loop. `now` is the Unix time.
        """
        self._expiry = principal.expires_at
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
        if self._expiry is not None:
            seconds = min(max(self._expiry - self._now(), 0.0), _MAX_TIMER_SECONDS)
            self._handle = asyncio.get_running_loop().call_later(seconds, self._check_expiry)

    def _check_expiry(self) -> None:
        if self._expiry is not None and self._now() < self._expiry:
            self._start()
        else:
            self._on_expired()


def _do_nothing() -> None:
    pass


def expired_error() -> GatewayError:
    """Make the error of an operation whose credential has expired."""
    return GatewayError(ErrorCode.UNAUTHENTICATED, "The credential has expired: come again with a new one.")
