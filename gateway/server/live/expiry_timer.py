"""Ends what is followed under a credential when the credential does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.identity.principal import Principal
from gateway.identity.token_expiry import expiry_from_credential
from schema.contract.errors import ErrorCode, GatewayError

_MOST_SECONDS = 86_400.0  # the clock may be set meanwhile: look again each day


class ExpiryTimer:
    """A timer of the loop; none for a credential that names no end."""

    __slots__ = ("_at", "_handle", "_now", "_on_end")

    def __init__(self, principal: Principal, on_end: Callable[[], None], now: Callable[[], float] = time.time) -> None:
        """Call `on_end` once when the principal's credential ends, soon where it has ended already."""
        self._at = expiry_from_credential(principal.credential)
        self._on_end = on_end
        self._now = now
        self._handle: asyncio.TimerHandle | None = None
        self._set()

    def cancel(self) -> None:
        """Call nobody."""
        if self._handle is not None:
            self._handle.cancel()

    def _set(self) -> None:
        if self._at is not None:
            left = min(max(self._at - self._now(), 0.0), _MOST_SECONDS)
            self._handle = asyncio.get_running_loop().call_later(left, self._look)

    def _look(self) -> None:
        if self._at is not None and self._now() < self._at:
            self._set()
        else:
            self._on_end()


def expired_error() -> GatewayError:
    """What a subscription is told whose credential has ended."""
    return GatewayError(ErrorCode.UNAUTHENTICATED, "The credential has expired: subscribe again with a new one.")
