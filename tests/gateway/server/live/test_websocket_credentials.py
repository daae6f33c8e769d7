import asyncio
import base64
import time
from collections.abc import Sequence

from gateway.identity.authenticator import CredentialAuthenticator
from gateway.identity.credentials import Caller, CredentialPolicy
from gateway.identity.principal import Principal, UpstreamIdentity
from tests.support.subscription_gateway import CREDENTIAL, running_subscription_gateway


async def test_a_socket_closes_when_its_credential_expires_so_that_its_client_comes_again() -> None:
    claims = base64.urlsafe_b64encode(b'{"exp": %.3f}' % (time.time() + 2)).decode().rstrip("=")
    async with running_subscription_gateway() as gateway:
        async with gateway.initialised({"Authorization": f"Bearer e30.{claims}.sig"}) as socket:
            await socket.subscribe()
            assert await socket.wait_for_close() == (4403, "Forbidden: the credential has expired")
        await gateway.wait_until_idle()


class SlowAuthenticator(CredentialAuthenticator):
    """An authenticator that waits until a test lets it go on."""

    def __init__(self) -> None:
        super().__init__(CredentialPolicy(), UpstreamIdentity("http://upstream.test"))
        self.asked, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def authenticate_socket(self, caller: Caller, offered: Sequence[str] | None) -> Principal:
        await self._wait()
        return await super().authenticate_socket(caller, offered)

    async def renew(self, principal: Principal, offered: Sequence[str]) -> Principal:
        await self._wait()
        return await super().renew(principal, offered)

    async def _wait(self) -> None:
        self.asked.set()
        await self.may_go_on.wait()
        self.asked.clear()
        self.may_go_on.clear()


async def test_messages_behind_a_credential_wait_until_it_is_verified() -> None:
    slow = SlowAuthenticator()
    async with running_subscription_gateway(authenticator=slow) as gateway, gateway.socket() as socket:
        for first in ({"type": "connection_init", "payload": CREDENTIAL}, {"type": "ping", "payload": CREDENTIAL}):
            await socket.send(**first)
            await socket.subscribe("1", "{ __typename }")
            await slow.asked.wait()
            slow.may_go_on.set()
            answered = [(await socket.receive())["type"] for _ in range(3)]
            assert answered == ["connection_ack" if "init" in first["type"] else "pong", "next", "complete"]


async def test_a_client_that_leaves_while_its_credential_is_verified_leaves_nothing_behind() -> None:
    slow = SlowAuthenticator()
    async with running_subscription_gateway(authenticator=slow) as gateway:
        async with gateway.socket() as socket:
            await socket.send(type="connection_init", payload=CREDENTIAL)
            await slow.asked.wait()
            leaving = asyncio.create_task(socket.ws.close())
            await asyncio.sleep(0)  # its close frame is sent
            slow.may_go_on.set()
            await leaving
        await gateway.wait_until_idle()
