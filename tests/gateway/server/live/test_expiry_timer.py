import asyncio
import base64

from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.live.expiry_timer import ExpiryTimer, expired_error


def bearer(expiry: float) -> Principal:
    claims = base64.urlsafe_b64encode(b'{"exp": %d}' % expiry).decode().rstrip("=")
    return Principal.from_credential(f"Bearer e30.{claims}.x", UpstreamIdentity("http://upstream.test"))


async def test_the_timer_fires_once_the_credential_has_expired() -> None:
    expired, now = asyncio.Event(), [999.999]

    def clock() -> float:
        now[0] += 0.0005
        return now[0]

    timer = ExpiryTimer(bearer(1000), expired.set, clock)
    async with asyncio.timeout(10):
        await expired.wait()
    assert now[0] >= 1000
    timer.cancel()


async def test_the_timer_of_an_expired_credential_fires_in_a_later_loop_iteration() -> None:
    expired = asyncio.Event()
    ExpiryTimer(bearer(1000), expired.set, lambda: 2000.0)
    assert not expired.is_set()
    async with asyncio.timeout(10):
        await expired.wait()


async def test_a_timer_that_is_cancelled_or_without_expiry_never_fires() -> None:
    expired = asyncio.Event()
    ExpiryTimer(bearer(1000), expired.set, lambda: 2000.0).cancel()
    endless = ExpiryTimer(
        Principal.from_credential("Bearer key", UpstreamIdentity("http://upstream.test")), expired.set, lambda: 1e12
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    endless.cancel()
    assert not expired.is_set()


def test_the_error_asks_for_a_new_credential() -> None:
    assert expired_error().extensions == {"code": "UNAUTHENTICATED", "retryable": False}
