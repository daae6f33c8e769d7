import asyncio
import base64

from gateway.identity.principal import Principal, UpstreamIdentity
from gateway.server.live.expiry_timer import ExpiryTimer, expired_error


def bearer(expiry: float) -> Principal:
    claims = base64.urlsafe_b64encode(b'{"exp": %d}' % expiry).decode().rstrip("=")
    return Principal.from_credential(f"Bearer e30.{claims}.x", UpstreamIdentity("http://upstream.test"))


async def test_it_fires_once_the_credential_has_ended() -> None:
    ended, now = asyncio.Event(), [999.999]

    def clock() -> float:
        now[0] += 0.0005
        return now[0]

    timer = ExpiryTimer(bearer(1000), ended.set, clock)
    async with asyncio.timeout(10):
        await ended.wait()
    assert now[0] >= 1000
    timer.cancel()


async def test_a_credential_that_has_ended_already_ends_soon_but_not_at_once() -> None:
    ended = asyncio.Event()
    ExpiryTimer(bearer(1000), ended.set, lambda: 2000.0)
    assert not ended.is_set()
    async with asyncio.timeout(10):
        await ended.wait()


async def test_one_that_is_cancelled_or_without_an_end_fires_never() -> None:
    ended = asyncio.Event()
    ExpiryTimer(bearer(1000), ended.set, lambda: 2000.0).cancel()
    endless = ExpiryTimer(
        Principal.from_credential("Bearer key", UpstreamIdentity("http://upstream.test")), ended.set, lambda: 1e12
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    endless.cancel()
    assert not ended.is_set()


def test_the_error_tells_a_client_to_log_in_again() -> None:
    assert expired_error().extensions == {"code": "UNAUTHENTICATED", "retryable": False}
