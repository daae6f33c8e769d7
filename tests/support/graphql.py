"""A GraphQL client over HTTP, as small as a frontend's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.emulator import AUTHORIZATION


@dataclass(frozen=True)
class Reply:
    """A response with its complete body."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any = None


@dataclass
class GraphQLClient:
    """Sends operations to a base URL, by default with the test's own credential."""

    url: str
    session: aiohttp.ClientSession = field(repr=False)
    credential: str = field(default=AUTHORIZATION, repr=False, kw_only=True)

    async def execute(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        operation_name: str | None = None,
    ) -> dict[str, Any]:
        """Return the complete response of one operation: `data`, and `errors` if there are any."""
        body = {"query": query, "variables": variables, "operationName": operation_name}
        reply = await self.post(body, headers={"Authorization": self.credential, **(headers or {})})
        assert isinstance(reply.json, dict), reply
        return reply.json

    async def data(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the data of an operation that must not fail."""
        answer = await self.execute(query, variables)
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def post(self, body: object = None, *, headers: Mapping[str, str] | None = None, **options: Any) -> Reply:
        """Return the raw response to a POST of a JSON value, or of `data=` unchanged."""
        if body is not None:
            options["json"] = body
        return await self.send("POST", "/graphql", headers=headers, **options)

    async def get(self, path: str = "/graphql", *, headers: Mapping[str, str] | None = None, **options: Any) -> Reply:
        """Return the raw response to a GET. `params=` holds the parameters of an operation."""
        return await self.send("GET", path, headers=headers, **options)

    async def send(self, method: str, path: str, **options: Any) -> Reply:
        options.setdefault("allow_redirects", False)
        async with self.session.request(method, self.url + path, **options) as response:
            body = await response.read()
            is_json = response.content_type.endswith("json")
            return Reply(
                response.status, response.headers, body, await response.json(content_type=None) if is_json else None
            )
