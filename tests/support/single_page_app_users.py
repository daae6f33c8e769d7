"""The single-page app with users that sign in: an upstream, a provider, a gateway and a browser around it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Page, expect

from gateway.compose import DEMO_KEY
from tests.support.browser import Browser, open_browser
from tests.support.chat_page import ChatPage
from tests.support.emulator import Emulator, running_emulator
from tests.support.gateway import Gateway, running_gateway
from tests.support.oidc_server import CLIENT_ID, OidcServer, running_oidc_server
from tests.support.single_page_app import copy_app, serving_files
from tests.support.subscription_gateway import until


@dataclass
class SignInWorld:
    """An emulator, a provider, a gateway that takes only its tokens, and a browser with the app of one client."""

    emulator: Emulator
    provider: OidcServer
    gateway: Gateway
    browser: Browser
    page_url: str

    async def open_page(self, page: Page, user: str) -> ChatPage:
        """Sign a user in, and wait until the page follows the user's lists."""
        chat = ChatPage(page, self.emulator)
        await chat.watch()
        await page.goto(self.page_url)
        await self.sign_in(page, user)
        await until(chat.follows_lists)
        return chat

    async def sign_in(self, page: Page, user: str) -> None:
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name=user).click()
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()

    async def data(self, query: str, user: str, **variables: Any) -> Any:
        """Read by a token of a user."""
        headers = {"Authorization": f"Bearer {self.provider.issue_token(user)}"}
        answer = await self.gateway.execute(query, variables, headers=headers)
        assert "errors" not in answer, answer
        return answer["data"]


@asynccontextmanager
async def running_world(
    client: str, directory: Path, *, token_seconds: int = 300, renewal_seconds: int = 60
) -> AsyncIterator[SignInWorld]:
    """Run all of it. The page renews a token `renewal_seconds` before its end."""
    app = directory / "app"
    app.mkdir()
    async with (
        running_emulator(seed_keys=(DEMO_KEY,)) as emulator,
        running_oidc_server(token_seconds=token_seconds) as provider,
        serving_files(app) as origin,
        running_gateway(
            emulator.url,
            gateway_allowed_origins=origin,
            gateway_cache=True,
            gateway_database_url=f"sqlite:///{directory / 'ledger.db'}",
            gateway_ledger_deadline_seconds=10,  # a busy machine is no fault
            gateway_jwt_issuer=provider.issuer,
            gateway_jwt_audience=provider.audience,
            upstream_api_key=DEMO_KEY,
        ) as gateway,
        open_browser() as browser,
    ):
        world = SignInWorld(emulator, provider, gateway, browser, f"{origin}/{client}.html")
        provider.redirect_uris.add(world.page_url)
        sign_in = {
            "authority": provider.issuer,
            "client_id": CLIENT_ID,
            "accessTokenExpiringNotificationTimeInSeconds": renewal_seconds,
        }
        copy_app(app, endpoint=f"{gateway.url}/graphql", signIn=sign_in)
        yield world
