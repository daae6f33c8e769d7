"""Gateways for signed-in users: known by name alone, with clients for them, or by the tokens of a provider."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.identity.allowed_origins import AllowedOrigins
from gateway.identity.credentials import Caller, CredentialRefusedError
from gateway.identity.principal import Owner, Principal, UpstreamIdentity, User
from gateway.ledger.ledger_link import LedgerLink
from gateway.ledger.memory_store import MemoryStore
from gateway.ledger.ownership import Ownership
from gateway.ledger.stored_ownership import StoredOwnership
from schema.contract.keys import MessageKey, RunKey, RunStepKey, ThreadKey, to_global_id
from tests.support.emulator import KEY, Emulator
from tests.support.emulator_runs import LONG_SECONDS
from tests.support.gateway import Gateway, running_gateway
from tests.support.mutations import assistant, succeed
from tests.support.oidc_server import OidcServer

ISSUER = "https://issuer.test"
ADMINS = ("root",)


def owner(name: str) -> Owner:
    return Owner(ISSUER, name)


def principal(name: str, upstream: UpstreamIdentity) -> Principal:
    return Principal.from_user(User(owner(name), is_admin=name in ADMINS), upstream)


class NamedUsers:
    """An authenticator that takes `Bearer ann` as the word of Ann. `root` is an admin."""

    origins = AllowedOrigins()

    def __init__(self, upstream: UpstreamIdentity) -> None:
        self._upstream = upstream
        self.stranger = Principal.from_credential(None, upstream)

    async def start(self) -> None:
        """Do nothing: names need no keys."""

    async def aclose(self) -> None:
        """Do nothing: nothing was started."""

    async def authenticate(self, caller: Caller) -> Principal:
        return self._sign_in(caller.authorization)

    async def authenticate_socket(self, caller: Caller, offered: Sequence[str] | None) -> Principal:
        return self._sign_in(caller.authorization if offered is None else offered)

    async def renew(self, principal: Principal, offered: Sequence[str]) -> Principal:
        return self._sign_in(offered)

    def _sign_in(self, authorization: Sequence[str]) -> Principal:
        if not authorization:
            raise CredentialRefusedError(401, "Expected a name.", "expected a name")
        return principal(authorization[0].removeprefix("Bearer "), self._upstream)


class UserClient(Gateway):
    """A client that calls a running gateway as one user."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        super().__init__(gateway.url, gateway.session)
        self.app = gateway.app
        self.name = name
        self.authorization = {"Authorization": f"Bearer {name}"}

    async def execute(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        operation_name: str | None = None,
    ) -> dict[str, Any]:
        return await super().execute(query, variables, {**(headers or {}), **self.authorization}, operation_name)


@pytest.fixture
def ann(gateway: Gateway) -> UserClient:
    """A client of Ann, at the `gateway` of the module that imports this."""
    return UserClient(gateway, "ann")


@pytest.fixture
def bob(gateway: Gateway) -> UserClient:
    return UserClient(gateway, "bob")


@pytest.fixture
def root(gateway: Gateway) -> UserClient:
    return UserClient(gateway, "root")


@asynccontextmanager
async def running_ownership(store: MemoryStore | None = None) -> AsyncIterator[StoredOwnership]:
    """Owners of threads over a ledger in memory."""
    link = LedgerLink(store or MemoryStore(), deadline_seconds=5)
    ownership = StoredOwnership(link)
    yield ownership
    await ownership.aclose()
    await link.aclose()


@asynccontextmanager
async def signed_in_gateway(emulator: Emulator, ownership: Ownership, **settings: Any) -> AsyncIterator[Gateway]:
    """Run a gateway with a key of its own, a cache, and users that sign in by name."""
    upstream = UpstreamIdentity(emulator.url, dialect="openai-v2")
    options = {"upstream_api_key": KEY, "upstream_dialect": "openai-v2", "gateway_cache": True, **settings}
    async with running_gateway(
        emulator.url, authenticator=NamedUsers(upstream), ownership=ownership, **options
    ) as gateway:
        yield gateway


SUFFIX = "x" * 24
REQUEST_ID = re.compile(r'"requestId": "[^"]*"')


@dataclass(frozen=True)
class Ids:
    """The ids of a thread and of the objects in it."""

    thread: str
    run: str
    message: str
    step: str

    @property
    def global_ids(self) -> dict[str, str]:
        """The global IDs, by the names of variables."""
        return {
            "thread": to_global_id(ThreadKey(self.thread)),
            "run": to_global_id(RunKey(self.thread, self.run)),
            "message": to_global_id(MessageKey(self.thread, self.message)),
            "step": to_global_id(RunStepKey(self.thread, self.run, self.step)),
        }

    def hide_in(self, answer: object) -> str:
        """Return an answer as text, with a name in place of each of these ids, and of the request's."""
        text = REQUEST_ID.sub('"requestId": "<request>"', json.dumps(answer))
        for name, global_id in self.global_ids.items():
            text = text.replace(global_id, f"<global {name}>")
        for name in ("thread", "run", "message", "step"):
            text = text.replace(getattr(self, name), f"<{name}>")
        return text


UNKNOWN = Ids(f"thread_{SUFFIX}", f"run_{SUFFIX}", f"msg_{SUFFIX}", f"step_{SUFFIX}")


async def create_conversation(emulator: Emulator, user: UserClient) -> Ids:
    """Let a user create a thread with a run that has ended."""
    assistant_id = await assistant(emulator, tools=[{"type": "code_interpreter"}], instructions="Be brief.")
    made = await succeed(
        user,
        "createThreadAndRun",
        "run { upstreamId } thread { upstreamId }",
        assistantId=assistant_id,
        thread={"messages": [{"content": [{"text": f"A secret of {user.name}"}]}]},
    )
    thread_id, run_id = made["thread"]["upstreamId"], made["run"]["upstreamId"]
    emulator.clock.advance(LONG_SECONDS)
    (message,) = (await emulator.get(f"/threads/{thread_id}/messages?limit=1"))["data"]
    (step, *_) = (await emulator.get(f"/threads/{thread_id}/runs/{run_id}/steps"))["data"]
    emulator.counts.reset()
    return Ids(thread_id, run_id, message["id"], step["id"])


@asynccontextmanager
async def sign_in_options(provider: OidcServer, *, own_key: str = KEY) -> AsyncIterator[dict[str, Any]]:
    """Yield options of `running_gateway` for sign-in at a provider. Gateways that get the same ones share a ledger."""
    async with running_ownership() as ownership:
        yield {
            "ownership": ownership,
            "upstream_api_key": own_key,
            "gateway_jwt_issuer": provider.issuer,
            "gateway_jwt_audience": provider.audience,
            "gateway_jwt_roles_claim": "realm_access.roles",
        }
